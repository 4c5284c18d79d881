//! `POST /v1/decide`: a service names who asks, and is told what was decided.
//!
//! The answer is 200 with the JSON of [`wire`], a denial too; it is a value here, not a refusal.
//! The rate-limit fields are not written: they would be about the service, and a batch has many.
//! A request alone that gets no decision where its policy says `deny` is answered with 503 and
//! `Retry-After`.
//!
//! The content type is not looked at. What parses is meant as JSON, and `curl -d` works as it is.

use std::error::Error;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body::Body as HttpBody;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use transom_core::{Answer, Identity};

use super::requests::{self, Asked};
use super::{BODY_MAX, batch, wire};
use crate::front::{Decided, Front, SharedFront};
use crate::telemetry::decided_under;

/// Answers a service, by the front that is there when all of its question is.
pub(super) async fn decide<B>(front: SharedFront, body: B) -> Response
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("body: it has more than {BODY_MAX} bytes");
            return wire::problem(StatusCode::PAYLOAD_TOO_LARGE, &message);
        }
        Err(_) => {
            let message = "body: it could not be read to its end";
            return wire::problem(StatusCode::BAD_REQUEST, message);
        }
    };
    let front = &*front.load_full();
    match Asked::read(&body, front.identities.ipv6_prefix()) {
        Ok(Asked::One(request)) => {
            let answer = request.ask(front).await;
            reply(front, request.identity, answer)
        }
        // Boxed, so that one alone does not take the room of many.
        Ok(Asked::Many(requests)) => Box::pin(many(front, requests)).await,
        Err(error) => wire::problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// What becomes of the answer to a request alone.
fn reply(front: &Front, identity: Identity, answer: Answer) -> Response {
    let decided = Decided { identity, answer };
    decided_under(&decided.answer.policy.name);
    match wire::undecided(front, &decided) {
        Some(refusal) => refusal.map(Body::from),
        None => wire::reply(&decided),
    }
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
    wire::replies(front, &decided)
}
