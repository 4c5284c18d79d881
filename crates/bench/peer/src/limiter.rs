//! limitador in memory and on Redis, with two limits: fixed windows.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use limitador::limit::{Condition, Limit, Namespace};
use limitador::storage::redis::AsyncRedisStorage;
use limitador::{AsyncRateLimiter, RateLimiter};

use crate::handler::Decider;

/// The name under which limitador keeps the limits.
const NAMESPACE: &str = "bench";
/// Callers that it remembers in memory.
const CALLERS: u64 = 1_000_000;
/// What it finds a caller by.
const CALLER: &str = "caller";

/// Units, and seconds of their window.
type Limits = [(u32, u64); 2];

fn limits(limits: Limits) -> [Limit; 2] {
    limits.map(|(units, seconds)| {
        Limit::new(NAMESPACE, i64::from(units), seconds, Vec::<Condition>::new(), [CALLER])
    })
}

/// A caller as limitador sees it.
fn caller(identity: &str) -> HashMap<String, String> {
    HashMap::from([(CALLER.to_owned(), identity.to_owned())])
}

/// In memory.
pub(crate) struct InMemory {
    limiter: RateLimiter,
    namespace: Namespace,
}

impl InMemory {
    pub(crate) fn new(both: Limits) -> Self {
        let limiter = RateLimiter::new(CALLERS);
        for limit in limits(both) {
            limiter.add_limit(limit);
        }
        Self { limiter, namespace: NAMESPACE.into() }
    }

    /// Whether one request passes.
    pub(crate) fn check(&self, identity: &str) -> Result<bool> {
        let caller = caller(identity);
        let checked =
            self.limiter.check_rate_limited_and_update(&self.namespace, &caller, 1, false)?;
        Ok(!checked.limited)
    }
}

impl Decider for InMemory {
    async fn admit(&self, identity: &str) -> Result<bool> {
        self.check(identity)
    }
}

/// On its Redis storage: read in one round trip, written in one more for each window.
pub(crate) struct OnRedis {
    limiter: AsyncRateLimiter,
    namespace: Namespace,
}

impl OnRedis {
    pub(crate) async fn open(url: &str, both: Limits) -> Result<Self> {
        let storage = AsyncRedisStorage::new(url).await.context("limitador on Redis")?;
        let limiter = AsyncRateLimiter::new_with_storage(Box::new(storage));
        for limit in limits(both) {
            limiter.add_limit(limit);
        }
        Ok(Self { limiter, namespace: NAMESPACE.into() })
    }
}

impl Decider for OnRedis {
    async fn admit(&self, identity: &str) -> Result<bool> {
        let caller = caller(identity);
        let checked =
            self.limiter.check_rate_limited_and_update(&self.namespace, &caller, 1, false).await?;
        Ok(!checked.limited)
    }
}
