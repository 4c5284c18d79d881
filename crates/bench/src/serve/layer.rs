//! A router behind `RateLimitLayer`, on Redis.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::http::request::Parts;
use transom_core::{Gate, Identity, Limits, Mode, Policies, Policy, PolicyName};
use transom_redis::{RedisLimiter, Settings};
use transom_tower::RateLimitLayer;

/// The prefix of its keys.
const PREFIX: &str = "tower";
/// As long as that of the workers that it is compared with.
const DEADLINE: Duration = Duration::from_secs(1);

/// Any path answers, for whom the header `x-user-id` names.
pub(super) async fn router(url: &str, limits: Limits) -> Result<Router> {
    let settings = Settings { prefix: PREFIX.to_owned(), deadline: DEADLINE, ..Settings::new(url) };
    let limiter = RedisLimiter::open(&settings)?;
    limiter.connected().await?;
    let policies = Policies::new(vec![Policy::new(PolicyName::default(), limits)])?;
    let gate = Gate::new(policies, Mode::Enforce, limiter);
    let user = |request: &Parts| {
        let id = request.headers.get("x-user-id")?.to_str().ok()?;
        Identity::user(id).ok()
    };
    let inner = Router::new().fallback(async || "passed\n");
    Ok(inner.layer(RateLimitLayer::new(Arc::new(gate), user)))
}
