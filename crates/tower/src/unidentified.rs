//! What happens to a request without an identity.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

/// What happens to a request in which [`Identify`](crate::Identify) finds nobody.
///
/// It cannot be limited: one bucket for all who are unknown would let one of them shut out the
/// rest. So it is refused unless the application says otherwise. Where its policy is in mode
/// `off` or `shadow` it passes, because there the layer does not stand in the way.
///
/// To limit the unknown by address, do not choose here, but name a second way to find an
/// identity: [`Identify::or`](crate::Identify::or).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unidentified {
    /// Refused with 403.
    #[default]
    Forbid,
    /// Refused with 401 and this `WWW-Authenticate`, for an API in which every caller has to
    /// authenticate.
    Challenge(HeaderValue),
    /// Passes without a limit and without the fields, like an exempt request. Whoever can make a
    /// request without an identity is then not limited at all.
    Pass,
}

impl Unidentified {
    /// The response to the request; `None` where it passes. There is no `Retry-After`: waiting
    /// does not help.
    pub(crate) fn refusal(&self) -> Option<Response<Bytes>> {
        let (status, body) = match self {
            Self::Forbid => (StatusCode::FORBIDDEN, FORBIDDEN),
            Self::Challenge(_) => (StatusCode::UNAUTHORIZED, UNAUTHORIZED),
            Self::Pass => return None,
        };
        let mut response = Response::new(Bytes::from_static(body.as_bytes()));
        *response.status_mut() = status;
        let fields = response.headers_mut();
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Self::Challenge(challenge) = self {
            fields.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        Some(response)
    }
}

const FORBIDDEN: &str =
    r#"{"message":"The rate limiter cannot tell who is asking.","status_code":403}"#;
const UNAUTHORIZED: &str =
    r#"{"message":"The rate limiter cannot tell who is asking.","status_code":401}"#;
