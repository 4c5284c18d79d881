use axum::body::{Body, Bytes};
use futures_util::stream;

use super::*;
use crate::check::forward_auth::for_nginx;

const CLIENT: (&str, &str) = ("x-forwarded-for", "203.0.113.9");
const NGINX: [(&str, &str); 2] =
    [("x-original-method", "GET"), ("x-original-uri", "/v1/search/people?q=ada")];
const FORWARDED: [(&str, &str); 2] =
    [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/v1/search/people?q=ada")];

async fn check(router: &Router, uri: &str, headers: &[(&str, &str)]) -> Got {
    send(router, "GET", uri, headers, "").await
}

/// The minute limit tells which policy has matched: 60 default, 30 search, 9 shop.
async fn limit(uri: &str, headers: &[(&str, &str)]) -> Option<String> {
    let got = check(&listener(), uri, headers).await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, ""), "{uri} {headers:?}");
    got.header("x-ratelimit-limit").map(str::to_owned)
}

#[tokio::test]
async fn every_profile_finds_the_policy_of_the_original_request() {
    let search = Some("30".to_owned());
    assert_eq!(limit("/check?profile=nginx", &NGINX).await, search);
    for profile in ["traefik", "caddy", "haproxy"] {
        assert_eq!(limit(&format!("/check?profile={profile}"), &FORWARDED).await, search);
    }
    assert_eq!(limit("/check/v1/search/people?q=ada", &[]).await, search);
}

#[tokio::test]
async fn the_method_is_the_original_one() {
    let posted = [("x-original-method", "POST"), ("x-original-uri", "/v1/search/people")];
    assert_eq!(limit("/check?profile=nginx", &posted).await.as_deref(), Some("60"));
    let got = send(&listener(), "POST", "/check/v1/search/people", &[], "").await;
    assert_eq!(got.header("x-ratelimit-limit"), Some("60"));
}

#[tokio::test]
async fn without_a_profile_the_own_method_and_the_path_after_check_count() {
    for uri in ["/check", "/check/", "/check?profile=envoy", "/check/v1/people", "/check//"] {
        assert_eq!(limit(uri, &NGINX).await.as_deref(), Some("60"), "{uri}");
    }
}

#[tokio::test]
async fn a_client_cannot_choose_the_profile_by_its_own_query() {
    for uri in [
        "/check/v1/search/people?profile=nginx",
        "/check/v1/search/people?profile=nonsense",
        "/check/v1/search/people?page=2&page=3",
    ] {
        let forged = [("x-original-method", "POST"), ("x-original-uri", "/cheap")];
        assert_eq!(limit(uri, &forged).await.as_deref(), Some("30"), "{uri}");
    }
    assert_eq!(limit("/check/?profile=nginx", &[]).await.as_deref(), Some("60"));
}

#[tokio::test]
async fn an_absolute_uri_is_taken_apart() {
    for (uri, expected) in [
        ("https://example.com/v1/search/people?q=1", "30"),
        ("https://example.com", "60"),
        ("https://shop.example:8443/v1/people", "9"),
        ("https://shop.example?back=http://example.com/", "9"),
        ("/v1/search/x?back=https://shop.example/", "30"),
    ] {
        let headers = [("x-forwarded-method", "GET"), ("x-forwarded-uri", uri)];
        let found = limit("/check?profile=haproxy", &headers).await;
        assert_eq!(found.as_deref(), Some(expected), "{uri}");
    }
}

#[tokio::test]
async fn the_host_comes_from_the_header_that_the_proxy_sets() {
    let shop = |header| [FORWARDED[0], ("x-forwarded-uri", "/v1/people"), (header, "shop.example")];
    for header in ["x-forwarded-host", "host"] {
        let found = limit("/check?profile=traefik", &shop(header)).await;
        assert_eq!(found.as_deref(), Some("9"), "{header}");
    }
    for uri in ["/check/v1/people", "/check?profile=nginx"] {
        let original = [NGINX[0], ("x-original-uri", "/v1/people")];
        let own = [original.as_slice(), &[("host", "shop.example")]].concat();
        assert_eq!(limit(uri, &own).await.as_deref(), Some("9"), "{uri}");
        let forged = [original.as_slice(), &[("x-forwarded-host", "shop.example")]].concat();
        assert_eq!(limit(uri, &forged).await.as_deref(), Some("60"), "{uri}");
    }
}

#[tokio::test]
async fn a_path_of_any_bytes_is_decided() {
    let headers = [NGINX[0], ("x-original-uri", "/v1/search/café|{}?q=ä")];
    assert_eq!(limit("/check?profile=nginx", &headers).await.as_deref(), Some("30"));
}

#[tokio::test]
async fn an_allowed_answer_is_200_with_the_fields_and_no_body() {
    let got = check(&listener(), "/check/v1/people", &[CLIENT]).await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, ""));
    for (name, value) in [
        ("x-ratelimit-limit", "60"),
        ("x-ratelimit-remaining", "59"),
        ("x-ratelimit-limit-second", "2"),
        ("x-ratelimit-remaining-second", "1"),
        ("x-ratelimit-reset", "60"),
        ("x-ratelimit-limited-by", "minute"),
    ] {
        assert_eq!(got.header(name), Some(value));
    }
    assert_eq!(got.header("retry-after"), None);
}

const DENIED_IP: &str =
    r#"{"message":"You have exceeded your IP rate limit.","status_code":429,"retry_after":1}"#;

#[tokio::test]
async fn a_denied_answer_is_429_with_fields_and_body() {
    let headers = [FORWARDED[0], ("x-forwarded-uri", "/closed")];
    let got = check(&listener(), "/check?profile=traefik", &headers).await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::TOO_MANY_REQUESTS, DENIED_IP));
    for (name, value) in [
        ("retry-after", "1"),
        ("cache-control", "no-store"),
        ("content-type", "application/json"),
        ("x-ratelimit-limit", "30"),
        ("x-ratelimit-remaining-second", "0"),
        ("x-ratelimit-limited-by", "second"),
    ] {
        assert_eq!(got.header(name), Some(value));
    }
    assert_eq!(got.header("x-ratelimit-status"), None);
    assert_eq!(got.header("x-ratelimit-body"), None);
}

#[tokio::test]
async fn nginx_gets_403_for_429_and_is_told_so() {
    let router = listener();
    let allowed = check(&router, "/check?profile=nginx", &NGINX).await;
    assert_eq!(allowed.status, StatusCode::OK);
    assert_eq!(allowed.header("x-ratelimit-status"), None);
    assert_eq!(allowed.header("x-ratelimit-body"), None);
    let headers = [NGINX[0], ("x-original-uri", "/closed")];
    let got = check(&router, "/check?profile=nginx", &headers).await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::FORBIDDEN, DENIED_IP));
    assert_eq!(got.header("x-ratelimit-status"), Some("429"));
    assert_eq!(got.header("x-ratelimit-body"), Some(DENIED_IP));
    assert_eq!(got.header("retry-after"), Some("1"));
    assert_eq!(got.header("x-ratelimit-limit"), Some("30"));
}

#[test]
fn a_body_that_no_field_can_hold_is_in_none() {
    let in_field = |body: &str| {
        let mut response = http::Response::new(Bytes::from(body.to_owned()));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let response = for_nginx(response);
        assert_eq!(
            (response.status(), response.body().as_ref()),
            (StatusCode::FORBIDDEN, body.as_bytes())
        );
        response.headers().get("x-ratelimit-body").map(|value| value.as_bytes().to_vec())
    };
    for body in ["{\"message\":\"Zu schnell für uns\"}", &"x".repeat(2048)] {
        assert_eq!(in_field(body).as_deref(), Some(body.as_bytes()));
    }
    for body in ["two\nlines", "\u{7f}", &"x".repeat(2049)] {
        assert_eq!(in_field(body), None);
    }
}

#[tokio::test]
async fn head_is_answered_as_get_without_a_body() {
    let router = listener();
    let allowed = send(&router, "HEAD", "/check?profile=haproxy", &FORWARDED, "").await;
    assert_eq!(allowed.status, StatusCode::OK);
    assert_eq!(allowed.header("x-ratelimit-limit"), Some("30"));
    let headers = [FORWARDED[0], ("x-forwarded-uri", "/closed")];
    let ask = async |method| send(&router, method, "/check?profile=haproxy", &headers, "").await;
    let (head, get) = (ask("HEAD").await, ask("GET").await);
    assert_eq!((head.status, head.body.as_str()), (StatusCode::TOO_MANY_REQUESTS, ""));
    assert_eq!(head.headers, get.headers);
    assert_eq!(head.header("content-length"), Some(DENIED_IP.len().to_string().as_str()));
}

#[tokio::test]
async fn the_body_of_a_request_is_not_read() {
    let endless = stream::pending::<Result<Bytes, std::io::Error>>();
    let got = send(&listener(), "POST", "/check/v1/people", &[], Body::from_stream(endless)).await;
    assert_eq!(got.status, StatusCode::OK);
}

#[tokio::test]
async fn clients_behind_one_proxy_are_told_apart() {
    let router = listener();
    let ask = async |header| check(&router, "/check/once", &[header]).await.status;
    assert_eq!(ask(CLIENT).await, StatusCode::OK);
    assert_eq!(ask(CLIENT).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(("x-forwarded-for", "203.0.113.10")).await, StatusCode::OK);
    assert_eq!(ask(("authorization", "Bearer k1")).await, StatusCode::OK);
    assert_eq!(ask(("x-api-key", "k1")).await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn an_exempt_client_and_a_policy_that_is_off_get_no_fields() {
    assert_eq!(limit("/check/v1/people", &[("x-forwarded-for", "192.0.2.7")]).await, None);
    assert_eq!(limit("/check/off", &[]).await, None);
}

#[tokio::test]
async fn a_denial_on_trial_passes_with_true_fields() {
    let router = listener();
    let ask = async || check(&router, "/check/trial", &[CLIENT]).await;
    assert_eq!(ask().await.header("x-ratelimit-remaining"), Some("0"));
    let got = ask().await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(got.header("x-ratelimit-limit"), Some("1"));
    assert_eq!(got.header("retry-after"), None);
}
