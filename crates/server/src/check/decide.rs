//! `POST /v1/decide`: a service names who asks, and is told what was decided.
//!
//! The answer is 200 with the JSON of [`wire`], a denial too; it is a value here, not a refusal.
//! The rate-limit fields are not written: they would be about the service, and a batch has many.
//! A request alone that gets no decision where its policy says `deny` is answered with 503 and
//! `Retry-After`.
//!
//! The content type is not looked at. What parses is meant as JSON, and `curl -d` works as it is.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;

use super::requests::{self, Asked};
use super::{BODY_MAX, batch, wire};
use crate::front::{Decided, Front, SharedFront};
use crate::telemetry::request::Matched;

/// Answers a service.
pub(super) async fn decide(State(front): State<SharedFront>, mut request: Request) -> Response {
    DefaultBodyLimit::max(BODY_MAX).apply(&mut request);
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => return unread(&rejection),
    };
    let front = front.load_full();
    match Asked::read(&body, front.identities.ipv6_prefix()) {
        Ok(Asked::One(request)) => one(&front, request).await,
        Ok(Asked::Many(requests)) => many(&front, requests).await,
        Err(error) => wire::problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn one(front: &Front, request: requests::Request) -> Response {
    let answer = request.ask(front).await;
    let decided = Decided { identity: request.identity, answer };
    let mut response = match undecided(front, &decided) {
        Some(refusal) => refusal.map(Body::from),
        None => Json(wire::Reply::new(&decided)).into_response(),
    };
    response.extensions_mut().insert(Matched(decided.answer.policy.name.clone()));
    response
}

async fn many(front: &Front, requests: Vec<requests::Request>) -> Response {
    let by_identity =
        |one: &requests::Request, other: &requests::Request| one.identity.cmp(&other.identity);
    let answers = batch::decide(&requests, by_identity, |request| request.ask(front)).await;
    let decided: Vec<_> = requests
        .into_iter()
        .zip(answers)
        .map(|(requests::Request { identity, .. }, answer)| Decided { identity, answer })
        .collect();
    let item = |decided| match undecided(front, decided) {
        Some(refusal) => wire::Item::Refused { error: wire::Refused::of(&refusal) },
        None => wire::Item::Reply(wire::Reply::new(decided)),
    };
    Json(wire::Replies { results: decided.iter().map(item).collect() }).into_response()
}

/// The refusal of a request for want of a decision; a denial is none.
fn undecided(front: &Front, decided: &Decided) -> Option<Response<Bytes>> {
    match decided.answer.decision() {
        Some(_) => None,
        None => front.refusal(decided),
    }
}

/// A body that is too long, or broke off.
fn unread(rejection: &BytesRejection) -> Response {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = format!("body: it has more than {BODY_MAX} bytes");
            wire::problem(StatusCode::PAYLOAD_TOO_LARGE, &message)
        }
        _ => wire::problem(StatusCode::BAD_REQUEST, "body: it could not be read to its end"),
    }
}
