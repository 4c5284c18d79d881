//! S6.

use super::*;

const LIMITS: Limits = Limits { minute: 60, second: 10 };
const SHARE: Limits = Limits { minute: 30, second: 5 };

/// Admitted by a worker on its own.
fn alone(at_us: u64, unsure: bool) -> Record {
    let mut record = admitted(at_us, 1, SHARE);
    let Outcome::Told(told) = &mut record.outcome else { unreachable!() };
    told.source = Source::Degraded { unsure };
    record
}

fn breaks_s6(records: &[Record]) -> bool {
    check_outage(records, 2, 0).iter().any(|violation| violation.rule == Rule::S6Outage)
}

#[test]
fn workers_alone_keep_to_their_shares() {
    let log = |units: u64| (0..units).map(|n| alone(n * 50_000, false)).collect::<Vec<_>>();
    assert!(!breaks_s6(&log(10)));
    assert!(breaks_s6(&log(11)));
    let apart: Vec<_> = log(10).into_iter().chain([alone(2 * SECOND, false)]).collect();
    assert!(!breaks_s6(&apart), "the first ones have left");
}

#[test]
fn a_window_across_the_start_of_an_outage_may_hold_the_limit_twice_and_no_more() {
    let redis = |units: u64| (0..units).map(|n| admitted(n * 10_000, 1, LIMITS));
    let log = |by_redis, by_workers| {
        let local = (0..by_workers).map(|n| alone(500_000 + n * 10_000, false));
        redis(by_redis).chain(local).collect::<Vec<_>>()
    };
    assert!(!breaks_s6(&log(10, 10)));
    assert!(breaks_s6(&log(11, 10)));
    let lost = [log(10, 10), log(10, 0)].concat();
    assert!(breaks_s6(&lost) && check_outage(&lost, 2, 1).is_empty());
    let mut other = log(11, 10);
    other[0].key = key("43");
    assert!(!breaks_s6(&other), "keys do not share a bound");
}

#[test]
fn what_redis_may_have_charged_unseen_excuses_later_denials() {
    let log = |unsure| {
        let mut first = alone(0, unsure);
        first.cost = 10;
        [first, denied(300_000, 1, LIMITS)]
    };
    assert!(!breaks(Rule::S3DenialDue, &log(true)));
    assert!(breaks(Rule::S3DenialDue, &log(false)));
}
