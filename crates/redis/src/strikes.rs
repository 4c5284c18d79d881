//! Denials that become strikes: at most one write for each identity and second.
//!
//! A script that wrote a strike for each denial would turn a storm of denials into a storm of
//! writes. So a request reports its own denial only if none of its identity was reported within
//! the last second; the denials in between are counted here and go along with the next report.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use transom_core::{Decision, Identity, LimitedBy, Unavailable};

/// The time between two reports of one identity.
const PERIOD: Duration = Duration::from_secs(1);
/// Parts, each behind a lock of its own.
const SHARDS: usize = 16;
/// Identities in one part; more are reported without this care, and their denials are written.
const SHARD_MAX: usize = 8_192;

/// What one identity has not reported.
#[derive(Debug, Default)]
struct Entry {
    /// Denials that no report has taken along.
    unreported: u32,
    /// A request that reports is under way.
    reporting: bool,
    /// When the last report was written.
    reported: Option<Instant>,
}

impl Entry {
    fn is_idle(&self, now: Instant) -> bool {
        let quiet = self.reported.is_none_or(|at| now.duration_since(at) >= PERIOD);
        quiet && !self.reporting && self.unreported == 0
    }
}

type Shard = Mutex<HashMap<Identity, Entry>>;

/// The denials of one worker.
#[derive(Clone, Debug)]
pub(crate) struct Strikes {
    shards: Arc<[Shard; SHARDS]>,
    hasher: RandomState,
}

impl Strikes {
    pub(crate) fn new() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards: Arc::new(shards), hasher: RandomState::new() }
    }

    fn shard(&self, identity: &Identity) -> MutexGuard<'_, HashMap<Identity, Entry>> {
        let hash = self.hasher.hash_one(identity);
        let place = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the next request of an identity may report, and how many denials it takes along.
    pub(crate) fn begin(&self, identity: &Identity) -> Report<'_> {
        let now = Instant::now();
        let mut shard = self.shard(identity);
        if shard.len() >= SHARD_MAX && !shard.contains_key(identity) {
            shard.retain(|_, entry| !entry.is_idle(now));
        }
        let full = shard.len() >= SHARD_MAX && !shard.contains_key(identity);
        let unreported = if full {
            Some(0)
        } else {
            let entry = shard.entry(identity.clone()).or_default();
            let early = entry.reported.is_some_and(|at| now.duration_since(at) < PERIOD);
            if entry.reporting || early {
                None
            } else {
                entry.reporting = true;
                Some(std::mem::take(&mut entry.unreported))
            }
        };
        drop(shard);
        Report { strikes: self, identity: identity.clone(), unreported, ended: false }
    }
}

/// A request of an identity, from before it is sent until it is decided.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    strikes: &'a Strikes,
    identity: Identity,
    /// The denials that go along; `None` where this request reports none.
    pub(crate) unreported: Option<u32>,
    ended: bool,
}

impl Report<'_> {
    /// Learns what became of the request.
    pub(crate) fn end(mut self, decided: &Result<Decision, Unavailable>) {
        self.ended = true;
        let denied =
            |decision: &Decision| !decision.allowed && decision.limited_by != LimitedBy::Penalty;
        let is_denied = decided.as_ref().is_ok_and(denied);
        let mut shard = self.strikes.shard(&self.identity);
        let Some(entry) = shard.get_mut(&self.identity) else {
            return;
        };
        match self.unreported {
            None => entry.unreported = entry.unreported.saturating_add(u32::from(is_denied)),
            Some(carried) => {
                entry.reporting = false;
                match decided {
                    // A block may have come of it, or have made the report needless.
                    Ok(decision) if carried > 0 || !decision.allowed => {
                        entry.reported = Some(Instant::now());
                    }
                    Err(reason) if !reason.may_have_charged() => {
                        entry.unreported = entry.unreported.saturating_add(carried);
                    }
                    _ => {}
                }
            }
        }
        if entry.unreported == 0 && !entry.reporting && entry.reported.is_none() {
            shard.remove(&self.identity);
        }
    }
}

/// A request whose caller has left is reported by nobody; its place is free again.
impl Drop for Report<'_> {
    fn drop(&mut self) {
        if !self.ended
            && self.unreported.is_some()
            && let Some(entry) = self.strikes.shard(&self.identity).get_mut(&self.identity)
        {
            entry.reporting = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use transom_core::{Cost, Limits, Source, WindowLogs};

    use super::*;

    fn decision(limits: Limits) -> Result<Decision, Unavailable> {
        let verdict = WindowLogs::default().admit(1_000_000, limits, Cost::ONE);
        Ok(Decision::new(&verdict, Source::Redis))
    }

    fn denied() -> Result<Decision, Unavailable> {
        decision(Limits { minute: 0, second: 0 })
    }

    fn user() -> Identity {
        Identity::user("42").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_of_denials_is_one_report() {
        let strikes = Strikes::new();
        let first = strikes.begin(&user());
        assert_eq!(first.unreported, Some(0), "the first denial is reported at once");
        first.end(&denied());
        for _ in 0..50 {
            let next = strikes.begin(&user());
            assert_eq!(next.unreported, None);
            next.end(&denied());
        }
        tokio::time::advance(PERIOD).await;
        let next = strikes.begin(&user());
        assert_eq!(next.unreported, Some(50));
        next.end(&denied());
        assert_eq!(strikes.begin(&user()).unreported, None);
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_requests_under_way_one_reports() {
        let strikes = Strikes::new();
        let under_way: Vec<_> = (0..20).map(|_| strikes.begin(&user())).collect();
        let reporting = under_way.iter().filter(|report| report.unreported.is_some()).count();
        assert_eq!(reporting, 1);
        under_way.into_iter().for_each(|report| report.end(&denied()));
        tokio::time::advance(PERIOD).await;
        assert_eq!(strikes.begin(&user()).unreported, Some(19));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_admitted_leaves_nothing_behind() {
        let strikes = Strikes::new();
        for _ in 0..3 {
            let report = strikes.begin(&user());
            assert_eq!(report.unreported, Some(0));
            report.end(&decision(Limits::DEFAULT));
        }
        assert!(strikes.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_sent_is_kept_and_what_may_have_arrived_is_not() {
        let strikes = Strikes::new();
        strikes.begin(&user()).end(&denied());
        strikes.begin(&user()).end(&denied());
        tokio::time::advance(PERIOD).await;
        let report = strikes.begin(&user());
        assert_eq!(report.unreported, Some(1));
        report.end(&Err(Unavailable::Overloaded));
        let report = strikes.begin(&user());
        assert_eq!(report.unreported, Some(1));
        report.end(&Err(Unavailable::Deadline));
        let report = strikes.begin(&user());
        assert_eq!(report.unreported, Some(0));
        drop(report);
        assert_eq!(strikes.begin(&user()).unreported, Some(0), "the place is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_is_no_strike() {
        let strikes = Strikes::new();
        let mut blocked = denied().unwrap();
        blocked.limited_by = LimitedBy::Penalty;
        strikes.begin(&user()).end(&Ok(blocked.clone()));
        strikes.begin(&user()).end(&Ok(blocked));
        tokio::time::advance(PERIOD).await;
        assert_eq!(strikes.begin(&user()).unreported, Some(0));
    }
}
