//! Denials that are known: what Redis has denied it denies until a unit leaves, since a denial is
//! not recorded. So a worker may say it again without asking, exactly, as long as nobody changes
//! anything. Only denials are remembered, never admissions.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use transom_core::{
    Cost, Decision, ENDLESS_WAIT_US, Identity, Limits, LimitsFrom, PolicyName, Reading, Request,
    Source, Verdict,
};

use crate::ears::Ears;

/// How many denials a worker remembers.
const REMEMBERED: usize = 100_000;
/// The longest time for which one is said again without asking: what changes in Redis and is not
/// published, such as its clock or what somebody does by hand, is noticed within it.
const LASTING_MAX: Duration = Duration::from_secs(1);

/// The denials that one worker knows. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Denials(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    known: Cache<(Identity, PolicyName), Arc<Known>>,
    /// How many changes were heard of: what was asked for before the last one counts no more.
    changes: AtomicU64,
}

/// A denial, and what it was for.
#[derive(Debug)]
struct Known {
    verdict: Verdict,
    limits: Limits,
    cost: Cost,
    enforced: bool,
    asked: Asked,
    /// When the answer came.
    came: Instant,
    until: Instant,
}

/// The state of affairs in which a request was sent: what it learns is of that one.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    at: Instant,
    changes: u64,
    ears: Ears,
    subscription: u64,
}

/// A key of the cache, borrowed.
struct Key<'a>(&'a Identity, &'a PolicyName);

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<(Identity, PolicyName)> for Key<'_> {
    fn equivalent(&self, (identity, policy): &(Identity, PolicyName)) -> bool {
        self.0 == identity && self.1 == policy
    }
}

impl Denials {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { known: Cache::new(REMEMBERED), changes: AtomicU64::new(0) }))
    }

    /// Somebody has changed something: what is remembered may hold no more.
    pub(crate) fn forget(&self) {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// To be called before a request is sent to the server of these ears. `None` where the server
    /// is not heard, so that nothing can be learnt.
    pub(crate) fn asking(&self, ears: &Ears) -> Option<Asked> {
        let at = Instant::now();
        let changes = self.0.changes.load(Ordering::Acquire);
        let subscription = ears.hear(at)?;
        Some(Asked { at, changes, ears: ears.clone(), subscription })
    }

    /// Takes note of what Redis said.
    pub(crate) fn learn(&self, request: &Request, asked: Asked, verdict: &Verdict) {
        let Some(lasting) = lasting(verdict) else { return };
        // Redis decided after the request was sent, so nothing changes before this.
        let until = asked.at + lasting;
        let key = (request.identity.clone(), request.policy.name.clone());
        let known = Known {
            verdict: *verdict,
            limits: request.limits,
            cost: request.cost,
            enforced: request.enforced,
            asked,
            came: Instant::now(),
            until,
        };
        self.0.known.insert(key, Arc::new(known));
    }

    /// The denial of this very request, where it is known.
    pub(crate) fn answer(&self, request: &Request) -> Option<Decision> {
        let known = self.0.known.get(&Key(&request.identity, &request.policy.name))?;
        let now = Instant::now();
        let holds = now < known.until
            && (known.limits, known.cost, known.enforced)
                == (request.limits, request.cost, request.enforced)
            && known.asked.changes == self.0.changes.load(Ordering::Acquire)
            && known.asked.ears.hear(now) == Some(known.asked.subscription);
        holds.then(|| known.after(now.saturating_duration_since(known.came)))
    }
}

/// How long a denial holds, with every number in it; `None` for what is not to be remembered.
///
/// Not if it is admitted; nor if the limits are an override's, whose end is not known here; nor if
/// a smaller request could be admitted meanwhile and change the numbers.
fn lasting(verdict: &Verdict) -> Option<Duration> {
    let Verdict { minute, second, blocked_us, .. } = *verdict;
    let frozen = blocked_us > 0 || [minute, second].iter().any(|log| log.used >= log.limit);
    if verdict.allowed || verdict.limits_from != LimitsFrom::Policy || !frozen {
        return None;
    }
    // The next thing to happen: a unit leaves, or a block ends. 0 stands for never.
    let next_us = [minute.reset_us, second.reset_us, blocked_us].into_iter().filter(|us| *us > 0);
    let next = next_us.min().map_or(LASTING_MAX, Duration::from_micros);
    Some(next.min(LASTING_MAX))
}

impl Known {
    /// The same denial some time later.
    fn after(&self, passed: Duration) -> Decision {
        let passed_us = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
        let left = |us: u64| us.saturating_sub(passed_us);
        let reading = |log: Reading| {
            // What never fits waits for a whole window, whenever it asks.
            let never = self.cost.units() > log.limit;
            let wait_us = if never { log.wait_us } else { left(log.wait_us) };
            Reading { reset_us: left(log.reset_us), wait_us, ..log }
        };
        let Verdict { minute, second, blocked_us, at_us, .. } = self.verdict;
        let verdict = Verdict {
            minute: reading(minute),
            second: reading(second),
            blocked_us: if blocked_us == ENDLESS_WAIT_US { blocked_us } else { left(blocked_us) },
            at_us: at_us.saturating_add(passed_us),
            ..self.verdict
        };
        Decision::new(&verdict, Source::Cache)
    }
}

#[cfg(test)]
mod tests;
