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
//! would have been is in `X-RateLimit-Status`, and the fields and the body stay as they are.
//!
//! The body of a request is never read, and a HEAD request is answered as any other, without a
//! body.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::{HeaderName, StatusCode};

use super::profile::{Original, Profile};
use super::wire;
use crate::front::{Asked, Front, SharedFront};
use crate::telemetry::request::Matched;

/// The status that a refusal would have but for nginx.
const REFUSED_AS: HeaderName = HeaderName::from_static("x-ratelimit-status");

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
            if profile == Profile::Nginx { for_nginx(response) } else { response }
        }
        Err(error) => wire::problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn decided(
    front: &Front,
    peer: IpAddr,
    original: &Original<'_>,
    headers: &http::HeaderMap,
) -> Response {
    let asked = Asked {
        peer,
        method: &original.method,
        host: original.host(),
        path: original.path(),
        headers,
    };
    let decided = front.decide(asked).await;
    let mut response = match front.refusal_for(&decided, headers) {
        Some(refusal) => refusal.map(Body::from),
        None => {
            let mut response = Response::new(Body::empty());
            front.write_headers(&decided, response.headers_mut());
            response
        }
    };
    response.extensions_mut().insert(Matched(decided.answer.policy.name.clone()));
    response
}

/// Makes a refusal one that nginx passes on.
fn for_nginx(mut response: Response) -> Response {
    let status = response.status();
    if !status.is_success() {
        response.headers_mut().insert(REFUSED_AS, status.as_u16().into());
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    response
}
