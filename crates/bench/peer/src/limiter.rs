//! limitador in memory and on Redis, with two limits: fixed windows. In memory it is the newest
//! version; on Redis the last one that builds with that storage alone.

use std::collections::HashMap;

use anyhow::{Context as _, Result, anyhow};
use limitador::AsyncRateLimiter;
use limitador::limit::{Condition, Limit, Namespace};
use limitador::storage::redis::AsyncRedisStorage;
use limitador_in_memory::RateLimiter;
use limitador_in_memory::limit::{self as in_memory, Expression};

use crate::handler::Decider;

/// The name under which limitador keeps the limits.
const NAMESPACE: &str = "bench";
/// Callers that it remembers in memory.
const CALLERS: u64 = 1_000_000;
/// What it finds a caller by.
const CALLER: &str = "caller";

/// Units, and seconds of their window.
type Limits = [(u32, u64); 2];

/// A caller as limitador sees it.
fn caller(identity: &str) -> HashMap<String, String> {
    HashMap::from([(CALLER.to_owned(), identity.to_owned())])
}

/// In memory.
pub(crate) struct InMemory {
    limiter: RateLimiter,
    namespace: in_memory::Namespace,
}

impl InMemory {
    pub(crate) fn new(both: Limits) -> Result<Self> {
        let limiter = RateLimiter::new(CALLERS);
        let caller = Expression::parse(CALLER).map_err(|error| anyhow!("{error:?}"))?;
        for (units, seconds) in both {
            let (units, caller) = (u64::from(units), [caller.clone()]);
            limiter.add_limit(in_memory::Limit::new(NAMESPACE, units, seconds, [], caller));
        }
        Ok(Self { limiter, namespace: NAMESPACE.into() })
    }

    /// Whether one request passes.
    pub(crate) fn check(&self, identity: &str) -> Result<bool> {
        let caller = caller(identity).into();
        let checked = self.limiter.check_rate_limited_and_update(&self.namespace, &caller, 1);
        Ok(!checked.map_err(|error| anyhow!("{error:?}"))?.limited)
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
        for (units, seconds) in both {
            let always = Vec::<Condition>::new();
            limiter.add_limit(Limit::new(NAMESPACE, i64::from(units), seconds, always, [CALLER]));
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
