//! What this worker has decided, added to what the fleet has once a second.
//!
//! Counts that cannot be reported are kept and go along later, so after an outage they stand at
//! its end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use transom_core::{Answer, Counts, Denied, Identity, LimitedBy, Operations, Outcome, Traffic};

/// How often.
const PERIOD: Duration = Duration::from_secs(1);

/// Counts since the last report.
#[derive(Debug, Default)]
pub struct Reporter {
    admitted: AtomicU64,
    denied: [AtomicU64; LimitedBy::ALL.len()],
    shadow_denied: AtomicU64,
    degraded: AtomicU64,
    /// How often whom; of so many identities that a report is bounded.
    identities: Mutex<HashMap<Identity, u64>>,
}

impl Reporter {
    /// Counts what became of a request.
    pub fn count(&self, identity: &Identity, answer: &Answer) {
        let one_more = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
        match &answer.outcome {
            Outcome::Exempt => return,
            Outcome::Unknown { .. } => {
                one_more(&self.degraded);
                return;
            }
            Outcome::Decided { decision, pass } => {
                if decision.degraded.is_some() {
                    one_more(&self.degraded);
                }
                if decision.allowed {
                    one_more(&self.admitted);
                    return;
                }
                if *pass {
                    one_more(&self.shadow_denied);
                    return;
                }
                one_more(&self.denied[decision.limited_by as usize]);
            }
        }
        let mut identities = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
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
        let counts = self.take();
        let identities =
            std::mem::take(&mut *self.identities.lock().unwrap_or_else(PoisonError::into_inner));
        if counts == Counts::default() {
            return;
        }
        let denied = Denied::ranked(identities, Traffic::DENIED_MAX);
        if let Err(reason) = store.report(&counts, &denied).await {
            tracing::debug!(%reason, "what was decided is reported later");
            // It may have been counted all the same; twice would be worse than not.
            if !reason.may_have_charged() {
                self.put_back(&counts);
            }
        }
    }

    fn take(&self) -> Counts {
        let taken = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        let [denied_minute, denied_second, denied_penalty] = self.denied.each_ref().map(taken);
        Counts {
            admitted: taken(&self.admitted),
            denied_minute,
            denied_second,
            denied_penalty,
            shadow_denied: taken(&self.shadow_denied),
            degraded: taken(&self.degraded),
        }
    }

    fn put_back(&self, counts: &Counts) {
        let back = |count: &AtomicU64, n: u64| count.fetch_add(n, Ordering::Relaxed);
        back(&self.admitted, counts.admitted);
        for (count, n) in self.denied.iter().zip([
            counts.denied_minute,
            counts.denied_second,
            counts.denied_penalty,
        ]) {
            back(count, n);
        }
        back(&self.shadow_denied, counts.shadow_denied);
        back(&self.degraded, counts.degraded);
    }
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
