//! What came back.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use transom_core::Limits;

use super::Verdict;
use super::law::{self, Admission};
use crate::stats::grouped;

/// Latencies from 1 µs to a minute, in nanoseconds, with three digits.
const BOUNDS_NS: (u64, u64) = (1_000, 60_000_000_000);
const DIGITS: u8 = 3;

/// What came back within one load.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Answers to requests that count.
    pub(crate) answered: u64,
    /// Of these, denials.
    pub(crate) denied: u64,
    /// All answers, those of the warm-up included.
    pub(crate) all: u64,
    /// What was not answered by Redis where it should have been, the warm-up included.
    pub(crate) lapses: Lapses,
    /// From the time at which a request was due, in nanoseconds: of answers, and of requests that
    /// failed, since a client waits for both.
    pub(crate) latency_ns: Histogram<u64>,
    lasted: Duration,
    /// In the order of the answers, those of the warm-up included.
    admissions: Vec<Admission>,
}

/// Requests that a limiter on Redis should have answered by its Redis, and did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lapses {
    /// That nothing decided. They are no answers.
    pub(crate) failed: u64,
    /// That a worker decided without Redis, though it has one.
    pub(crate) degraded: u64,
    /// Requests of which they are.
    pub(crate) of: u64,
}

/// More lapses than one in so many requests, and a figure is none of the limiter's.
const LAPSES_ONE_IN: u64 = 1_000;

impl Lapses {
    /// Whether there are more than a figure may have.
    pub(crate) const fn matter(self) -> bool {
        (self.failed + self.degraded) * LAPSES_ONE_IN > self.of
    }

    /// Those of the load that has more of them for its requests: a load that fails is not hidden
    /// by others that do not.
    pub(crate) const fn or_worse(self, other: Self) -> Self {
        let (own, others) = (self.failed + self.degraded, other.failed + other.degraded);
        if others > 0 && others * self.of >= own * other.of { other } else { self }
    }

    /// These and those of more rounds of the same load.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            failed: self.failed + other.failed,
            degraded: self.degraded + other.degraded,
            of: self.of + other.of,
        }
    }

    /// A name in a table, with these behind it where there are any.
    pub(crate) fn behind(self, name: &str) -> String {
        if self.failed + self.degraded == 0 { name.to_owned() } else { format!("{name} ({self})") }
    }
}

impl fmt::Display for Lapses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [failed, degraded, of] = [self.failed, self.degraded, self.of].map(grouped);
        write!(f, "{failed} of {of} failed, {degraded} decided without Redis")
    }
}

impl Tally {
    /// Nothing yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            answered: 0,
            denied: 0,
            all: 0,
            lapses: Lapses::default(),
            latency_ns: Histogram::new_with_bounds(BOUNDS_NS.0, BOUNDS_NS.1, DIGITS)?,
            lasted: Duration::ZERO,
            admissions: Vec::new(),
        })
    }

    /// Takes what came back for a caller; `latency` of what counts.
    pub(super) fn record(
        &mut self,
        caller: usize,
        sent: Instant,
        answered: Instant,
        verdict: Verdict,
        latency: Option<Duration>,
    ) {
        self.lapses.of += 1;
        self.lapses.failed += u64::from(verdict.failed);
        self.lapses.degraded += u64::from(verdict.degraded && !verdict.failed);
        self.all += u64::from(!verdict.failed);
        if verdict.allowed {
            self.admissions.push(Admission { caller, sent, answered });
        }
        let Some(latency) = latency else { return };
        self.latency_ns
            .saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1));
        self.answered += u64::from(!verdict.failed);
        self.denied += u64::from(!verdict.failed && !verdict.allowed);
    }

    pub(super) fn over(self, lasted: Duration) -> Self {
        Self { lasted, ..self }
    }

    /// Answers a second.
    pub(crate) fn rate(&self) -> u64 {
        let lasted_ms = u64::try_from(self.lasted.as_millis()).unwrap_or(u64::MAX).max(1);
        self.answered * 1_000 / lasted_ms
    }

    /// Denials in thousandths of the answers.
    pub(crate) fn denied_per_mille(&self) -> u64 {
        self.denied * 1_000 / self.answered.max(1)
    }

    /// A quantile of the latency, in nanoseconds.
    pub(crate) fn quantile_ns(&self, quantile: f64) -> u64 {
        self.latency_ns.value_at_quantile(quantile)
    }

    /// Admissions above the limits of their callers, given by the caller's number.
    pub(crate) fn above(&self, limits: impl Fn(usize) -> Limits) -> u64 {
        law::above(&self.admissions, limits)
    }
}
