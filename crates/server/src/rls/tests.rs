//! The service without a socket: what Envoy is told of what was decided.

use axum::body::{Body, to_bytes};
use prost::Message as _;
use tower::ServiceExt as _;
use transom_core::{Mode, OnFailure};

use super::wire::{Code, Descriptor, Entry, Unit};
use super::*;
use crate::check::tests::{front, local, lost_redis, policy};
use crate::telemetry::request::status;

fn service(backend: crate::backend::Backend) -> Router {
    let mut trial = policy("trial", "/trial", 1, 1);
    trial.mode = Mode::Shadow;
    let mut off = policy("off", "/off", 1, 1);
    off.mode = Mode::Off;
    let once = policy("once", "/once", 1, 1);
    let twice = policy("twice", "/twice", 2, 9);
    let mut allow = policy("allow", "/allow", 5, 5);
    allow.on_failure = OnFailure::Allow;
    let mut deny = policy("deny", "/deny", 5, 5);
    deny.on_failure = OnFailure::Deny;
    router(front(vec![trial, off, once, twice, allow, deny], backend))
}

/// What a call was answered with: the status it is counted under, and the reply or the error.
#[derive(Debug)]
struct Got {
    counted: u16,
    reply: Result<RateLimitResponse, Status>,
}

async fn send(service: &Router, path: &str, message: &[u8]) -> Got {
    let length = u32::try_from(message.len()).unwrap();
    let body = [&[0], &length.to_be_bytes()[..], message].concat();
    let request = Request::post(path).header("content-type", "application/grpc");
    let response = service.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let counted = status(&response).as_u16();
    let error = Status::from_header_map(response.headers());
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let reply = match error {
        Some(error) => Err(error),
        None => Ok(RateLimitResponse::decode(&body[5..]).unwrap()),
    };
    Got { counted, reply }
}

/// Asks about a request of user 1 to each of these paths.
async fn ask(service: &Router, paths: &[&str]) -> Got {
    let entry = |key: &str, value: &str| Entry { key: key.to_owned(), value: value.into() };
    let descriptor = |path: &&str| Descriptor {
        entries: vec![entry("user", "1"), entry("path", path)],
        ..Descriptor::default()
    };
    let descriptors = paths.iter().map(descriptor).collect();
    let request = RateLimitRequest { descriptors, ..RateLimitRequest::default() };
    send(service, PATH, &request.encode_to_vec()).await
}

fn codes(reply: &RateLimitResponse) -> (Code, Vec<Code>) {
    let statuses = reply.statuses.iter().map(|status| status.code());
    (reply.overall_code(), statuses.collect())
}

fn field<'a>(reply: &'a RateLimitResponse, name: &str) -> Option<&'a str> {
    let found = reply.response_headers_to_add.iter().find(|field| field.key == name);
    found.map(|field| field.value.as_str())
}

#[tokio::test]
async fn an_admission_carries_the_fields_and_the_window_that_they_name() {
    let got = ask(&service(local()), &["/twice"]).await;
    let reply = got.reply.unwrap();
    assert_eq!((got.counted, codes(&reply)), (200, (Code::Ok, vec![Code::Ok])));
    assert_eq!(field(&reply, "x-ratelimit-remaining"), Some("1"));
    assert_eq!((field(&reply, "retry-after"), reply.raw_body.len()), (None, 0));
    let status = &reply.statuses[0];
    let limit = status.current_limit.as_ref().unwrap();
    assert_eq!(
        (limit.requests_per_unit, limit.unit(), limit.name.as_str()),
        (2, Unit::Minute, "twice")
    );
    assert_eq!(status.limit_remaining, 1);
    assert!((59..=60).contains(&status.duration_until_reset.unwrap().seconds), "{status:?}");
}

#[tokio::test]
async fn one_denial_denies_and_its_fields_and_body_are_sent() {
    let service = service(local());
    assert!(ask(&service, &["/once"]).await.reply.is_ok());
    let got = ask(&service, &["/twice", "/once", "/off"]).await;
    let reply = got.reply.unwrap();
    let expected = (Code::OverLimit, vec![Code::Ok, Code::OverLimit, Code::Ok]);
    assert_eq!((got.counted, codes(&reply)), (429, expected));
    assert_eq!(field(&reply, "x-ratelimit-limit"), Some("1"));
    assert_eq!(field(&reply, "content-type"), Some("application/json"));
    let wait = field(&reply, "retry-after").unwrap();
    let body = String::from_utf8(reply.raw_body.clone()).unwrap();
    let message = "You have exceeded your user rate limit.";
    assert_eq!(
        body,
        format!(r#"{{"message":"{message}","status_code":429,"retry_after":{wait}}}"#)
    );
    // What another descriptor was charged stays so.
    let left = ask(&service, &["/twice"]).await.reply.unwrap();
    assert_eq!(left.statuses[0].limit_remaining, 0);
}

#[tokio::test]
async fn of_admissions_the_tightest_gives_the_fields() {
    let reply = ask(&service(local()), &["/off", "/twice", "/once"]).await.reply.unwrap();
    assert_eq!(field(&reply, "x-ratelimit-limit"), Some("1"));
    assert_eq!(codes(&reply), (Code::Ok, vec![Code::Ok; 3]));
}

#[tokio::test]
async fn what_is_exempt_or_on_trial_passes() {
    let service = service(local());
    let reply = ask(&service, &["/off"]).await.reply.unwrap();
    assert_eq!(
        (codes(&reply), reply.response_headers_to_add.len()),
        ((Code::Ok, vec![Code::Ok]), 0)
    );
    assert_eq!(reply.statuses[0].current_limit, None);
    ask(&service, &["/trial"]).await.reply.unwrap();
    let reply = ask(&service, &["/trial"]).await.reply.unwrap();
    assert_eq!(codes(&reply), (Code::Ok, vec![Code::Ok]));
    assert_eq!(field(&reply, "x-ratelimit-remaining"), Some("0"));
}

#[tokio::test]
async fn without_a_decision_the_policy_holds_and_nothing_is_over_a_limit() {
    let service = service(lost_redis());
    for paths in [&["/deny"][..], &["/once", "/deny"]] {
        let got = ask(&service, paths).await;
        let error = got.reply.unwrap_err();
        assert_eq!((got.counted, error.code()), (503, tonic::Code::Unavailable));
        let place = paths.len() - 1;
        assert_eq!(error.message(), format!("descriptors[{place}]: no decision: unreachable"));
    }
    let reply = ask(&service, &["/allow"]).await.reply.unwrap();
    assert_eq!(codes(&reply), (Code::Ok, vec![Code::Unknown]));
    assert_eq!(field(&reply, "x-ratelimit-degraded"), Some("unreachable"));
    assert_eq!(field(&reply, "x-ratelimit-limit"), None);
    let reply = ask(&service, &["/twice"]).await.reply.unwrap();
    assert_eq!(field(&reply, "x-ratelimit-degraded"), Some("unreachable"));
    assert_eq!(field(&reply, "x-ratelimit-limit"), Some("2"));
    // Decided in process, and known to be over a limit.
    let got = ask(&service, &["/once", "/deny"]).await;
    assert_eq!(codes(&got.reply.unwrap()), (Code::OverLimit, vec![Code::OverLimit, Code::Unknown]));
}

#[tokio::test]
async fn what_is_no_call_is_an_error_of_its_kind() {
    let service = service(local());
    for (path, message, code, counted) in [
        (PATH, &b""[..], tonic::Code::InvalidArgument, 400),
        (PATH, b"\xff\xff", tonic::Code::Internal, 500),
        (PATH, &vec![0; REQUEST_MAX + 1], tonic::Code::OutOfRange, 400),
        ("/grpc.health.v1.Health/Check", b"", tonic::Code::Unimplemented, 404),
    ] {
        let got = send(&service, path, message).await;
        assert_eq!((got.reply.unwrap_err().code(), got.counted), (code, counted), "{path}");
    }
}
