//! The limiter of a worker: Redis with the in-process one behind it, or the in-process one alone.

use std::sync::Arc;

use transom_core::{Decision, Fallback, Identity, Limiter, PolicyName, Request, Unavailable};
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
