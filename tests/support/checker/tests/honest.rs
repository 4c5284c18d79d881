//! Logs of an honest limiter, random and large.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::oracle::{Oracle, Said};

/// The record of what the model of the limiter said, times rounded up to a grain.
pub(super) fn of_model(said: &Said, at_us: u64, cost: u32, grain_us: u64) -> Record {
    let up = |us: u64| us.next_multiple_of(grain_us);
    let windows = said.windows.map(|(limit, remaining, reset_us)| ToldWindow {
        limit,
        remaining,
        reset_us: up(reset_us),
    });
    let mut record = told(at_us, cost, said.allowed, Limits::DEFAULT);
    let Outcome::Told(told) = &mut record.outcome else { unreachable!() };
    *told = Told { grain_us, retry_after_us: said.retry_after_us.map(up), windows, ..told.clone() };
    record
}

/// A log as the model decides it: pauses between requests and their costs.
pub(super) fn log_of(requests: &[(u64, u32)], limits: Limits, grain_us: u64) -> Vec<Record> {
    let mut model = Oracle::default();
    let mut at_us = 0;
    let mut log = Vec::new();
    for (pause_us, cost) in requests {
        at_us += pause_us;
        let said = model.admit(START_US + at_us, limits, *cost);
        log.push(of_model(&said, at_us, *cost, grain_us));
    }
    log
}

fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => Just(0),
        4 => 1u64..300_000,
        2 => Just(SECOND),
        1 => Just(SECOND - 1),
        1 => SECOND..30_000_000,
        1 => Just(60_000_000),
    ]
}

proptest! {
    #[test]
    fn a_log_of_the_model_is_never_accused(
        requests in prop::collection::vec((pauses(), 0u32..6), 1..80),
        (minute, second) in (0u32..20, 0u32..8),
        grain_us in prop_oneof![Just(1u64), Just(1_000)],
        turned in any::<bool>(),
    ) {
        let mut log = log_of(&requests, Limits { minute, second }, grain_us);
        if turned {
            log.reverse();
        }
        let report = check(&log, Clock::REDIS);
        prop_assert!(report.violations.is_empty(), "{}", report);
    }

    #[test]
    fn a_log_that_lost_an_admission_is_accused(
        requests in prop::collection::vec((0u64..100_000, 1u32..3), 20..60),
    ) {
        let limits = Limits { minute: 15, second: 8 };
        let mut log = log_of(&requests, limits, 1);
        let Outcome::Told(first) = &log[0].outcome else { unreachable!() };
        prop_assert!(first.allowed);
        log.remove(0);
        let report = check(&log, Clock::REDIS);
        prop_assert!(report.broke(Rule::S5Hints), "{}", report);
    }
}

#[test]
fn a_million_decisions_are_judged_in_seconds() {
    // Ten keys, each asked for one unit every 0.4 ms: 20 a second pass.
    let limits = Limits { minute: 1_200, second: 20 };
    let mut log = Vec::with_capacity(1_000_000);
    for user in 0..10 {
        let key = key(&user.to_string());
        for n in 0..100_000 {
            let at_us = n * 400;
            let allowed = at_us % SECOND < 20 * 400;
            let record = told(at_us, 1, allowed, limits);
            log.push(Record { key: key.clone(), ..record });
        }
    }
    let started = Instant::now();
    let report = check(&log, Clock::REDIS);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert!([Rule::S1Exact, Rule::S2RealTime, Rule::S3DenialDue].iter().all(|r| !report.broke(*r)));
    assert_eq!((report.counts.admitted, report.counts.denied), (8_000, 992_000));
}
