//! What the checker found.

use std::collections::HashMap;
use std::fmt;

use super::{Key, Outcome, Record, Source};

/// The violations written out for each rule; the rest is only counted by the length of the list.
const SHOWN: usize = 5;

/// The rules of `reference/redis.md`, section 5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// No half-open interval of a window's length holds more than the limit, in the time of Redis.
    S1Exact,
    /// The same, proven by the clients' clock alone.
    S2RealTime,
    /// No denial that was not due.
    S3DenialDue,
    /// No request charged twice, none forgotten: the minute's log in Redis is the clients' log.
    S4ChargedOnce,
    /// The numbers that came with an answer are those of the log at that time.
    S5Hints,
    /// What workers decide on their own keeps to their shares, and with what Redis decides to the
    /// bound of an outage.
    S6Outage,
}

/// One broken rule.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// On whose windows.
    pub key: Key,
    /// The numbers.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key { identity, policy } = &self.key;
        write!(f, "{:?} on {identity} {policy}: {}", self.rule, self.what)
    }
}

/// What the log held: a run in which nothing was denied proves nothing about denials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Different keys.
    pub keys: usize,
    /// Requests that Redis admitted.
    pub admitted: u64,
    /// The units of these.
    pub units: u64,
    /// Denials by Redis.
    pub denied: u64,
    /// Denials that workers knew of.
    pub cached: u64,
    /// Decisions without Redis.
    pub degraded: u64,
    /// Requests without an answer.
    pub unknown: u64,
}

impl Counts {
    pub(super) fn of(records: &[Record], keys: usize) -> Self {
        let mut counts = Self { keys, ..Self::default() };
        for record in records {
            match &record.outcome {
                Outcome::Unknown(_) => counts.unknown += 1,
                Outcome::Told(told) => match (told.source, told.allowed) {
                    (Source::Degraded { .. }, _) => counts.degraded += 1,
                    (Source::Cache, _) => counts.cached += 1,
                    (Source::Redis, false) => counts.denied += 1,
                    (Source::Redis, true) => {
                        counts.admitted += 1;
                        counts.units += u64::from(record.cost);
                    }
                },
            }
        }
        counts
    }
}

pub(super) fn first_reason(records: &[Record]) -> Option<String> {
    records.iter().find_map(|record| match &record.outcome {
        Outcome::Unknown(reason) => Some(reason.clone()),
        Outcome::Told(_) => None,
    })
}

/// The verdict over a log.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Every broken rule.
    pub violations: Vec<Violation>,
    /// What the log held.
    pub counts: Counts,
    /// Why the first request without an answer got none.
    pub unknown_because: Option<String>,
}

impl Report {
    /// Whether this rule was broken.
    pub fn broke(&self, rule: Rule) -> bool {
        self.violations.iter().any(|violation| violation.rule == rule)
    }

    /// Fails with what was found.
    ///
    /// # Panics
    ///
    /// If a rule was broken.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.violations.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { keys, admitted, units, denied, cached, degraded, unknown } = self.counts;
        write!(f, "{keys} keys, {admitted} admitted ({units} units), {denied} denied, ")?;
        write!(f, "{cached} cached, {degraded} degraded, {unknown} without an answer; ")?;
        write!(f, "{} violations", self.violations.len())?;
        if let Some(reason) = &self.unknown_because {
            write!(f, "\n  without an answer: {reason}")?;
        }
        let mut shown: HashMap<Rule, usize> = HashMap::new();
        for violation in &self.violations {
            let shown = shown.entry(violation.rule).or_default();
            *shown += 1;
            if *shown <= SHOWN {
                write!(f, "\n  {violation}")?;
            }
        }
        Ok(())
    }
}

/// Violations as they are found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) violations: Vec<Violation>,
}

impl Findings {
    pub(super) fn add(&mut self, rule: Rule, key: &Key, what: String) {
        self.violations.push(Violation { rule, key: key.clone(), what });
    }
}
