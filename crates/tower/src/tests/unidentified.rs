//! Requests in which nobody is found.

use http::HeaderValue;

use super::scripted::admitted;
use super::*;
use crate::Unidentified;

const fn nobody(_: &Parts) -> Option<Identity> {
    None
}

/// The status, how often the inner service was called, and the whole response.
async fn outcome(mode: Mode, unidentified: Unidentified) -> (u16, usize, Response<String>) {
    let gate = Scripted::gate(in_mode(mode), Ok(admitted()));
    let layer = RateLimitLayer::new(Arc::clone(&gate), nobody).unidentified(unidentified);
    let upstream = Upstream::default();
    let response = answer(&layer, &upstream).await;
    assert!(gate.limiter().asked().is_empty(), "there is nobody to ask about");
    assert_eq!(limit_fields(response.headers()), [""; 0]);
    let (parts, body) = response.into_parts();
    let body = text(Response::new(body)).await;
    (parts.status.as_u16(), upstream.calls(), Response::from_parts(parts, body))
}

#[tokio::test]
async fn a_request_without_an_identity_is_refused_unless_the_application_says_otherwise() {
    let (status, calls, response) = outcome(Mode::Enforce, Unidentified::default()).await;
    assert_eq!((status, calls), (403, 0));
    assert_eq!(field(response.headers(), "retry-after"), None);
    assert_eq!(
        response.body(),
        r#"{"message":"The rate limiter cannot tell who is asking.","status_code":403}"#
    );
}

#[tokio::test]
async fn a_challenge_is_401_with_the_scheme() {
    let challenge = Unidentified::Challenge(HeaderValue::from_static("Bearer"));
    let (status, calls, response) = outcome(Mode::Enforce, challenge).await;
    assert_eq!((status, calls), (401, 0));
    assert_eq!(field(response.headers(), "www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn the_unidentified_pass_without_fields_where_the_application_says_so() {
    let (status, calls, response) = outcome(Mode::Enforce, Unidentified::Pass).await;
    assert_eq!((status, calls, response.body().as_str()), (200, 1, "from upstream"));
}

#[tokio::test]
async fn the_unidentified_pass_where_the_policy_does_not_enforce() {
    for mode in [Mode::Shadow, Mode::Off] {
        let (status, calls, _) = outcome(mode, Unidentified::Forbid).await;
        assert_eq!((status, calls), (200, 1), "{mode}");
    }
}
