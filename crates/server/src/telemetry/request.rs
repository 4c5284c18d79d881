//! One request in the log: an id by which its lines are found, here and on the other side.
//!
//! The id is taken from `X-Request-Id` where a trusted proxy has set one that can be shown, else it
//! is made here. It goes to the upstream, back to the client, and on every line that concerns the
//! request.

use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use tracing::{Instrument as _, Span};
use transom_core::PolicyName;

use super::{REQUESTS, SPANS, traces};
use crate::front::SharedFront;
use crate::identity::only;

/// The field that carries the id of a request.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a proxy, in bytes.
const ID_MAX: usize = 128;

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Scope {
    listener: &'static str,
    method: Method,
    id: HeaderValue,
    /// For the log.
    span: Span,
    /// For the trace.
    traced: Span,
    begun: Instant,
}

/// The policy that a response was decided under, for the line about its request.
#[derive(Clone, Debug)]
pub(crate) struct Matched(pub(crate) PolicyName);

/// The status that a response is counted and logged under, where it is not its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted(pub(crate) StatusCode);

/// The status that a response is counted and logged under.
pub(crate) fn status<B>(response: &Response<B>) -> StatusCode {
    response.extensions().get().map_or_else(|| response.status(), |Counted(status)| *status)
}

impl Scope {
    /// Begins with a request of a listener, whose peer is a `trusted` proxy or is not.
    pub(crate) fn begin(
        listener: &'static str,
        method: &Method,
        fields: &HeaderMap,
        trusted: bool,
    ) -> Self {
        let id = trusted.then(|| told(fields)).flatten().unwrap_or_else(make);
        let shown = id.to_str().unwrap_or_default();
        let span = tracing::error_span!(target: SPANS, "request", request_id = shown);
        let traced = traces::request(listener, shown, method, fields, trusted);
        Self { listener, method: method.clone(), id, span, traced, begun: Instant::now() }
    }

    /// The id.
    pub(crate) const fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// Answers the request within its span: what is logged meanwhile carries the id, and so does
    /// the response. Then comes the line about the request, if requests are logged.
    pub(crate) async fn answer<B>(self, answer: impl Future<Output = Response<B>>) -> Response<B> {
        let answer = answer.instrument(self.traced.clone());
        let mut response = answer.instrument(self.span.clone()).await;
        let took_us = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let policy = response.extensions_mut().remove::<Matched>().map(|Matched(name)| name);
        let status = status(&response).as_u16();
        traces::answered(&self.traced, status, policy.as_ref());
        tracing::info!(
            target: REQUESTS,
            parent: &self.span,
            listener = self.listener,
            method = self.method.as_str(),
            policy = policy.as_ref().map(PolicyName::as_str),
            status,
            duration_us = took_us,
        );
        response.headers_mut().insert(X_REQUEST_ID, self.id);
        response
    }
}

/// The id that a proxy has set: one line of at most [`ID_MAX`] visible letters.
fn told(fields: &HeaderMap) -> Option<HeaderValue> {
    let id = only(fields, &X_REQUEST_ID)?;
    let is_sane =
        (1..=ID_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    is_sane.then(|| id.clone())
}

/// 128 random bits, as 32 hexadecimal digits.
fn make() -> HeaderValue {
    let id = format!("{:032x}", fastrand::u128(..));
    // Digits are visible ASCII.
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("0"))
}

/// Answers every request of the listener of this name within its scope.
pub(crate) async fn scoped(
    State((listener, front)): State<(&'static str, SharedFront)>,
    request: Request,
    next: Next,
) -> axum::response::Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let trusted = peer.is_some_and(|peer| front.load().identities.is_trusted_proxy(peer.0.ip()));
    let scope = Scope::begin(listener, request.method(), request.headers(), trusted);
    scope.answer(next.run(request)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(lines: &[&'static str], trusted: bool) -> String {
        let lines = lines.iter().map(|line| (X_REQUEST_ID, HeaderValue::from_static(line)));
        let scope = Scope::begin("gateway", &Method::GET, &lines.collect(), trusted);
        scope.id().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_trusted_proxy_names_its_request() {
        let longest = "i".repeat(ID_MAX).leak();
        for id in ["a", "0af7651916cd43dd8448eb211c80319c", "x/y=z;\"~", longest] {
            assert_eq!(begun(&[id], true), id);
        }
    }

    #[test]
    fn an_id_that_is_no_ones_or_cannot_be_shown_is_made() {
        let too_long = "i".repeat(ID_MAX + 1).leak();
        for lines in [&[][..], &[""], &["with space"], &["tab\there"], &["a", "b"], &[too_long]] {
            for trusted in [true, false] {
                let made = begun(lines, trusted);
                assert!(made.len() == 32 && u128::from_str_radix(&made, 16).is_ok(), "{made}");
            }
        }
        assert_ne!(begun(&["a"], false), "a");
        assert_ne!(begun(&[], true), begun(&[], true));
    }
}
