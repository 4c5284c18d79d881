//! governor, in memory, with the same two limits.

use std::num::NonZeroU32;

use anyhow::{Context as _, Result};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use transom_core::Limits;

use super::Decider;

/// One limiter for each window. Its windows do not slide: a cell drains at a constant rate. What
/// the second's limiter admits and the minute's denies stays charged in the first.
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
