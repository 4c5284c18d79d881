//! One request in the log: an id by which its lines are found, here and on the other side.
//!
//! The id is taken from `X-Request-Id` where a trusted proxy has set one that can be shown, else it
//! is made here. It goes to the upstream, back to the client, and on every line that concerns the
//! request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::ConnectInfo;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;
use tracing::{Instrument as _, Span};
use transom_core::PolicyName;

use super::{REQUESTS, lines, traces};
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
    /// For the trace.
    span: Span,
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
        let span = traces::request(listener, shown, method, fields, trusted);
        Self { listener, method: method.clone(), id, span, begun: Instant::now() }
    }

    /// The id.
    pub(crate) const fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// Answers the request: what is logged meanwhile carries the id, and so does the response. Then
    /// comes the line about the request, if requests are logged. What answers is boxed: the
    /// futures around it would hold it several times over.
    pub(crate) async fn answer<B>(
        self,
        answer: Pin<Box<impl Future<Output = Response<B>>>>,
    ) -> Response<B> {
        let Self { listener, method, id, span, begun } = self;
        let answer = async {
            let mut response = answer.instrument(span.clone()).await;
            let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let policy = response.extensions_mut().remove::<Matched>().map(|Matched(name)| name);
            let status = status(&response).as_u16();
            traces::answered(&span, status, policy.as_ref());
            tracing::info!(
                target: REQUESTS,
                listener,
                method = method.as_str(),
                policy = policy.as_ref().map(PolicyName::as_str),
                status,
                duration_us = took_us,
            );
            response
        };
        let mut response = lines::about(id.clone(), answer).await;
        response.headers_mut().insert(X_REQUEST_ID, id);
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

/// A service whose every request is answered within its scope.
#[derive(Clone, Debug)]
pub(crate) struct Scoped<S> {
    listener: &'static str,
    front: SharedFront,
    service: S,
}

impl<S> Scoped<S> {
    /// What the listener of this name serves.
    pub(crate) const fn new(listener: &'static str, front: SharedFront, service: S) -> Self {
        Self { listener, front, service }
    }
}

impl<S, B, R> Service<Request<B>> for Scoped<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let is_trusted = |peer: &ConnectInfo<SocketAddr>| {
            self.front.load().identities.is_trusted_proxy(peer.0.ip())
        };
        let trusted = peer.is_some_and(is_trusted);
        let scope = Scope::begin(self.listener, request.method(), request.headers(), trusted);
        let answer = self.service.call(request);
        let answer = Box::pin(async { answer.await.unwrap_or_else(|never| match never {}) });
        Box::pin(async { Ok(scope.answer(answer).await) })
    }
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
