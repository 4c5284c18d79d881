//! What came back.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::Verdict;

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
    /// Of these, decisions that the worker made without Redis, though it has one.
    pub(crate) degraded: u64,
    /// Requests that nothing decided, those of the warm-up included. They are no answers.
    pub(crate) failed: u64,
    /// All answers, those of the warm-up included.
    pub(crate) all: u64,
    /// From the time at which a request was due, in nanoseconds.
    pub(crate) latency_ns: Histogram<u64>,
    lasted: Duration,
    /// Admissions of each caller, those of the warm-up included.
    admitted: Vec<u32>,
}

impl Tally {
    /// Nothing yet, of so many callers.
    pub(crate) fn new(callers: usize) -> Result<Self> {
        Ok(Self {
            answered: 0,
            denied: 0,
            degraded: 0,
            failed: 0,
            all: 0,
            latency_ns: Histogram::new_with_bounds(BOUNDS_NS.0, BOUNDS_NS.1, DIGITS)?,
            lasted: Duration::ZERO,
            admitted: vec![0; callers],
        })
    }

    /// Takes an answer; `latency` of those that count.
    pub(super) fn record(&mut self, caller: usize, verdict: Verdict, latency: Option<Duration>) {
        if verdict.failed {
            self.failed += 1;
            return;
        }
        self.all += 1;
        if verdict.allowed {
            self.admitted[caller] += 1;
        }
        let Some(latency) = latency else { return };
        self.answered += 1;
        self.denied += u64::from(!verdict.allowed);
        self.degraded += u64::from(verdict.degraded);
        self.latency_ns
            .saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).max(1));
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

    /// Admissions above `due` for one caller, summed over all.
    pub(crate) fn above(&self, due: u32) -> u64 {
        self.admitted.iter().map(|admitted| u64::from(admitted.saturating_sub(due))).sum()
    }
}
