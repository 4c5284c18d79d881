//! The decision in process: exact for one worker, in bounded memory, for many threads.
//!
//! The default where no Redis is configured, and the stand-in while Redis does not answer. The
//! rules are those of the script; the two are compared trace by trace.
//!
//! ```
//! # use std::sync::Arc;
//! use transom_core::{Cost, Identity, Limiter, Policies, Request};
//! use transom_local::LocalLimiter;
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let limiter = LocalLimiter::default();
//! let policies = Policies::new(vec![])?;
//! let policy = Arc::clone(policies.default_policy());
//! let request = Request::new(Identity::user("42")?, policy, Cost::ONE);
//! assert!(limiter.admit(&request).await?.allowed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clock;
mod operations;
mod shard;
mod standings;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use transom_core::{
    Decision, Identity, Limiter, PolicyName, Request, Source, StandIn, Unavailable, Verdict,
    WindowLogs,
};

pub use clock::{Clock, SystemClock};
use operations::Desk;
use shard::{Key, Shard};
use standings::Standings;

/// How many identities (each under each policy) are held unless configured.
pub const DEFAULT_MAX_IDENTITIES: usize = 200_000;

/// Shards, each behind a lock of its own: threads seldom meet.
const SHARDS: usize = 64;

/// The in-process limiter.
///
/// It holds at most as many pairs of windows as it was built for. What has left both windows is
/// dropped to make room; while all of them count, a new identity is not decided
/// ([`Unavailable::Full`]) rather than an active one forgotten, which would hand out its limit
/// again.
#[derive(Debug)]
pub struct LocalLimiter<C = SystemClock> {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    clock: C,
    /// What holds for single identities. Locked before a shard, where both are.
    standings: Standings,
    desk: Desk,
}

impl LocalLimiter {
    /// A limiter for at most `max_identities` pairs of an identity and a policy, rounded up to a
    /// multiple of 64.
    pub fn new(max_identities: usize) -> Self {
        Self::with_clock(max_identities, SystemClock::default())
    }
}

impl Default for LocalLimiter {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_IDENTITIES)
    }
}

impl<C: Clock> LocalLimiter<C> {
    /// A limiter that moves by `clock`.
    pub fn with_clock(max_identities: usize, clock: C) -> Self {
        let room = max_identities.max(1).div_ceil(SHARDS);
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new(room))).collect();
        let standings = Standings::new(max_identities);
        Self { shards, hasher: RandomState::new(), clock, standings, desk: Desk::default() }
    }

    /// How many pairs of windows are held, idle ones included.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn key<'a>(&self, identity: &'a Identity, policy: &'a PolicyName) -> Key<'a> {
        Key { identity, policy, hash: self.hasher.hash_one((identity, policy)) }
    }

    fn shard(&self, key: &Key<'_>) -> MutexGuard<'_, Shard> {
        // A table goes by the lowest and the highest bits.
        let at = usize::try_from((key.hash >> 32) % SHARDS as u64).unwrap_or_default();
        lock(&self.shards[at])
    }

    fn admit_now(&self, request: &Request) -> Result<Verdict, Unavailable> {
        self.standings.with(&request.identity, self.clock.now_us(), |standing| {
            let key = self.key(&request.identity, &request.policy.name);
            let mut shard = self.shard(&key);
            // Read under the lock, so that times do not fall along a log.
            let now_us = self.clock.now_us();
            let mut none = WindowLogs::default();
            // Who is blocked needs no place.
            let logs = if standing.blocked_us(now_us, request) > 0 {
                shard.get_mut(&key).unwrap_or(&mut none)
            } else {
                shard.entry(&key, now_us).ok_or(Unavailable::Full)?
            };
            Ok(standing.admit(logs, now_us, request, 0))
        })
    }

    fn peek_now(&self, request: &Request) -> Verdict {
        let standing = self.standings.get(&request.identity);
        let key = self.key(&request.identity, &request.policy.name);
        let shard = self.shard(&key);
        let none = WindowLogs::default();
        standing.peek(shard.get(&key).unwrap_or(&none), self.clock.now_us(), request)
    }
}

impl<C: Clock> Limiter for LocalLimiter<C> {
    async fn admit(&self, request: &Request) -> Result<Decision, Unavailable> {
        Ok(Decision::new(&self.admit_now(request)?, Source::Local))
    }

    async fn peek(&self, request: &Request) -> Result<Decision, Unavailable> {
        Ok(Decision::new(&self.peek_now(request), Source::Local))
    }

    async fn reset(&self, identity: &Identity, policy: &PolicyName) -> Result<(), Unavailable> {
        let key = self.key(identity, policy);
        self.shard(&key).remove(&key);
        Ok(())
    }
}

impl<C: Clock> StandIn for LocalLimiter<C> {
    fn count_admitted(&self, request: &Request) {
        let key = self.key(&request.identity, &request.policy.name);
        let mut shard = self.shard(&key);
        let now_us = self.clock.now_us();
        if let Some(logs) = shard.entry(&key, now_us) {
            logs.count_admitted(now_us, request.cost);
        }
    }
}

/// A thread that panicked while it held a shard has left whole entries behind.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
