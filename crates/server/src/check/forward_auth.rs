//! Forward-auth: a proxy asks about a request and does as the answer says.
//!
//! | the request               | the answer                                                      |
//! |---------------------------|-----------------------------------------------------------------|
//! | passes                    | 200, the rate-limit fields, no body                             |
//! | is denied                 | 429, the rate-limit fields, `Retry-After` and a JSON body       |
//! | gets no decision, `deny`  | 503, `Retry-After` and a JSON body                              |
//! | cannot be read            | 400, a JSON body that names what is wrong with the proxy        |
//!
//! An allowed answer is 200 and not 204, since Envoy takes nothing else. nginx passes on no
//! refusal but 401 and 403, and makes 500 of any other, so its profile refuses with 403; what it
//! would have been is in `X-RateLimit-Status`, and the fields and the body stay as they are. Nor
//! does it pass on a body, but it can make one of a field: `X-RateLimit-Body` holds the same JSON.
//!
//! The body of a request is never read, and a HEAD request is answered as any other, without a
//! body.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::profile::{Original, Profile};
use super::wire;
use crate::front::{Asked, Front, SharedFront};
use crate::telemetry::decided_under;

/// The status that a refusal would have but for nginx.
const REFUSED_AS: HeaderName = HeaderName::from_static("x-ratelimit-status");
/// The body that nginx would else not see.
const REFUSED_WITH: HeaderName = HeaderName::from_static("x-ratelimit-body");
/// The longest body in a field, in bytes: nginx takes a head of one page of memory, 4 KiB.
const BODY_IN_FIELD_MAX: usize = 2048;

/// Answers a proxy.
pub(super) async fn check(State(front): State<SharedFront>, request: Request) -> Response {
    let (parts, _unread) = request.into_parts();
    let Some(&ConnectInfo::<SocketAddr>(peer)) = parts.extensions.get() else {
        tracing::error!("a request came without the address of its peer");
        return wire::problem(StatusCode::INTERNAL_SERVER_ERROR, "the peer is not known");
    };
    let original = Profile::of(&parts.uri).and_then(|profile| Ok((profile, profile.read(&parts)?)));
    match original {
        Ok((profile, original)) => {
            let front = front.load_full();
            let response = decided(&front, peer.ip(), &original, &parts.headers).await;
            let response = if profile == Profile::Nginx { for_nginx(response) } else { response };
            response.map(Body::from)
        }
        Err(error) => wire::problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn decided(
    front: &Front,
    peer: IpAddr,
    original: &Original<'_>,
    headers: &http::HeaderMap,
) -> Response<Bytes> {
    let asked = Asked {
        peer,
        method: &original.method,
        host: original.host(),
        path: original.path(),
        headers,
    };
    let decided = front.decide(asked).await;
    decided_under(&decided.answer.policy.name);
    match front.refusal_for(&decided, headers) {
        Some(refusal) => refusal,
        None => {
            let mut response = Response::new(Bytes::new());
            front.write_headers(&decided, response.headers_mut());
            response
        }
    }
}

/// Makes a refusal one that nginx passes on. A body that no field can hold is in none.
pub(super) fn for_nginx(mut response: Response<Bytes>) -> Response<Bytes> {
    let status = response.status();
    if !status.is_success() {
        response.headers_mut().insert(REFUSED_AS, status.as_u16().into());
        let body = response.body().clone();
        if body.len() <= BODY_IN_FIELD_MAX
            && let Ok(value) = HeaderValue::from_maybe_shared(body)
        {
            response.headers_mut().insert(REFUSED_WITH, value);
        }
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    response
}
