//! The admin listener: whether the process lives, whether it should get traffic, what it has
//! counted, the API for operators, and the console.
//!
//! `/healthz` is 200 as long as the process answers. `/readyz` is 200 while the worker decides as
//! its policies say, and 503 once it drains. A Redis that is gone is no reason to send the traffic
//! elsewhere: every worker has lost it, and each policy says what to do then. It is named in the
//! body as `degraded`, and is a 503 only without `admin.ready_while_degraded`; what makes it forget
//! or refuse keys is named under `warnings`.

mod api;
pub(crate) mod auth;
mod status;

use std::future::ready;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use transom_redis::RedisLimiter;

use crate::check::{method_not_allowed, not_found};
use crate::console;
use crate::front::SharedFront;
use crate::operator::Operator;
use crate::reload::SharedStatus;
use crate::telemetry;

pub use api::router as api_router;
pub use status::{ConfigurationDoc, RefusalDoc, StatusDoc};

/// The longest body of a request, in bytes.
const BODY_MAX: usize = 64 * 1024;
/// The text format of Prometheus.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the admin listener knows.
#[derive(Clone, Debug)]
pub struct Admin {
    pub(crate) front: SharedFront,
    pub(crate) operator: Operator,
    status: SharedStatus,
    /// Cancelled when the worker begins to stop.
    draining: CancellationToken,
    attempts: Arc<auth::Attempts>,
}

impl Admin {
    /// Of a worker that says `draining` when it begins to stop.
    pub fn new(
        front: SharedFront,
        operator: Operator,
        status: SharedStatus,
        draining: CancellationToken,
    ) -> Self {
        Self { front, operator, status, draining, attempts: Arc::default() }
    }
}

/// The routes of the admin listener.
pub fn router(admin: Admin) -> Router {
    let (api, document) = api::router(admin.clone());
    let guarded = api.layer(middleware::from_fn_with_state(admin.clone(), auth::guard));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/openapi.json", get(move || ready(Json(document))))
        .with_state(admin.clone())
        .merge(guarded)
        .merge(console::router(admin))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::map_request(auth::name_host))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
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
    /// What makes Redis forget or refuse keys, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    draining: bool,
}

#[derive(Debug, Serialize)]
struct Redis {
    connected: bool,
    /// Of a cluster, the nodes that get no requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost_nodes: Vec<String>,
}

async fn healthz() -> Json<Health> {
    Json(Health { alive: true })
}

async fn readyz(State(worker): State<Admin>) -> Response {
    let draining = worker.draining.is_cancelled();
    let front = worker.front.load();
    let redis = front.gate.limiter().redis();
    let state = redis.map(RedisLimiter::state);
    let degraded = state.as_ref().and_then(|state| Some(state.as_ref().err()?.label()));
    let ready = !draining && (degraded.is_none() || front.ready_while_degraded);
    let readiness = Readiness {
        ready,
        store: if state.is_some() { "redis" } else { "local" },
        redis: state.as_ref().map(|state| Redis {
            connected: state.is_ok(),
            lost_nodes: redis.map(RedisLimiter::lost_nodes).unwrap_or_default(),
        }),
        degraded,
        warnings: redis.map(RedisLimiter::warnings).unwrap_or_default(),
        draining,
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

/// What Prometheus fetches. With thousands of policies it is megabytes of text, which is not
/// written between two decisions.
async fn metrics(State(worker): State<Admin>) -> Response {
    let front = worker.front.load_full();
    let waiting = front.gate.limiter().redis().map(RedisLimiter::waiting);
    let render = move || telemetry::metrics::render(front.gate.mode(), waiting);
    let text = tokio::task::spawn_blocking(render).await;
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text.unwrap_or_default()).into_response()
}

#[cfg(test)]
mod tests;
