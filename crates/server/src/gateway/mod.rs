//! The gateway: a reverse proxy that asks before it forwards.
//!
//! The decision comes before any of the body is read. A request that does not pass is answered
//! here; one that passes goes to the [`Upstream`], and whatever comes back, an error made here
//! included, carries the rate-limit fields.
//!
//! Where `headers.expose` says that scripts of other origins may read the fields, they may read what
//! is answered here, too: a refusal says nothing but what limits its caller.

mod body;
mod echo;
mod failure;
mod forwarded;
mod hop_by_hop;
mod proxy;
mod upgrade;
mod upstream;

use std::net::{IpAddr, SocketAddr};

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{Either, Full};

use crate::front::{Asked, Front, SharedFront};
use crate::identity::UserHeader;
use crate::listen::{Answering, ClientBody, HttpService};
use crate::telemetry::decided_under;
use crate::telemetry::request::Scope;

pub use body::ResponseBody;
pub use echo::serve_echo;
pub(crate) use hop_by_hop::{spelled, take_out};
#[doc(hidden)]
pub use upstream::fields_for_upstream;
pub use upstream::{Upstream, UpstreamError, UpstreamSettings};

/// The service of the gateway's listener, for [`listen::serve`](crate::listen::serve).
#[derive(Clone, Debug)]
pub struct Gateway {
    front: SharedFront,
}

impl Gateway {
    /// A gateway that asks `front` and forwards to its upstream.
    pub const fn new(front: SharedFront) -> Self {
        Self { front }
    }

    async fn respond(self, request: Request<ClientBody>, peer: IpAddr) -> Response<ResponseBody> {
        let is_head = request.method() == Method::HEAD;
        let (parts, body) = request.into_parts();
        let front = self.front.load_full();
        let trusted = front.identities.is_trusted_proxy(peer);
        let scope = Scope::begin("gateway", &parts.method, &parts.headers, || trusted);
        let user = front.identities.user_header(trusted, &parts.headers);
        let request_id = scope.id().clone();
        let received = Received { request_id, parts, body, peer, trusted, user };
        let response = scope.answer(Box::pin(self.decide_and_forward(&front, received))).await;
        if is_head { body::leave_out(response) } else { response }
    }

    async fn decide_and_forward(
        &self,
        front: &Front,
        received: Received,
    ) -> Response<ResponseBody> {
        let parts = &received.parts;
        let asked = Asked {
            peer: received.peer,
            method: &parts.method,
            host: host(parts),
            path: parts.uri.path(),
            headers: &parts.headers,
        };
        let decided = front.decide(asked).await;
        let may_be_read = front.style.expose && parts.headers.contains_key(ORIGIN);
        let mut response = match front.refusal_for(&decided, &parts.headers) {
            Some(refusal) => refusal.map(|json| Either::Left(Full::new(json))),
            None => {
                let mut response = front.upstream.answer(received).await;
                front.write_headers(&decided, response.headers_mut());
                response
            }
        };
        if may_be_read && matches!(response.body(), Either::Left(_)) {
            let any = HeaderValue::from_static("*");
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
        }
        decided_under(&decided.answer.policy.name);
        response
    }
}

impl HttpService for Gateway {
    type Body = ResponseBody;

    fn answer(&self, request: Request<ClientBody>, peer: SocketAddr) -> Answering<ResponseBody> {
        Box::pin(self.clone().respond(request, peer.ip().to_canonical()))
    }
}

/// A request that may pass, and where it came from.
#[derive(Debug)]
struct Received {
    parts: Parts,
    body: ClientBody,
    /// By which the request is found in logs.
    request_id: HeaderValue,
    /// The other end of the TCP connection.
    peer: IpAddr,
    /// Whether that is a proxy whose word counts.
    trusted: bool,
    /// The header that names users, where one does.
    user: Option<UserHeader>,
}

/// The host asked for: that of an absolute target or of HTTP/2, else the field.
fn host(parts: &Parts) -> Option<&str> {
    match parts.uri.authority() {
        Some(authority) => Some(host_of(authority)),
        None => parts.headers.get(HOST)?.to_str().ok(),
    }
}

/// Host and port, without a user name.
fn host_of(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

#[cfg(test)]
mod tests;
