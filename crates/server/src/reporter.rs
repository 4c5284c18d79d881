//! What this worker has decided, added to what the fleet has once a second.
//!
//! Counts that cannot be reported are kept and go along later, so after an outage they stand at
//! its end.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use transom_core::{Answer, Counts, Denied, Identity, LimitedBy, Operations, Outcome, Traffic};

/// How often.
const PERIOD: Duration = Duration::from_secs(1);

/// Threads count in parts of their own, so that they do not wait for each other.
const PARTS: usize = 16;

/// Counts since the last report.
#[derive(Debug, Default)]
pub struct Reporter([Mutex<Since>; PARTS]);

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PART: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed) % PARTS);
}

#[derive(Debug, Default)]
struct Since {
    counts: Counts,
    /// How often whom; of at most as many identities as a report names.
    identities: HashMap<Identity, u64>,
}

impl Reporter {
    /// The part of this thread.
    fn own(&self) -> MutexGuard<'_, Since> {
        lock(&self.0[PART.get()])
    }

    /// What all threads have counted, which begin anew.
    fn take(&self) -> Since {
        let mut sum = Since::default();
        for part in &self.0 {
            let Since { counts, identities } = std::mem::take(&mut *lock(part));
            sum.counts.add(&counts);
            for (identity, denials) in identities {
                *sum.identities.entry(identity).or_default() += denials;
            }
        }
        sum
    }

    /// Counts what became of a request.
    pub fn count(&self, identity: &Identity, answer: &Answer) {
        let mut since = self.own();
        let Since { counts, identities } = &mut *since;
        let (decision, pass) = match &answer.outcome {
            Outcome::Exempt => return,
            Outcome::Unknown { .. } => {
                counts.degraded += 1;
                return;
            }
            Outcome::Decided { decision, pass } => (decision, *pass),
        };
        counts.degraded += u64::from(decision.degraded.is_some());
        *match (decision.allowed, pass, decision.limited_by) {
            (true, ..) => &mut counts.admitted,
            (false, true, _) => &mut counts.shadow_denied,
            (false, false, LimitedBy::Minute) => &mut counts.denied_minute,
            (false, false, LimitedBy::Second) => &mut counts.denied_second,
            (false, false, LimitedBy::Penalty) => &mut counts.denied_penalty,
        } += 1;
        if decision.allowed || pass {
            return;
        }
        if let Some(denials) = identities.get_mut(identity) {
            *denials += 1;
        } else if identities.len() < Traffic::DENIED_MAX {
            identities.insert(identity.clone(), 1);
        }
    }

    /// Reports for as long as the future is polled.
    pub async fn run(&self, store: impl Operations) {
        loop {
            tokio::time::sleep(PERIOD).await;
            self.report(&store).await;
        }
    }

    /// Reports what there is.
    pub async fn report(&self, store: &impl Operations) {
        let Since { counts, identities } = self.take();
        if counts == Counts::default() {
            return;
        }
        let denied = Denied::ranked(identities, Traffic::DENIED_MAX);
        if let Err(reason) = store.report(&counts, &denied).await {
            tracing::debug!(%reason, "what was decided is reported later");
            // It may have been counted all the same; twice would be worse than not.
            if !reason.may_have_charged() {
                self.own().counts.add(&counts);
            }
        }
    }
}

fn lock(part: &Mutex<Since>) -> MutexGuard<'_, Since> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use transom_core::{Cost, Decision, Limits, Policy, PolicyName, Source, WindowLogs};
    use transom_local::LocalLimiter;

    use super::*;

    fn answer(allowed: bool, pass: bool, degraded: Option<&'static str>) -> Answer {
        let limits = if allowed { Limits::DEFAULT } else { Limits { minute: 9, second: 0 } };
        let verdict = WindowLogs::default().admit(1_000_000, limits, Cost::ONE);
        let decision = Decision { degraded, ..Decision::new(&verdict, Source::Redis) };
        let policy = Arc::new(Policy::new(PolicyName::default(), limits));
        Answer { policy, outcome: Outcome::Decided { decision, pass } }
    }

    #[tokio::test]
    async fn what_was_decided_is_reported_once() {
        let (reporter, store) = (Reporter::default(), LocalLimiter::default());
        let user = Identity::user("42").unwrap();
        reporter.count(&user, &answer(true, true, None));
        reporter.count(&user, &answer(true, true, Some("deadline")));
        reporter.count(&user, &answer(false, false, None));
        reporter.count(&user, &answer(false, true, None));
        reporter.report(&store).await;
        reporter.report(&store).await;
        let buckets = store.traffic().await.unwrap().buckets;
        let mut sum = Counts::default();
        buckets.iter().for_each(|bucket| sum.add(&bucket.counts));
        let expected = Counts {
            admitted: 2,
            denied_second: 1,
            shadow_denied: 1,
            degraded: 1,
            ..Counts::default()
        };
        assert_eq!(sum, expected);
        assert_eq!(store.denied(9).await.unwrap(), [Denied { identity: user, denials: 1 }]);
    }
}
