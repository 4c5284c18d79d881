//! What the check listener answers, in JSON.
//!
//! One answer has these fields in this order: `allowed`, `identity`, `policy`, `limited_by`,
//! `retry_after_ms`, `reset_ms`, `minute`, `second`, `at_us`, `source`. Where there is more to
//! say, two follow: `degraded`, why the configured store did not decide, and `shadow`, true where
//! a denial passes since its policy is on trial. The numbers of such a denial are the true ones.
//!
//! `allowed` says what to do, so it is true for a denial in shadow mode, for whoever is exempt
//! and where a policy allows what cannot be decided. The last two have `source` `none` and null in
//! place of every number.
//!
//! Milliseconds are rounded up. A batch is `{"results":[…]}`, in the order of its requests; an
//! item that is refused for want of a decision is `{"error":…}` with the body that it would have
//! got alone.

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use transom_core::delay::milliseconds;
use transom_core::{LimitedBy, Outcome, WindowState};

use crate::front::Decided;
use crate::telemetry::NO_SOURCE;

/// The answer to one request.
#[derive(Debug, Serialize)]
pub(super) struct Reply<'a> {
    allowed: bool,
    identity: &'a str,
    policy: &'a str,
    limited_by: Option<LimitedBy>,
    retry_after_ms: Option<u64>,
    reset_ms: Option<u64>,
    minute: Option<Window>,
    second: Option<Window>,
    at_us: Option<u64>,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shadow: bool,
}

#[derive(Debug, Serialize)]
struct Window {
    limit: u32,
    remaining: u32,
    reset_ms: u64,
}

impl<'a> Reply<'a> {
    /// The answer to a request, whatever became of it.
    pub(super) fn new(decided: &'a Decided) -> Self {
        let answer = &decided.answer;
        let decision = answer.decision();
        Self {
            allowed: answer.passes(),
            identity: decided.identity.as_str(),
            policy: answer.policy.name.as_str(),
            limited_by: decision.map(|known| known.limited_by),
            retry_after_ms: decision.and_then(|known| known.retry_after_us).map(milliseconds),
            reset_ms: decision.map(|known| milliseconds(known.reset_us())),
            minute: decision.map(|known| Window::of(&known.minute)),
            second: decision.map(|known| Window::of(&known.second)),
            at_us: decision.map(|known| known.at_us),
            source: decision.map_or(NO_SOURCE, |decision| decision.source.as_str()),
            degraded: match &answer.outcome {
                Outcome::Exempt => None,
                Outcome::Decided { decision, .. } => decision.degraded,
                Outcome::Unknown { reason, .. } => Some(reason.label()),
            },
            shadow: answer.passes() && decision.is_some_and(|decision| !decision.allowed),
        }
    }
}

impl Window {
    const fn of(state: &WindowState) -> Self {
        Self {
            limit: state.limit,
            remaining: state.remaining,
            reset_ms: milliseconds(state.reset_us),
        }
    }
}

/// The answers to a batch.
#[derive(Debug, Serialize)]
pub(super) struct Replies<'a> {
    /// One for each request, in order.
    pub(super) results: Vec<Item<'a>>,
}

/// One answer of a batch.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Item<'a> {
    /// The request was decided, or passes without a decision.
    Reply(Reply<'a>),
    /// The request is refused for want of a decision.
    Refused {
        /// The body that it would have got alone.
        error: Refused,
    },
}

/// The body of a refusal, inside a batch.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Refused {
    message: String,
    status_code: u16,
    retry_after: u64,
}

impl Refused {
    /// Takes the body out of a refusal, so that one place alone says what is in it.
    pub(super) fn of(refusal: &Response<Bytes>) -> Self {
        serde_json::from_slice(refusal.body()).unwrap_or_default()
    }
}

/// What is wrong with a request to this listener.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    message: &'a str,
    status_code: u16,
}

/// The response to a request that cannot be answered.
pub(crate) fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(Problem { message, status_code: status.as_u16() })).into_response()
}

/// The response where there is no such path.
pub(crate) async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "there is nothing at this path")
}

/// The response where the path does not take the method; `Allow` names those it takes.
pub(crate) async fn method_not_allowed() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}
