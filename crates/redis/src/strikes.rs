//! Denials that become strikes: at most one write for each identity and second.
//!
//! A script that wrote a strike for each denial would turn a storm of denials into a storm of
//! writes. So a request reports its own denial only if none of its identity was reported within
//! the last second; the denials in between are counted here and go along with the next report.
//! Where no request comes, [`Strikes::due`] says what is to be reported without one, so that a
//! block begins a second late at most, and nothing is kept for those who stay away.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use transom_core::{Cost, Decision, Identity, LimitedBy, Request, Unavailable};

/// The time between two reports of one identity.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);
/// Parts, each behind a lock of its own.
const SHARDS: usize = 16;
/// Identities in one part; the denials of more are not counted.
const SHARD_MAX: usize = 8_192;
/// The most reports without a request at a time, so that they do not crowd decisions out.
const DUE_MAX: usize = 256;

/// What one identity has not reported.
#[derive(Debug, Default)]
struct Entry {
    /// Denials that no report has taken along, and the last request that was denied.
    unreported: u32,
    denied: Option<Request>,
    /// When the first of them was.
    since: Option<Instant>,
    /// A request that reports is under way.
    reporting: bool,
    /// When the last report was sent.
    reported: Option<Instant>,
}

impl Entry {
    /// Whether a report may be sent.
    fn is_free(&self, now: Instant) -> bool {
        !self.reporting && self.reported.is_none_or(|at| now.duration_since(at) >= PERIOD)
    }

    fn take(&mut self) -> u32 {
        self.since = None;
        self.denied = None;
        std::mem::take(&mut self.unreported)
    }

    fn add(&mut self, denials: u32, request: &Request, now: Instant) {
        self.unreported = self.unreported.saturating_add(denials);
        self.since.get_or_insert(now);
        self.denied.get_or_insert_with(|| request.clone());
    }

    /// Forgets denials that are too old to be strikes; whether anything is left.
    fn settle(&mut self, now: Instant) -> bool {
        let within = self.denied.as_ref().and_then(|request| request.penalty);
        let within = within.map_or(PERIOD, |rules| Duration::from_micros(rules.within_us));
        if self.since.is_some_and(|since| now.duration_since(since) >= within) {
            self.take();
        }
        self.unreported > 0 || !self.is_free(now)
    }
}

type Entries = HashMap<Identity, Entry>;

/// The denials of one worker.
#[derive(Clone, Debug)]
pub(crate) struct Strikes {
    shards: Arc<[Mutex<Entries>; SHARDS]>,
    hasher: RandomState,
}

/// Many requests share what they lock, and none of them panics meanwhile.
fn lock(shard: &Mutex<Entries>) -> MutexGuard<'_, Entries> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Strikes {
    pub(crate) fn new() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards: Arc::new(shards), hasher: RandomState::new() }
    }

    fn shard(&self, identity: &Identity) -> MutexGuard<'_, Entries> {
        let hash = self.hasher.hash_one(identity);
        let place = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        lock(&self.shards[place])
    }

    /// Whether a request may report, and how many denials of before it takes along.
    pub(crate) fn begin<'a>(&'a self, request: &'a Request) -> Report<'a> {
        let now = Instant::now();
        let mut shard = self.shard(&request.identity);
        let mut unreported = None;
        if shard.len() < SHARD_MAX || shard.contains_key(&request.identity) {
            let entry = shard.entry(request.identity.clone()).or_default();
            entry.settle(now);
            if entry.is_free(now) {
                entry.reporting = true;
                unreported = Some(entry.take());
            }
        }
        drop(shard);
        Report { strikes: self, request, unreported, ended: false }
    }

    /// What is to be reported although no request comes: a request that asks for nothing, and
    /// the denials to take along. What is over is forgotten.
    pub(crate) fn due(&self) -> Vec<(Request, u32)> {
        let now = Instant::now();
        let mut due = Vec::new();
        for shard in self.shards.iter() {
            lock(shard).retain(|_, entry| {
                let keep = entry.settle(now);
                if entry.unreported > 0
                    && entry.is_free(now)
                    && due.len() < DUE_MAX
                    && let Some(denied) = entry.denied.take()
                {
                    due.push((Request { cost: Cost::NOTHING, ..denied }, entry.take()));
                    entry.reported = Some(now);
                }
                keep
            });
        }
        due
    }
}

/// A request, from before it is sent until it is decided.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    strikes: &'a Strikes,
    request: &'a Request,
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
        let now = Instant::now();
        let mut shard = self.strikes.shard(&self.request.identity);
        let Some(entry) = shard.get_mut(&self.request.identity) else {
            return;
        };
        match (self.unreported, decided) {
            (None, decided) => {
                if decided.as_ref().is_ok_and(denied) {
                    entry.add(1, self.request, now);
                }
            }
            (Some(carried), decided) => {
                entry.reporting = false;
                let written = match decided {
                    Ok(decision) => carried > 0 || !decision.allowed,
                    Err(reason) => reason.may_have_charged(),
                };
                if written {
                    entry.reported = Some(now);
                } else if carried > 0 {
                    entry.add(carried, self.request, now);
                }
            }
        }
        if !entry.settle(now) {
            shard.remove(&self.request.identity);
        }
    }
}

/// A request whose caller has left may have reported all the same.
impl Drop for Report<'_> {
    fn drop(&mut self) {
        if !self.ended
            && self.unreported.is_some()
            && let Some(entry) =
                self.strikes.shard(&self.request.identity).get_mut(&self.request.identity)
        {
            entry.reporting = false;
            entry.reported = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
