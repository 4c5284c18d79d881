//! The judge of a fleet: from the log of every decision that clients got, it says which rule of
//! the limiter was broken. It shares no code with what it judges, and knows neither Redis nor HTTP.
//!
//! A log must hold the whole traffic of its keys, from the first request on, and the clock of
//! Redis must not have stepped back meanwhile. Sorting apart it takes one pass over each key, so a
//! million decisions take seconds.

mod justice;
mod members;
mod outage;
mod record;
mod report;
mod safety;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use members::{MinuteLog, check_members};
pub use outage::check_outage;
pub use record::{Key, Outcome, Record, Source, Told, ToldWindow};
pub use report::{Counts, Report, Rule, Violation};

use record::Decided;
use report::Findings;

/// What is known of the clock that stamped the decisions.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// A decision is stamped with its time rounded down to a multiple of this.
    pub tick_us: u64,
}

impl Clock {
    /// The clock of Redis.
    pub const REDIS: Self = Self { tick_us: 1 };
}

/// Judges a log by the rules S1, S2, S3 and S5 of `reference/redis.md`; [`check_members`] adds S4,
/// [`check_outage`] S6.
pub fn check(records: &[Record], clock: Clock) -> Report {
    let mut findings = Findings::default();
    let logs = by_key(records);
    for log in logs.values() {
        safety::exact(log, &mut findings);
        safety::in_real_time(log, clock, &mut findings);
        justice::just_and_honest(log, &mut findings);
    }
    Report {
        counts: Counts::of(records, logs.len()),
        violations: findings.violations,
        unknown_because: report::first_reason(records),
    }
}

/// The records of one key, each kind in the order in which it happened.
struct KeyLog<'a> {
    key: &'a Key,
    /// By Redis, or told again by a worker that knew of the denial; ordered by time.
    decided: Vec<Decided<'a>>,
    /// Requests that may have been charged though nobody was told.
    unknown: Vec<&'a Record>,
}

impl KeyLog<'_> {
    /// What was charged by Redis, in the order of time.
    fn charged(&self) -> impl Iterator<Item = &Decided<'_>> {
        self.decided.iter().filter(|entry| entry.charged() > 0)
    }

    /// Units that may have been charged unseen before the given moment.
    fn unseen(&self, before_ns: u64) -> u64 {
        let earlier = self.unknown.iter().filter(|record| record.sent_ns < before_ns);
        earlier.map(|record| u64::from(record.cost)).sum()
    }
}

fn records_by_key(records: &[Record]) -> HashMap<&Key, Vec<&Record>> {
    let mut logs: HashMap<&Key, Vec<&Record>> = HashMap::new();
    for record in records {
        logs.entry(&record.key).or_default().push(record);
    }
    logs
}

fn by_key(records: &[Record]) -> HashMap<&Key, KeyLog<'_>> {
    let mut logs: HashMap<&Key, KeyLog<'_>> = HashMap::new();
    for record in records {
        let log = logs.entry(&record.key).or_insert_with(|| KeyLog {
            key: &record.key,
            decided: Vec::new(),
            unknown: Vec::new(),
        });
        match &record.outcome {
            Outcome::Told(told) if told.source.stands_for_redis() => {
                log.decided.push(Decided { record, told });
            }
            Outcome::Told(told) if told.source == (Source::Degraded { unsure: false }) => {}
            Outcome::Told(_) | Outcome::Unknown(_) => log.unknown.push(record),
        }
    }
    for log in logs.values_mut() {
        log.decided.sort_unstable_by_key(Decided::order);
    }
    logs
}
