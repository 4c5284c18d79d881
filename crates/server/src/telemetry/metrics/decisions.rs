//! What is counted of decisions, through handles that are looked up once for each policy: naming a
//! metric and its labels anew costs more than the rest of it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{Counter, Histogram, counter, histogram};
use transom_core::{
    Answer, Decision, LimitedBy, Outcome, Policy, PolicyName, Source, Unavailable, WindowState,
};

use super::list::{DECISION_DURATION, DECISIONS, DEGRADED, EXEMPT, IDENTITY_DURATION, NEAR_LIMIT};
use crate::telemetry::NO_SOURCE;

/// What may become of a request that is decided.
const OUTCOMES: [&str; 3] = ["admitted", "denied", "shadow_denied"];
/// The windows that a request may come near to.
const WINDOWS: [LimitedBy; 2] = [LimitedBy::Minute, LimitedBy::Second];
/// What may be done with a request that the configured store did not decide.
const HANDLINGS: [&str; 3] = ["local", "allow", "deny"];

/// Handles of everything that is counted of decisions.
pub(super) struct Decisions {
    /// In the order of their names.
    policies: ArcSwap<Vec<(PolicyName, Arc<OfPolicy>)>>,
    degraded: Vec<(&'static str, [Counter; HANDLINGS.len()])>,
    by_source: [Histogram; Source::ALL.len()],
    by_nobody: Histogram,
    identity: Histogram,
}

/// Handles of one policy.
struct OfPolicy {
    decisions: [[[Counter; Source::ALL.len()]; LimitedBy::ALL.len()]; OUTCOMES.len()],
    near_limit: [Counter; WINDOWS.len()],
    exempt: Counter,
}

impl Decisions {
    pub(super) fn new() -> Self {
        let duration = |source| histogram!(DECISION_DURATION, "source" => source);
        let handlings = |reason| HANDLINGS.map(|handling| degraded(reason, handling));
        Self {
            policies: ArcSwap::default(),
            degraded: Unavailable::LABELS.map(|reason| (reason, handlings(reason))).into(),
            by_source: Source::ALL.map(|source| duration(source.as_str())),
            by_nobody: duration(NO_SOURCE),
            identity: histogram!(IDENTITY_DURATION),
        }
    }

    /// Counts the answer to a request, and how long it took.
    pub(super) fn decided(&self, answer: &Answer, took: Duration) {
        match &answer.outcome {
            Outcome::Exempt => self.with(&answer.policy, |of| of.exempt.increment(1)),
            Outcome::Decided { decision, pass } => {
                self.by_source[decision.source as usize].record(took);
                self.with(&answer.policy, |of| of.decided(decision, *pass));
                if let Some(reason) = decision.degraded {
                    self.degraded(reason, 0);
                }
            }
            Outcome::Unknown { reason, pass } => {
                self.by_nobody.record(took);
                self.degraded(reason.label(), if *pass { 1 } else { 2 });
            }
        }
    }

    /// Notes how long it took to find out who asks.
    pub(super) fn identified(&self, took: Duration) {
        self.identity.record(took);
    }

    fn degraded(&self, label: &'static str, handling: usize) {
        match self.degraded.iter().find(|(reason, _)| *reason == label) {
            Some((_, handlings)) => handlings[handling].increment(1),
            None => degraded(label, HANDLINGS[handling]).increment(1),
        }
    }

    /// Makes the handles of a policy, so that its series are there, at zero.
    pub(super) fn know(&self, policy: &Policy) {
        self.with(policy, |_| {});
    }

    /// Uses the handles of a policy, which are made at its first use.
    fn with(&self, policy: &Policy, uses: impl FnOnce(&OfPolicy)) {
        let name = &policy.name;
        let place =
            |policies: &[(PolicyName, _)]| policies.binary_search_by(|(known, _)| known.cmp(name));
        let policies = self.policies.load();
        if let Ok(at) = place(&policies) {
            return uses(&policies[at].1);
        }
        let new = Arc::new(OfPolicy::new(name.as_str()));
        self.policies.rcu(|policies| {
            let mut policies = Vec::clone(policies);
            if let Err(at) = place(&policies) {
                policies.insert(at, (name.clone(), Arc::clone(&new)));
            }
            policies
        });
        uses(&new);
    }
}

impl OfPolicy {
    fn new(policy: &str) -> Self {
        let near_limit = |window: LimitedBy| counter!(NEAR_LIMIT, "policy" => policy.to_owned(), "window" => window.as_str());
        Self {
            decisions: OUTCOMES.map(|outcome| {
                LimitedBy::ALL.map(|window| {
                    Source::ALL.map(|source| decision(policy, outcome, window, source))
                })
            }),
            near_limit: WINDOWS.map(near_limit),
            exempt: counter!(EXEMPT, "policy" => policy.to_owned()),
        }
    }

    fn decided(&self, decided: &Decision, pass: bool) {
        let outcome = match (decided.allowed, pass) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        self.decisions[outcome][decided.limited_by as usize][decided.source as usize].increment(1);
        if decided.allowed {
            for (window, near) in [decided.minute, decided.second].iter().zip(&self.near_limit) {
                if is_near(*window) {
                    near.increment(1);
                }
            }
        }
    }
}

/// Whether 20 % or less of a window's limit is left.
const fn is_near(window: WindowState) -> bool {
    window.remaining as u64 * 5 <= window.limit as u64
}

fn decision(policy: &str, outcome: &'static str, window: LimitedBy, source: Source) -> Counter {
    counter!(
        DECISIONS,
        "policy" => policy.to_owned(),
        "outcome" => outcome,
        "window" => window.as_str(),
        "source" => source.as_str(),
    )
}

fn degraded(reason: &'static str, handling: &'static str) -> Counter {
    counter!(DEGRADED, "reason" => reason, "policy_outcome" => handling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_a_limit_is_near_it() {
        let is_near = |remaining, limit| {
            let used = limit - remaining;
            super::is_near(WindowState { limit, used, remaining, reset_us: 0, wait_us: 0 })
        };
        assert!(is_near(12, 60) && is_near(0, 60) && is_near(0, 2) && is_near(0, 0));
        assert!(!is_near(13, 60) && !is_near(1, 2) && !is_near(60, 60));
        assert!(is_near(200_000, 1_000_000) && !is_near(u32::MAX, u32::MAX));
    }
}
