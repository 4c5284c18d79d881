//! S1, S2 and S3.

use super::*;

const LIMITS: Limits = Limits { minute: 60, second: 2 };

#[test]
fn one_unit_too_many_within_a_second_breaks_s1() {
    let log = |last_us| [0, 500_000, last_us].map(|at_us| admitted(at_us, 1, LIMITS));
    assert!(breaks(Rule::S1Exact, &log(999_999)));
    assert!(!breaks(Rule::S1Exact, &log(1_000_000)), "after a whole second the first is gone");
}

#[test]
fn one_unit_too_many_within_a_minute_breaks_s1() {
    let log = |last_us| -> Vec<Record> {
        let mut log: Vec<Record> = (0..60).map(|n| admitted(n * SECOND / 2, 1, LIMITS)).collect();
        log.push(admitted(last_us, 1, LIMITS));
        log
    };
    assert!(breaks(Rule::S1Exact, &log(59_999_999)));
    assert!(!breaks(Rule::S1Exact, &log(60_000_000)));
}

#[test]
fn a_burst_in_one_microsecond_is_counted_in_full() {
    let burst = |n| vec![admitted(7, 1, LIMITS); n];
    assert!(!breaks(Rule::S1Exact, &burst(2)));
    assert!(breaks(Rule::S1Exact, &burst(3)));
    assert!(breaks(Rule::S2RealTime, &burst(3)));
}

#[test]
fn a_cost_counts_as_so_many_units() {
    let limits = Limits { minute: 60, second: 5 };
    let log = |cost| [admitted(0, 3, limits), admitted(999_999, cost, limits)];
    assert!(!breaks(Rule::S1Exact, &log(2)));
    assert!(breaks(Rule::S1Exact, &log(3)));
    assert!(!breaks(Rule::S2RealTime, &log(2)));
}

#[test]
fn the_order_of_a_log_does_not_matter() {
    let log = [900_000, 0, 500_000].map(|at_us| admitted(at_us, 1, LIMITS));
    assert!(breaks(Rule::S1Exact, &log));
}

#[test]
fn a_limit_that_was_raised_or_lowered_is_held_from_then_on() {
    let wide = Limits { minute: 60, second: 4 };
    let lowered = [admitted(0, 3, wide), admitted(500_000, 1, LIMITS)];
    assert!(breaks(Rule::S1Exact, &lowered));
    let raised = [admitted(0, 2, LIMITS), admitted(500_000, 2, wide)];
    assert!(!breaks(Rule::S1Exact, &raised));
    let at_once = [admitted(0, 2, LIMITS), admitted(0, 2, wide)];
    assert!(!breaks(Rule::S1Exact, &at_once), "the wider one may have come second");
}

#[test]
fn keys_do_not_share_a_limit() {
    let mut log = [0, 1, 2].map(|at_us| admitted(at_us, 1, LIMITS));
    log[1].key = key("43");
    assert!(!breaks(Rule::S1Exact, &log));
    assert!(!breaks(Rule::S2RealTime, &log));
}

#[test]
fn a_redis_clock_that_runs_fast_cannot_hide_a_breach_in_real_time() {
    let mut log = [0, 2 * SECOND, 4 * SECOND].map(|at_us| admitted(at_us, 1, LIMITS));
    assert!(check(&log, Clock::REDIS).violations.iter().all(|v| v.rule == Rule::S5Hints));
    for (record, ms) in log.iter_mut().zip([0, 300, 600]) {
        (record.sent_ns, record.received_ns) = (ms * 1_000_000, (ms + 50) * 1_000_000);
    }
    assert!(!breaks(Rule::S1Exact, &log));
    assert!(breaks(Rule::S2RealTime, &log));
}

#[test]
fn a_slow_answer_proves_nothing() {
    let mut log = [0, 500_000, 999_990].map(|at_us| admitted(at_us, 1, LIMITS));
    log[2].received_ns += 1_000_000_000;
    assert!(!breaks(Rule::S2RealTime, &log), "it may have been charged a second later");
    assert!(breaks(Rule::S1Exact, &log));
}

#[test]
fn a_coarse_clock_may_let_a_unit_leave_one_tick_early() {
    let log = [0, 500_000, 990_000].map(|at_us| admitted(at_us, 1, LIMITS));
    assert!(check(&log, Clock { tick_us: 1 }).broke(Rule::S2RealTime));
    assert!(!check(&log, Clock { tick_us: 100_000 }).broke(Rule::S2RealTime));
}

#[test]
fn a_denial_needs_a_full_window() {
    let log = |first_us, denied_us| {
        [admitted(first_us, 1, LIMITS), admitted(500_000, 1, LIMITS), denied(denied_us, 1, LIMITS)]
    };
    assert!(!breaks(Rule::S3DenialDue, &log(0, 999_999)));
    assert!(breaks(Rule::S3DenialDue, &log(0, 1_000_000)), "the first one has left");
    assert!(breaks(Rule::S3DenialDue, &[denied(0, 1, LIMITS)]));
    assert!(!breaks(Rule::S3DenialDue, &[denied(0, 3, LIMITS)]), "it can never fit");
}

#[test]
fn within_a_microsecond_a_denial_may_come_last() {
    let log = [denied(5, 1, LIMITS), admitted(5, 2, LIMITS)];
    assert!(!breaks(Rule::S3DenialDue, &log));
    let next = [denied(5, 1, LIMITS), admitted(6, 2, LIMITS)];
    assert!(breaks(Rule::S3DenialDue, &next));
}

#[test]
fn a_denial_that_a_worker_knew_of_must_still_be_due() {
    let known = |at_us| {
        let mut record = denied(at_us, 1, LIMITS);
        let Outcome::Told(told) = &mut record.outcome else { unreachable!() };
        told.source = Source::Cache;
        [admitted(0, 2, LIMITS), record]
    };
    assert!(!breaks(Rule::S3DenialDue, &known(999_999)));
    assert!(breaks(Rule::S3DenialDue, &known(1_000_000)));
}

#[test]
fn a_request_without_an_answer_excuses_later_denials_only() {
    let later = [unknown(0, 2), denied(300, 1, LIMITS)];
    assert!(!breaks(Rule::S3DenialDue, &later));
    let earlier = [denied(300, 1, LIMITS), unknown(900, 2)];
    assert!(breaks(Rule::S3DenialDue, &earlier));
    let too_few = [unknown(0, 1), denied(300, 1, LIMITS)];
    assert!(breaks(Rule::S3DenialDue, &too_few));
}

#[test]
fn what_a_worker_decided_alone_is_counted_and_not_judged() {
    let mut log = [0, 1, 2].map(|at_us| admitted(at_us, 1, LIMITS));
    for record in &mut log {
        let Outcome::Told(told) = &mut record.outcome else { unreachable!() };
        told.source = Source::Degraded { unsure: false };
    }
    let report = check(&log, Clock::REDIS);
    report.assert_clean();
    assert_eq!((report.counts.degraded, report.counts.admitted), (3, 0));
}
