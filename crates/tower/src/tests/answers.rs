//! What clients are told for each outcome.

use transom_core::body::Messages;
use transom_core::headers::{Reset, Style};
use transom_core::{Answer, PathPattern, PolicyName, Unavailable};

use super::scripted::{admitted, denied};
use super::*;

const SIX: [&str; 6] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-limit-second",
    "x-ratelimit-remaining-second",
    "x-ratelimit-reset",
    "x-ratelimit-limited-by",
];

#[tokio::test]
async fn an_admitted_request_gets_the_inner_response_with_true_fields() {
    let gate = Scripted::gate(Policies::default(), Ok(admitted()));
    let upstream = Upstream::default();
    let response = answer(&RateLimitLayer::new(Arc::clone(&gate), user_42), &upstream).await;
    assert_eq!(response.status(), 200);
    let mut present = limit_fields(response.headers());
    present.sort_unstable();
    let mut six = SIX;
    six.sort_unstable();
    assert_eq!(present, six, "the upstream's own fields are gone");
    assert_eq!(field(response.headers(), "x-ratelimit-remaining"), Some("59"));
    assert_eq!(field(response.headers(), "x-own"), Some("kept"));
    assert_eq!(text(response).await, "from upstream");
    assert_eq!((upstream.calls(), gate.limiter().asked()), (1, vec!["user:42 default 1".into()]));
}

#[tokio::test]
async fn a_denied_request_never_reaches_the_inner_service() {
    let gate = Scripted::gate(Policies::default(), Ok(denied()));
    let upstream = Upstream::default();
    let response = answer(&RateLimitLayer::new(gate, user_42), &upstream).await;
    assert_eq!((response.status().as_u16(), upstream.calls()), (429, 0));
    for name in SIX {
        assert!(response.headers().contains_key(name), "{name}");
    }
    assert_eq!(field(response.headers(), "x-ratelimit-limited-by"), Some("second"));
    assert_eq!(field(response.headers(), "retry-after"), Some("1"));
    assert_eq!(field(response.headers(), "cache-control"), Some("no-store"));
    assert_eq!(field(response.headers(), "content-type"), Some("application/json"));
    assert_eq!(
        text(response).await,
        r#"{"message":"You have exceeded your user rate limit.","status_code":429,"retry_after":1}"#
    );
}

#[tokio::test]
async fn fail_closed_answers_503_without_rate_limit_fields() {
    let gate = Scripted::gate(on_failure(OnFailure::Deny), Err(Unavailable::Deadline));
    let upstream = Upstream::default();
    let response = answer(&RateLimitLayer::new(gate, user_42), &upstream).await;
    assert_eq!((response.status().as_u16(), upstream.calls()), (503, 0));
    assert_eq!(limit_fields(response.headers()), [""; 0]);
    assert_eq!(field(response.headers(), "retry-after"), Some("1"));
    let body = text(response).await;
    assert!(body.ends_with(r#""status_code":503,"retry_after":1}"#), "{body}");
}

#[tokio::test]
async fn fail_open_calls_the_inner_service_and_says_why() {
    let gate = Scripted::gate(on_failure(OnFailure::Allow), Err(Unavailable::Deadline));
    let upstream = Upstream::default();
    let response = answer(&RateLimitLayer::new(gate, user_42), &upstream).await;
    assert_eq!((response.status().as_u16(), upstream.calls()), (200, 1));
    assert_eq!(limit_fields(response.headers()), ["x-ratelimit-degraded"]);
    assert_eq!(field(response.headers(), "x-ratelimit-degraded"), Some("deadline"));
}

#[tokio::test]
async fn a_denial_in_shadow_mode_passes_with_true_fields() {
    let gate = Scripted::gate(in_mode(Mode::Shadow), Ok(denied()));
    let upstream = Upstream::default();
    let response = answer(&RateLimitLayer::new(gate, user_42), &upstream).await;
    assert_eq!((response.status().as_u16(), upstream.calls()), (200, 1));
    assert_eq!(field(response.headers(), "x-ratelimit-remaining-second"), Some("0"));
    assert_eq!(field(response.headers(), "retry-after"), None);
}

#[tokio::test]
async fn an_exempt_request_is_not_asked_about_and_carries_no_field() {
    let gate = Scripted::gate(in_mode(Mode::Off), Ok(denied()));
    let upstream = Upstream::default();
    let response = answer(&RateLimitLayer::new(Arc::clone(&gate), user_42), &upstream).await;
    assert_eq!((response.status().as_u16(), upstream.calls()), (200, 1));
    assert_eq!(limit_fields(response.headers()), [""; 0]);
    assert!(gate.limiter().asked().is_empty());
}

#[tokio::test]
async fn a_failure_of_the_inner_service_is_a_response_that_carries_the_fields() {
    let gate = Scripted::gate(Policies::default(), Ok(admitted()));
    let failing = tower::service_fn(async |_: Request<()>| {
        Response::builder().status(500).body(Full::<Bytes>::default())
    });
    let service = RateLimitLayer::new(gate, user_42).layer(failing);
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 500);
    assert_eq!(field(response.headers(), "x-ratelimit-limit"), Some("60"));
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_passed_on() {
    let gate = Scripted::gate(Policies::default(), Ok(admitted()));
    let broken = tower::service_fn(async |_: Request<()>| Err::<Response<String>, _>("broken"));
    let service = RateLimitLayer::new(gate, user_42).layer(broken);
    assert_eq!(service.oneshot(Request::new(())).await.err(), Some("broken"));
}

#[tokio::test]
async fn the_answer_is_among_the_extensions_of_every_response() {
    for decision in [admitted(), denied()] {
        let gate = Scripted::gate(Policies::default(), Ok(decision.clone()));
        let layer = RateLimitLayer::new(gate, user_42);
        let response = answer(&layer, &Upstream::default()).await;
        let told = response.extensions().get::<Answer>();
        assert_eq!(told.and_then(Answer::decision), Some(&decision));
    }
}

#[tokio::test]
async fn style_and_messages_are_those_of_the_application() {
    let gate = Scripted::gate(Policies::default(), Ok(denied()));
    let layer = RateLimitLayer::new(gate, user_42)
        .style(Style { reset: Reset::Epoch, ietf: true, ..Style::default() })
        .messages(Messages { user: "Slow down.".into(), ..Messages::default() });
    let response = answer(&layer, &Upstream::default()).await;
    assert_eq!(field(response.headers(), "x-ratelimit-reset"), Some("1800000001"));
    assert_eq!(field(response.headers(), "ratelimit"), Some("\"second\";r=0;t=1"));
    assert!(text(response).await.starts_with(r#"{"message":"Slow down.","#));
}

/// A policy for one host and path, and requests that name the host in each way.
#[tokio::test]
async fn the_host_of_the_target_goes_before_the_field() {
    let mut policy = Policy::clone(Policies::default().default_policy());
    policy.name = PolicyName::new("people").unwrap();
    policy.host = Some("api.example".into());
    policy.path = Some(PathPattern::parse("/v1/people").unwrap());
    let gate = Scripted::gate(Policies::new(vec![policy]).unwrap(), Ok(admitted()));
    let upstream = Upstream::default();
    let service = RateLimitLayer::new(Arc::clone(&gate), user_42).layer(upstream.service());
    for (uri, host) in [
        ("/v1/people?page=2", "API.example:8080"),
        ("http://api.example/v1/people", "other.example"),
        ("http://other.example/v1/people", "api.example"),
        ("/v1/people", "other.example"),
    ] {
        let request = Request::get(uri).header("host", host).body(()).unwrap();
        service.clone().oneshot(request).await.unwrap();
    }
    let expected =
        ["user:42 people 1", "user:42 people 1", "user:42 default 1", "user:42 default 1"];
    assert_eq!(gate.limiter().asked(), expected);
}
