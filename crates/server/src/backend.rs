//! The limiter of a worker: Redis with the in-process one behind it, or the in-process one alone.

use std::sync::Arc;
use std::time::Duration;

use transom_core::{
    Block, Change, Counts, Decision, Denied, Fallback, Held, Identity, Limiter, Limits, Marks,
    Mode, Note, Operations, Override, PolicyName, Request, Scope, Standing, Standings, Traffic,
    Unavailable,
};
use transom_local::LocalLimiter;
use transom_redis::RedisLimiter;

/// Who decides for this worker.
#[derive(Debug, Clone)]
pub enum Backend {
    /// The fleet's Redis, with this worker's share in process for an outage.
    Redis(Arc<Fallback<RedisLimiter, LocalLimiter>>),
    /// This process alone.
    Local(Arc<LocalLimiter>),
}

impl Backend {
    /// The limiter on Redis, where there is one.
    pub fn redis(&self) -> Option<&RedisLimiter> {
        match self {
            Self::Redis(fallback) => Some(fallback.primary()),
            Self::Local(_) => None,
        }
    }

    /// How many workers share a limit in an outage, as last counted; this one alone in process.
    pub fn workers(&self) -> u32 {
        match self {
            Self::Redis(fallback) => fallback.workers(),
            Self::Local(_) => 1,
        }
    }
}

impl Limiter for Backend {
    async fn admit(&self, request: &Request) -> Result<Decision, Unavailable> {
        match self {
            Self::Redis(limiter) => limiter.admit(request).await,
            Self::Local(limiter) => limiter.admit(request).await,
        }
    }

    async fn peek(&self, request: &Request) -> Result<Decision, Unavailable> {
        match self {
            Self::Redis(limiter) => limiter.peek(request).await,
            Self::Local(limiter) => limiter.peek(request).await,
        }
    }

    async fn reset(&self, identity: &Identity, policy: &PolicyName) -> Result<(), Unavailable> {
        match self {
            Self::Redis(limiter) => limiter.reset(identity, policy).await,
            Self::Local(limiter) => limiter.reset(identity, policy).await,
        }
    }
}

/// Records are where the fleet's are: in Redis, or in process for a worker alone.
macro_rules! on_record {
    ($backend:expr, $store:ident => $call:expr) => {
        match $backend {
            Self::Redis(limiter) => {
                let $store = limiter.primary();
                $call.await
            }
            Self::Local($store) => $call.await,
        }
    };
}

impl Operations for Backend {
    async fn standing(&self, identity: &Identity) -> Result<(u64, Standing), Unavailable> {
        on_record!(self, store => store.standing(identity))
    }

    async fn standings(&self, kind: Held, max: usize) -> Result<Standings, Unavailable> {
        on_record!(self, store => store.standings(kind, max))
    }

    async fn set_override(
        &self,
        identity: &Identity,
        scope: &Scope,
        limits: Limits,
        lasting: Option<Duration>,
        note: &Note,
    ) -> Result<Override, Unavailable> {
        on_record!(self, store => store.set_override(identity, scope, limits, lasting, note))
    }

    async fn delete_override(
        &self,
        identity: &Identity,
        scope: &Scope,
    ) -> Result<bool, Unavailable> {
        on_record!(self, store => store.delete_override(identity, scope))
    }

    async fn block(
        &self,
        identity: &Identity,
        lasting: Option<Duration>,
        note: &Note,
    ) -> Result<Block, Unavailable> {
        on_record!(self, store => store.block(identity, lasting, note))
    }

    async fn unblock(&self, identity: &Identity) -> Result<bool, Unavailable> {
        on_record!(self, store => store.unblock(identity))
    }

    async fn marks(
        &self,
        identity: &Identity,
        policy: &PolicyName,
        max: usize,
    ) -> Result<Marks, Unavailable> {
        on_record!(self, store => store.marks(identity, policy, max))
    }

    async fn in_use(
        &self,
        identity: &Identity,
        policies: &[PolicyName],
    ) -> Result<Vec<PolicyName>, Unavailable> {
        on_record!(self, store => store.in_use(identity, policies))
    }

    async fn report(&self, counts: &Counts, denied: &[Denied]) -> Result<(), Unavailable> {
        on_record!(self, store => store.report(counts, denied))
    }

    async fn traffic(&self) -> Result<Traffic, Unavailable> {
        on_record!(self, store => store.traffic())
    }

    async fn denied(&self, max: usize) -> Result<Vec<Denied>, Unavailable> {
        on_record!(self, store => store.denied(max))
    }

    async fn set_mode(&self, mode: Option<Mode>) -> Result<(), Unavailable> {
        on_record!(self, store => store.set_mode(mode))
    }

    async fn fleet_mode(&self) -> Result<Option<Mode>, Unavailable> {
        on_record!(self, store => store.fleet_mode())
    }

    async fn record(&self, change: &Change) -> Result<(), Unavailable> {
        on_record!(self, store => store.record(change))
    }

    async fn changes(&self, max: usize) -> Result<Vec<Change>, Unavailable> {
        on_record!(self, store => store.changes(max))
    }
}
