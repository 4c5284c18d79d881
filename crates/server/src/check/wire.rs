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

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use itoa::Buffer;
use serde_json::json;
use transom_core::delay::milliseconds;
use transom_core::{Decision, Outcome, WindowState};

use crate::front::{Decided, Front};
use crate::telemetry::NO_SOURCE;

/// As much room as the answer to one request takes, with a long name.
const ROOM: usize = 512;

/// The response to one request that passes or is denied.
pub(super) fn reply(decided: &Decided) -> Response {
    let mut body = String::with_capacity(ROOM);
    write(decided, &mut body);
    of_json(StatusCode::OK, body)
}

/// The response to a batch.
pub(super) fn replies(front: &Front, decided: &[Decided]) -> Response {
    let mut body = String::with_capacity(ROOM * decided.len());
    body.push_str(r#"{"results":["#);
    for (place, decided) in decided.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        match undecided(front, decided) {
            None => write(decided, &mut body),
            // The body that it would have got alone.
            Some(refusal) => {
                body.extend([r#"{"error":"#, &String::from_utf8_lossy(refusal.body()), "}"]);
            }
        }
    }
    body.push_str("]}");
    of_json(StatusCode::OK, body)
}

/// The refusal of a request for want of a decision; a denial is none.
pub(super) fn undecided(front: &Front, decided: &Decided) -> Option<Response<Bytes>> {
    match decided.answer.decision() {
        Some(_) => None,
        None => front.refusal(decided),
    }
}

/// Writes the answer to one request. It is put together here and not serialised, which took a
/// tenth of all that a worker does for a decision. Nothing in it needs an escape but the identity.
fn write(decided: &Decided, body: &mut String) {
    let Decided { identity, answer } = decided;
    let passes = answer.passes();
    body.push_str(if passes {
        r#"{"allowed":true,"identity":"#
    } else {
        r#"{"allowed":false,"identity":"#
    });
    body.push_str(&json_string(identity.as_str()));
    body.extend([r#","policy":""#, answer.policy.name.as_str(), r#"","limited_by":"#]);
    let (mut degraded, mut shadow) = (None, false);
    if let Some(decision) = answer.decision() {
        write_decision(decision, body);
        (degraded, shadow) = (decision.degraded, passes && !decision.allowed);
    } else {
        body.extend([
            r#"null,"retry_after_ms":null,"reset_ms":null,"minute":null,"second":null,"at_us":null,"source":""#,
            NO_SOURCE,
            "\"",
        ]);
    }
    if let Outcome::Unknown { reason, .. } = &answer.outcome {
        degraded = Some(reason.label());
    }
    if let Some(reason) = degraded {
        body.extend([r#","degraded":""#, reason, "\""]);
    }
    body.push_str(if shadow { r#","shadow":true}"# } else { "}" });
}

fn write_decision(decision: &Decision, body: &mut String) {
    let (mut retry, mut reset, mut at) = (Buffer::new(), Buffer::new(), Buffer::new());
    let retry_ms = decision.retry_after_us.map(milliseconds);
    body.extend([
        "\"",
        decision.limited_by.as_str(),
        r#"","retry_after_ms":"#,
        retry_ms.map_or("null", |ms| retry.format(ms)),
        r#","reset_ms":"#,
        reset.format(milliseconds(decision.reset_us())),
        r#","minute":"#,
    ]);
    write_window(&decision.minute, body);
    body.push_str(r#","second":"#);
    write_window(&decision.second, body);
    let (at, source) = (at.format(decision.at_us), decision.source.as_str());
    body.extend([r#","at_us":"#, at, r#","source":""#, source, "\""]);
}

fn write_window(window: &WindowState, body: &mut String) {
    let (mut limit, mut remaining, mut reset) = (Buffer::new(), Buffer::new(), Buffer::new());
    body.extend([
        r#"{"limit":"#,
        limit.format(window.limit),
        r#","remaining":"#,
        remaining.format(window.remaining),
        r#","reset_ms":"#,
        reset.format(milliseconds(window.reset_us)),
        "}",
    ]);
}

/// A text between quotes, with its escapes.
fn json_string(text: &str) -> String {
    // A text can always be written as JSON.
    serde_json::to_string(text).unwrap_or_default()
}

/// The response to a request that cannot be answered.
pub(crate) fn problem(status: StatusCode, message: &str) -> Response {
    of_json(status, json!({ "message": message, "status_code": status.as_u16() }).to_string())
}

fn of_json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The response where there is no such path.
pub(crate) async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "there is nothing at this path")
}

/// The response where the path does not take the method; `Allow` names those it takes.
pub(crate) async fn method_not_allowed() -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}
