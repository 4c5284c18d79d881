//! What operators do, whatever keeps the records: see what holds for an identity, change it, and
//! see what the fleet has decided lately.

use std::future::Future;
use std::time::Duration;

use crate::{
    Block, Identity, Limits, Mode, Note, Override, PolicyName, Scope, Standing, Unavailable,
};

/// Decisions counted by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Admitted.
    pub admitted: u64,
    /// Denied by the minute window.
    pub denied_minute: u64,
    /// Denied by the second window.
    pub denied_second: u64,
    /// Denied by a block.
    pub denied_penalty: u64,
    /// Would have been denied, and passed in shadow mode.
    pub shadow_denied: u64,
    /// Not decided by the configured store, whatever became of it.
    pub degraded: u64,
}

impl Counts {
    /// The counts by name, in the order in which they are shown.
    pub const fn by_name(&self) -> [(&'static str, u64); 6] {
        [
            ("admitted", self.admitted),
            ("denied_minute", self.denied_minute),
            ("denied_second", self.denied_second),
            ("denied_penalty", self.denied_penalty),
            ("shadow_denied", self.shadow_denied),
            ("degraded", self.degraded),
        ]
    }

    /// The count of a name in [`by_name`](Self::by_name).
    pub fn of_name(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "admitted" => &mut self.admitted,
            "denied_minute" => &mut self.denied_minute,
            "denied_second" => &mut self.denied_second,
            "denied_penalty" => &mut self.denied_penalty,
            "shadow_denied" => &mut self.shadow_denied,
            "degraded" => &mut self.degraded,
            _ => return None,
        })
    }

    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in other.by_name() {
            if let Some(sum) = self.of_name(name) {
                *sum = sum.saturating_add(count);
            }
        }
    }
}

/// What was decided within [`Traffic::BUCKET_S`] seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins, in seconds since 1970 by the clock that decides.
    pub at_s: u64,
    /// What was decided.
    pub counts: Counts,
}

/// What was decided lately, by every worker that shares a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The time of the store, in microseconds since 1970.
    pub now_us: u64,
    /// Oldest first; one in which nothing was decided may be missing.
    pub buckets: Vec<Bucket>,
}

impl Traffic {
    /// The length of a bucket, in seconds.
    pub const BUCKET_S: u64 = 10;
    /// How many buckets are kept: a quarter of an hour.
    pub const BUCKETS: u64 = 90;
    /// Denials of identities are counted over a span of this many seconds, and the one before.
    pub const SPAN_S: u64 = 300;
    /// How many identities are counted in a span.
    pub const DENIED_MAX: usize = 1_000;
}

/// How often an identity was denied lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Who.
    pub identity: Identity,
    /// How often.
    pub denials: u64,
}

impl Denied {
    /// The `max` most denied, most first.
    pub fn ranked(denials: impl IntoIterator<Item = (Identity, u64)>, max: usize) -> Vec<Self> {
        let all = denials.into_iter().map(|(identity, denials)| Self { identity, denials });
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by(|one, other| {
            other.denials.cmp(&one.denials).then_with(|| one.identity.cmp(&other.identity))
        });
        all.truncate(max);
        all
    }
}

/// Units admitted at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When, in microseconds since 1970 by the clock that decides.
    pub at_us: u64,
    /// How many.
    pub units: u32,
}

/// The newest admissions that both windows hold, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The time of the store, in microseconds since 1970.
    pub now_us: u64,
    /// The minute window's.
    pub minute: Vec<Mark>,
    /// The second window's.
    pub second: Vec<Mark>,
}

/// A change that somebody made, for the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// When, in milliseconds since 1970; set by the store.
    pub at_ms: u64,
    /// What was done, such as `override.set`.
    pub action: String,
    /// To whom or what.
    pub target: String,
    /// With which values.
    pub detail: String,
    /// By whom and why.
    pub note: Note,
}

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Overrides in force.
    Override,
    /// Blocks in force.
    Block,
}

impl Held {
    /// Whether a standing has anything of this kind at `now_us`.
    pub fn is_in(self, standing: &Standing, now_us: u64) -> bool {
        match self {
            Self::Override => standing.overrides.values().any(|held| held.holds(now_us)),
            Self::Block => standing.penalty.blocked_us(now_us) > 0,
        }
    }
}

/// Those for whom anything holds, as far as they were looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    /// In the order of their identities.
    pub held: Vec<(Identity, Standing)>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

impl Standings {
    /// The first `max` of those that were found.
    pub fn of(mut held: Vec<(Identity, Standing)>, max: usize) -> Self {
        held.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let more = held.len() > max;
        held.truncate(max);
        Self { held, more }
    }
}

/// What operators do to a store. Each method ends with [`Unavailable`] where the store does not
/// answer; what was changed is in force for the next decision on every worker.
pub trait Operations: Send + Sync {
    /// What holds for an identity, and the time of the store in microseconds since 1970.
    fn standing(
        &self,
        identity: &Identity,
    ) -> impl Future<Output = Result<(u64, Standing), Unavailable>> + Send;

    /// Everybody for whom something of a kind holds, at most `max`.
    fn standings(
        &self,
        kind: Held,
        max: usize,
    ) -> impl Future<Output = Result<Standings, Unavailable>> + Send;

    /// Gives an identity limits of its own, `lasting` as long, or for good.
    fn set_override(
        &self,
        identity: &Identity,
        scope: &Scope,
        limits: Limits,
        lasting: Option<Duration>,
        note: &Note,
    ) -> impl Future<Output = Result<Override, Unavailable>> + Send;

    /// Takes an override back; whether there was one.
    fn delete_override(
        &self,
        identity: &Identity,
        scope: &Scope,
    ) -> impl Future<Output = Result<bool, Unavailable>> + Send;

    /// Blocks an identity, `lasting` as long, or for good.
    fn block(
        &self,
        identity: &Identity,
        lasting: Option<Duration>,
        note: &Note,
    ) -> impl Future<Output = Result<Block, Unavailable>> + Send;

    /// Ends a block and forgets strikes and past blocks; whether there were any.
    fn unblock(
        &self,
        identity: &Identity,
    ) -> impl Future<Output = Result<bool, Unavailable>> + Send;

    /// The newest admissions of an identity under a policy, at most `max` units in each window.
    fn marks(
        &self,
        identity: &Identity,
        policy: &PolicyName,
        max: usize,
    ) -> impl Future<Output = Result<Marks, Unavailable>> + Send;

    /// Under which of these policies an identity has anything in a window.
    fn in_use(
        &self,
        identity: &Identity,
        policies: &[PolicyName],
    ) -> impl Future<Output = Result<Vec<PolicyName>, Unavailable>> + Send;

    /// Adds what this worker has decided, and how often it denied whom.
    fn report(
        &self,
        counts: &Counts,
        denied: &[Denied],
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// What was decided lately.
    fn traffic(&self) -> impl Future<Output = Result<Traffic, Unavailable>> + Send;

    /// Who was denied most lately, at most `max`, most first.
    fn denied(&self, max: usize) -> impl Future<Output = Result<Vec<Denied>, Unavailable>> + Send;

    /// Sets the mode of the whole fleet, or takes it back.
    fn set_mode(&self, mode: Option<Mode>) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// The mode that was set for the fleet, if one was.
    fn fleet_mode(&self) -> impl Future<Output = Result<Option<Mode>, Unavailable>> + Send;

    /// Puts a change on record.
    fn record(&self, change: &Change) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// The last changes, at most `max`, newest first.
    fn changes(&self, max: usize) -> impl Future<Output = Result<Vec<Change>, Unavailable>> + Send;
}
