//! The one thing a store must do: decide and record in a single step.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{
    Cost, Decision, Identity, LimitedBy, Limits, LimitsFrom, Mode, Note, OnFailure, Operations,
    PenaltyRules, Policy, PolicyName, Scope, Standing, Unavailable,
};

/// One request as a limiter sees it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks.
    pub identity: Identity,
    /// The policy that matched; it names the pair of windows.
    pub policy: Arc<Policy>,
    /// The limits to hold, the policy's own unless a limiter stands in for another.
    pub limits: Limits,
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
        Self { identity, policy, limits, cost, enforced, penalty: None, within: None }
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

/// A limiter with another one behind it, which decides with this worker's share of the limits
/// where the first cannot and the policy says [`OnFailure::Local`].
#[derive(Debug)]
pub struct Fallback<P, F> {
    primary: P,
    local: F,
    share: Share,
}

impl<P: Limiter, F: Limiter> Fallback<P, F> {
    /// `primary` decides; `local` stands in with its `share`.
    pub const fn new(primary: P, local: F, share: Share) -> Self {
        Self { primary, local, share }
    }

    /// The limiter that decides in health.
    pub const fn primary(&self) -> &P {
        &self.primary
    }

    /// How many workers share a limit while each decides alone.
    pub fn workers(&self) -> u32 {
        self.share.workers()
    }

    /// A share is denied more often than the limit would be; that earns nobody a strike.
    fn stand_in(&self, request: &Request) -> Request {
        let limits = request.limits.share(self.share.workers());
        Request { limits, penalty: None, ..request.clone() }
    }
}

impl<P: Limiter, F: Limiter + Operations> Fallback<P, F> {
    /// Lets the stand-in know the limits of an identity's own, and a block, as the primary holds
    /// to them: in an outage they are what was last seen. For most there is nothing to know.
    async fn learn(&self, request: &Request, decision: &Decision) -> Result<(), Unavailable> {
        let Request { identity, policy, .. } = request;
        let (now_us, known) = self.local.standing(identity).await?;
        let blocked = decision.limited_by == LimitedBy::Penalty;
        let plain = decision.limits_from == LimitsFrom::Policy && !blocked;
        if plain && known == Standing::default() {
            return Ok(());
        }
        let scope = Scope::Policy(policy.name.clone());
        let limits = match decision.limits_from {
            LimitsFrom::Policy => None,
            LimitsFrom::Override | LimitsFrom::OverrideAll => Some(
                Limits { minute: decision.minute.limit, second: decision.second.limit }
                    .share(self.share.workers()),
            ),
        };
        let note = Note { by: "redis".into(), reason: "as last seen".into() };
        match (limits, known.overrides.get(&scope)) {
            (Some(limits), Some(held)) if held.limits == limits => {}
            (Some(limits), _) => {
                self.local.set_override(identity, &scope, limits, None, &note).await?;
            }
            (None, Some(_)) => {
                self.local.delete_override(identity, &scope).await?;
            }
            (None, None) => {}
        }
        let known_us = known.penalty.blocked_us(now_us);
        if blocked && known_us == 0 {
            let rest = decision.retry_after_us.map(Duration::from_micros);
            self.local.block(identity, rest, &note).await?;
        } else if request.enforced && !blocked && known_us > 0 {
            self.local.unblock(identity).await?;
        }
        Ok(())
    }
}

impl<P: Limiter, F: Limiter + Operations> Limiter for Fallback<P, F> {
    async fn admit(&self, request: &Request) -> Result<Decision, Unavailable> {
        match self.primary.admit(request).await {
            Ok(decision) => {
                // The decision stands, whatever the stand-in could not keep.
                let _ = self.learn(request, &decision).await;
                Ok(decision)
            }
            Err(reason) if request.policy.on_failure == OnFailure::Local => {
                Ok(degraded(self.local.admit(&self.stand_in(request)).await?, &reason))
            }
            answer => answer,
        }
    }

    async fn peek(&self, request: &Request) -> Result<Decision, Unavailable> {
        match self.primary.peek(request).await {
            Err(reason) if request.policy.on_failure == OnFailure::Local => {
                Ok(degraded(self.local.peek(&self.stand_in(request)).await?, &reason))
            }
            answer => answer,
        }
    }

    /// Empties the windows of both; what the first one says counts.
    async fn reset(&self, identity: &Identity, policy: &PolicyName) -> Result<(), Unavailable> {
        let local = self.local.reset(identity, policy).await;
        self.primary.reset(identity, policy).await.and(local)
    }
}

fn degraded(mut decision: Decision, reason: &Unavailable) -> Decision {
    decision.degraded = Some(reason.label());
    decision
}
