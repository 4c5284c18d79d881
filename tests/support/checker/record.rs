//! What a client saw of one request.

use transom_core::{Decision, Identity, PolicyName, Window, WindowState};

/// Whose pair of windows it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The caller.
    pub identity: Identity,
    /// The policy that matched.
    pub policy: PolicyName,
}

/// One request and its answer.
#[derive(Debug, Clone)]
pub struct Record {
    /// The worker that was asked.
    pub worker: usize,
    /// Whose windows.
    pub key: Key,
    /// Units asked for.
    pub cost: u32,
    /// What came back.
    pub outcome: Outcome,
    /// The monotonic clock of the clients, before the request went out.
    pub sent_ns: u64,
    /// The same clock, when the answer was there or the wait was given up.
    pub received_ns: u64,
}

/// What came back.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A decision.
    Told(Told),
    /// No answer, and why: the request may have been charged.
    Unknown(String),
}

/// A decision as the client was told it.
#[derive(Debug, Clone)]
pub struct Told {
    /// Whether the request was admitted.
    pub allowed: bool,
    /// Who decided.
    pub source: Source,
    /// When, by the clock that decided.
    pub at_us: u64,
    /// Times below are rounded up to a multiple of this.
    pub grain_us: u64,
    /// The wait until this request would be admitted; none if it was.
    pub retry_after_us: Option<u64>,
    /// The minute window, then the second window, after the request.
    pub windows: [ToldWindow; 2],
}

/// One window of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldWindow {
    /// Units in any window.
    pub limit: u32,
    /// Units left.
    pub remaining: u32,
    /// Until the oldest unit leaves.
    pub reset_us: u64,
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The script in Redis.
    Redis,
    /// A worker, of a denial that Redis had told it before.
    Cache,
    /// A worker on its own, because Redis gave it no decision.
    Degraded {
        /// Redis may have charged the request all the same.
        unsure: bool,
    },
}

/// The reasons for which a worker decides on its own although Redis may have charged the request.
const UNSURE: [&str; 3] = ["connection_lost", "deadline", "reply"];

impl Source {
    /// A worker on its own, for the reason that it gives.
    pub fn degraded(reason: Option<&str>) -> Self {
        Self::Degraded { unsure: reason.is_some_and(|reason| UNSURE.contains(&reason)) }
    }

    /// Whether the rules for the whole fleet hold for what it says.
    pub(super) fn stands_for_redis(self) -> bool {
        !matches!(self, Self::Degraded { .. })
    }
}

impl From<&Decision> for Told {
    fn from(decision: &Decision) -> Self {
        let window = |state: WindowState| ToldWindow {
            limit: state.limit,
            remaining: state.remaining,
            reset_us: state.reset_us,
        };
        let source = match decision.source {
            transom_core::Source::Redis => Source::Redis,
            transom_core::Source::Cache => Source::Cache,
            transom_core::Source::Local => Source::degraded(decision.degraded),
        };
        Self {
            allowed: decision.allowed,
            source,
            at_us: decision.at_us,
            grain_us: 1,
            retry_after_us: decision.retry_after_us,
            windows: [window(decision.minute), window(decision.second)],
        }
    }
}

/// A record with its decision at hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decided<'a> {
    pub(super) record: &'a Record,
    pub(super) told: &'a Told,
}

impl Decided<'_> {
    /// The units that Redis recorded for it.
    pub(super) fn charged(&self) -> u32 {
        let recorded = self.told.allowed && self.told.source == Source::Redis;
        if recorded { self.record.cost } else { 0 }
    }

    pub(super) fn limit(&self, window: Window) -> u64 {
        self.told.windows[window as usize].limit.into()
    }

    /// By time. Where Redis decided several in one microsecond, those that it charged come in the
    /// order that they themselves claim: every charge leaves less of the minute.
    pub(super) fn order(&self) -> (u64, u32) {
        let minute = self.told.windows[0];
        (self.told.at_us, minute.limit.saturating_sub(minute.remaining))
    }
}
