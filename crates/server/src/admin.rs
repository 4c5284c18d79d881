//! The admin listener: whether the process lives, whether it should get traffic, and what it has
//! counted.
//!
//! `/healthz` is 200 as long as the process answers. `/readyz` is 200 while the worker decides as
//! its policies say, and 503 once it drains. A Redis that is gone is no reason to send the traffic
//! elsewhere: every worker has lost it, and each policy says what to do then. It is named in the
//! body as `degraded`.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use axum::{Json, response::IntoResponse, response::Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use transom_redis::RedisLimiter;

use crate::check::{method_not_allowed, not_found};
use crate::front::SharedFront;
use crate::telemetry;

/// The text format of Prometheus.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The routes of the admin listener; `draining` is cancelled when the worker begins to stop.
pub fn router(front: SharedFront, draining: CancellationToken) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(Worker { front, draining })
}

#[derive(Clone, Debug)]
struct Worker {
    front: SharedFront,
    draining: CancellationToken,
}

#[derive(Debug, Serialize)]
struct Health {
    alive: bool,
}

#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// Who decides in health: `redis` or `local`.
    store: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<Redis>,
    /// Why Redis does not decide now.
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    draining: bool,
}

#[derive(Debug, Serialize)]
struct Redis {
    connected: bool,
}

async fn healthz() -> Json<Health> {
    Json(Health { alive: true })
}

async fn readyz(State(worker): State<Worker>) -> Response {
    let draining = worker.draining.is_cancelled();
    let front = worker.front.load();
    let state = front.gate.limiter().redis().map(RedisLimiter::state);
    let readiness = Readiness {
        ready: !draining,
        store: if state.is_some() { "redis" } else { "local" },
        redis: state.as_ref().map(|state| Redis { connected: state.is_ok() }),
        degraded: state.and_then(|state| state.err().map(|reason| reason.label())),
        draining,
    };
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(readiness)).into_response()
}

/// What Prometheus fetches. With thousands of policies it is megabytes of text, which is not
/// written between two decisions.
async fn metrics(State(worker): State<Worker>) -> Response {
    let waiting = worker.front.load().gate.limiter().redis().map(RedisLimiter::waiting);
    let text = tokio::task::spawn_blocking(move || telemetry::metrics::render(waiting)).await;
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text.unwrap_or_default()).into_response()
}

#[cfg(test)]
mod tests;
