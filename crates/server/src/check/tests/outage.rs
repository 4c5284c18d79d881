//! Redis is configured and not there.

use super::*;

const UNAVAILABLE: &str = concat!(
    r#"{"message":"The rate limiter is unavailable. Try again shortly.","#,
    r#""status_code":503,"retry_after":1}"#
);

fn listener() -> Router {
    crate::check::router(front(policies(), lost_redis()))
}

#[tokio::test]
async fn a_proxy_is_refused_with_503_under_deny_and_nginx_with_403() {
    let router = listener();
    let got = send(&router, "GET", "/check/deny", &[], "").await;
    assert_eq!((got.status.as_u16(), got.body.as_str()), (503, UNAVAILABLE));
    assert_eq!(got.header("retry-after"), Some("1"));
    assert_eq!((got.header("x-ratelimit-limit"), got.header("x-ratelimit-status")), (None, None));
    let headers = [("x-original-method", "GET"), ("x-original-uri", "/deny")];
    let got = send(&router, "GET", "/check?profile=nginx", &headers, "").await;
    assert_eq!((got.status.as_u16(), got.body.as_str()), (403, UNAVAILABLE));
    assert_eq!(got.header("x-ratelimit-status"), Some("503"));
    assert_eq!(got.header("x-ratelimit-body"), Some(UNAVAILABLE));
}

#[tokio::test]
async fn a_proxy_hears_why_a_request_passes_without_redis() {
    let router = listener();
    let allow = send(&router, "GET", "/check/allow", &[], "").await;
    assert_eq!((allow.status.as_u16(), allow.header("x-ratelimit-limit")), (200, None));
    assert_eq!(allow.header("x-ratelimit-degraded"), Some("unreachable"));
    let local = send(&router, "GET", "/check/wide", &[], "").await;
    assert_eq!((local.status.as_u16(), local.header("x-ratelimit-limit")), (200, Some("1000")));
    assert_eq!(local.header("x-ratelimit-degraded"), Some("unreachable"));
}

#[tokio::test]
async fn a_service_is_refused_with_503_under_deny() {
    let got = decide(&listener(), r#"{"identity":"user:1","path":"/deny"}"#).await;
    assert_eq!((got.status.as_u16(), got.body.as_str()), (503, UNAVAILABLE));
    assert_eq!(got.header("retry-after"), Some("1"));
    assert_eq!(got.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_service_is_allowed_without_numbers_under_allow() {
    let got = decide(&listener(), r#"{"identity":"user:1","path":"/allow"}"#).await;
    let expected = concat!(
        r#"{"allowed":true,"identity":"user:1","policy":"allow","limited_by":null,"#,
        r#""retry_after_ms":null,"reset_ms":null,"minute":null,"second":null,"#,
        r#""at_us":null,"source":"none","degraded":"unreachable"}"#
    );
    assert_eq!((got.status.as_u16(), got.body.as_str()), (200, expected));
}

#[tokio::test]
async fn a_service_hears_that_the_process_decided() {
    let got = decide(&listener(), r#"{"identity":"user:1","path":"/wide"}"#).await;
    assert!(got.body.ends_with(r#""source":"local","degraded":"unreachable"}"#), "{}", got.body);
}

#[tokio::test]
async fn in_a_batch_only_the_items_that_are_denied_hold_an_error() {
    let item = |path: &str| format!(r#"{{"identity":"user:1","path":"{path}"}}"#);
    let requests = ["/deny", "/allow", "/deny"].map(item).join(",");
    let got = decide(&listener(), &format!(r#"{{"requests":[{requests}]}}"#)).await;
    assert_eq!(got.status.as_u16(), 200);
    let error = format!(r#"{{"error":{UNAVAILABLE}}}"#);
    assert!(got.body.starts_with(&format!(r#"{{"results":[{error},{{"allowed":true,"#)));
    assert!(got.body.ends_with(&format!(r#""degraded":"unreachable"}},{error}]}}"#)));
}
