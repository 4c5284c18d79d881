//! Limiters in memory, with the same two limits.

use std::collections::HashMap;
use std::num::NonZeroU32;

use anyhow::{Context as _, Result};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use limitador::limit::{Condition, Limit, Namespace};
use transom_core::{Limits, Window};

use super::Decider;

/// The name under which limitador keeps the limits.
const NAMESPACE: &str = "bench";
/// Callers that limitador remembers.
const CALLERS: u64 = 1_000_000;
/// What limitador finds a caller by.
const CALLER: &str = "caller";

/// governor, one limiter for each window. Its windows do not slide: a cell drains at a constant
/// rate. What the second's limiter admits and the minute's denies stays charged in the first.
pub(crate) struct Governor {
    second: DefaultKeyedRateLimiter<String>,
    minute: DefaultKeyedRateLimiter<String>,
}

impl Governor {
    pub(crate) fn new(limits: Limits) -> Result<Self> {
        let units = |units| NonZeroU32::new(units).context("governor knows no limit of 0");
        Ok(Self {
            second: RateLimiter::keyed(Quota::per_second(units(limits.second)?)),
            minute: RateLimiter::keyed(Quota::per_minute(units(limits.minute)?)),
        })
    }

    /// Whether one request passes.
    pub(crate) fn check(&self, identity: &str) -> bool {
        let identity = identity.to_owned();
        self.second.check_key(&identity).is_ok() && self.minute.check_key(&identity).is_ok()
    }
}

impl Decider for Governor {
    async fn admit(&self, identity: &str) -> Result<bool> {
        Ok(self.check(identity))
    }
}

/// limitador in memory: fixed windows.
pub(crate) struct LimitadorMemory {
    limiter: limitador::RateLimiter,
    namespace: Namespace,
}

impl LimitadorMemory {
    pub(crate) fn new(limits: Limits) -> Self {
        let limiter = limitador::RateLimiter::new(CALLERS);
        for limit in both(limits) {
            limiter.add_limit(limit);
        }
        Self { limiter, namespace: namespace() }
    }

    /// Whether one request passes.
    pub(crate) fn check(&self, identity: &str) -> Result<bool> {
        let caller = caller(identity);
        let checked =
            self.limiter.check_rate_limited_and_update(&self.namespace, &caller, 1, false)?;
        Ok(!checked.limited)
    }
}

impl Decider for LimitadorMemory {
    async fn admit(&self, identity: &str) -> Result<bool> {
        self.check(identity)
    }
}

/// Both windows as limitador writes them.
pub(super) fn both(limits: Limits) -> [Limit; 2] {
    Window::ALL.map(|window| {
        let (units, seconds) = (i64::from(limits.of(window)), window.length_s());
        Limit::new(NAMESPACE, units, seconds, Vec::<Condition>::new(), [CALLER])
    })
}

/// A caller as limitador sees it.
pub(super) fn caller(identity: &str) -> HashMap<String, String> {
    HashMap::from([(CALLER.to_owned(), identity.to_owned())])
}

/// The name under which limitador keeps the limits.
pub(super) fn namespace() -> Namespace {
    NAMESPACE.into()
}
