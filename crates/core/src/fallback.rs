//! A limiter behind another one, for when that cannot decide.

use std::time::Duration;

use crate::{
    Decision, Identity, LimitedBy, Limiter, Limits, LimitsFrom, Note, OnFailure, Operations,
    PolicyName, Request, Scope, Share, Source, Standing, Unavailable,
};

/// A limiter that can stand in for another one, since it knows what that one has admitted.
pub trait StandIn: Limiter + Operations {
    /// Counts a request that was admitted elsewhere, whether it fits here or not. Where there is
    /// no room for its identity it goes uncounted.
    fn count_admitted(&self, request: &Request);
}

/// A limiter with another one behind it, which decides with this worker's share of the limits
/// where the first cannot and the policy says [`OnFailure::Local`].
///
/// The stand-in is warm: it counts what this worker had admitted by the first, so that nobody
/// begins an outage with a fresh share. With a limit of N, W workers and the share
/// s = max(1, N / W), a worker admits by itself only while it has admitted fewer than s in the
/// window, by whichever limiter. So no window holds more than N + W * s, however often the first
/// limiter comes and goes, and none that lies within an outage more than W * s. What the first
/// limiter admits after its return does not count what the stand-ins admitted.
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

    /// The limiter that stands in.
    pub const fn stand_in(&self) -> &F {
        &self.local
    }

    /// How many workers share a limit while each decides alone.
    pub fn workers(&self) -> u32 {
        self.share.workers()
    }

    /// Lets the stand-in decide by this worker's share. A share is denied more often than the limit
    /// would be; that earns nobody a strike.
    async fn by_share(
        &self,
        request: &Request,
        reason: &Unavailable,
        is_peek: bool,
    ) -> Result<Decision, Unavailable> {
        let request = Request { share: self.share.workers(), penalty: None, ..request.clone() };
        let decided = if is_peek {
            self.local.peek(&request).await
        } else {
            self.local.admit(&request).await
        };
        decided.map(|decision| Decision { degraded: Some(reason.label()), ..decision })
    }
}

impl<P: Limiter, F: StandIn> Fallback<P, F> {
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
            LimitsFrom::Override | LimitsFrom::OverrideAll => {
                Some(Limits { minute: decision.minute.limit, second: decision.second.limit })
            }
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

impl<P: Limiter, F: StandIn> Limiter for Fallback<P, F> {
    async fn admit(&self, request: &Request) -> Result<Decision, Unavailable> {
        match self.primary.admit(request).await {
            Ok(decision) => {
                // What is said again was learnt when it was first said.
                let is_news = decision.source != Source::Cache;
                if is_news && request.policy.on_failure == OnFailure::Local {
                    if decision.allowed {
                        self.local.count_admitted(request);
                    }
                    // The decision stands, whatever the stand-in could not keep. Boxed, so that what
                    // is known already is told without the room for this.
                    let _ = Box::pin(self.learn(request, &decision)).await;
                }
                Ok(decision)
            }
            Err(reason) if request.policy.on_failure == OnFailure::Local => {
                Box::pin(self.by_share(request, &reason, false)).await
            }
            answer => answer,
        }
    }

    async fn peek(&self, request: &Request) -> Result<Decision, Unavailable> {
        match self.primary.peek(request).await {
            Err(reason) if request.policy.on_failure == OnFailure::Local => {
                Box::pin(self.by_share(request, &reason, true)).await
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
