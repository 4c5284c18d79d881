//! The one thing a store must do: decide and record in a single step.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{
    Cost, Decision, Identity, Limits, Mode, PenaltyRules, Policy, PolicyName, Unavailable,
};

/// One request as a limiter sees it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub identity: Identity,
    /// The policy that matched; it names the pair of windows.
    pub policy: Arc<Policy>,
    /// The limits to hold, the policy's own, where the identity has none.
    pub limits: Limits,
    /// Among how many workers the limits are divided, those of an override too; 1 in health.
    pub share: u32,
    /// The units asked for.
    pub cost: Cost,
    /// Whether a denial holds, as in the mode `enforce`: only then does a block stand in the way,
    /// and only then may a denial be a strike.
    pub enforced: bool,
    /// When denials turn into a block; `None`: never.
    pub penalty: Option<PenaltyRules>,
    /// How long the decision may take, where less is left than the limiter's own deadline.
    pub within: Option<Duration>,
}

impl Request {
    /// A request under a policy's own limits and mode, without penalties.
    pub fn new(identity: Identity, policy: Arc<Policy>, cost: Cost) -> Self {
        let enforced = policy.mode == Mode::Enforce;
        let limits = policy.limits;
        Self { identity, policy, limits, share: 1, cost, enforced, penalty: None, within: None }
    }
}

/// Decides requests. Check and charge are one atomic step.
///
/// A denial is an `Ok`; an error means that no decision could be had, and says whether the
/// request may have been charged all the same.
pub trait Limiter: Send + Sync {
    /// Admits the request if it fits both windows, and records it in both.
    fn admit(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<Decision, Unavailable>> + Send;

    /// Whether and when [`admit`](Self::admit) would pass; changes nothing.
    fn peek(&self, request: &Request)
    -> impl Future<Output = Result<Decision, Unavailable>> + Send;

    /// Empties both windows of an identity under one policy.
    fn reset(
        &self,
        identity: &Identity,
        policy: &PolicyName,
    ) -> impl Future<Output = Result<(), Unavailable>> + Send;
}

impl<L: Limiter> Limiter for Arc<L> {
    async fn admit(&self, request: &Request) -> Result<Decision, Unavailable> {
        L::admit(self, request).await
    }

    async fn peek(&self, request: &Request) -> Result<Decision, Unavailable> {
        L::peek(self, request).await
    }

    async fn reset(&self, identity: &Identity, policy: &PolicyName) -> Result<(), Unavailable> {
        L::reset(self, identity, policy).await
    }
}

/// How many workers share a limit while each decides alone. Clones count the same fleet.
#[derive(Clone, Debug)]
pub struct Share(Arc<AtomicU32>);

impl Share {
    /// A fleet of `workers`; 0 counts as 1.
    pub fn of(workers: u32) -> Self {
        Self(Arc::new(AtomicU32::new(workers.max(1))))
    }

    /// Takes up a new number of workers; 0 counts as 1.
    pub fn set(&self, workers: u32) {
        self.0.store(workers.max(1), Ordering::Relaxed);
    }

    /// The number of workers.
    pub fn workers(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
