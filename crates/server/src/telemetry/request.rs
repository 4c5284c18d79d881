//! One request in the log: an id by which its lines are found, here and on the other side.
//!
//! The id is taken from `X-Request-Id` where a trusted proxy has set one that can be shown, else it
//! is made here. It goes to the upstream, back to the client, and on every line that concerns the
//! request.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use tracing::{Instrument as _, Level, Span};
use transom_core::PolicyName;

use super::{REQUESTS, lines, traces};
use crate::front::SharedFront;
use crate::identity::only;
use crate::listen::{Answering, ClientBody, HttpService};

/// The field that carries the id of a request.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a proxy, in bytes.
const ID_MAX: usize = 128;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Scope {
    listener: &'static str,
    method: Method,
    id: HeaderValue,
    /// For the trace.
    span: Span,
    /// When it began, where there will be a line or a span about it.
    told: Option<Instant>,
}

/// The status that a response is counted and logged under, where it is not its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted(pub(crate) StatusCode);

/// The status that a response is counted and logged under.
pub(crate) fn status<B>(response: &Response<B>) -> StatusCode {
    response.extensions().get().map_or_else(|| response.status(), |Counted(status)| *status)
}

impl Scope {
    /// Begins with a request of a listener, whose peer is a trusted proxy or is not.
    pub(crate) fn begin(
        listener: &'static str,
        method: &Method,
        fields: &HeaderMap,
        is_trusted: impl Fn() -> bool,
    ) -> Self {
        let id = told(fields).filter(|_| is_trusted()).unwrap_or_else(make);
        let shown = id.to_str().unwrap_or_default();
        let span = traces::request(listener, shown, method, fields, is_trusted);
        let is_told = tracing::enabled!(target: REQUESTS, Level::INFO) || !span.is_disabled();
        let told = is_told.then(Instant::now);
        Self { listener, method: method.clone(), id, span, told }
    }

    /// The id.
    pub(crate) const fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// Answers the request: what is logged meanwhile carries the id, and so does the response. Then
    /// comes the line about the request, if requests are logged.
    pub(crate) async fn answer<B>(
        self,
        answer: Pin<Box<impl Future<Output = Response<B>> + ?Sized>>,
    ) -> Response<B> {
        let Self { listener, method, id, span, told } = self;
        let answer = async {
            let response = answer.instrument(span.clone()).await;
            let Some(begun) = told else { return response };
            let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let (policy, status) = (lines::policy(), status(&response).as_u16());
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
        let mut response = lines::about(id.clone(), told.is_some(), answer).await;
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
    let bits = fastrand::u128(..).to_ne_bytes();
    let digit = |place: usize| DIGITS[usize::from(bits[place / 2] >> (place % 2 * 4) & 15)];
    let id: [u8; 32] = std::array::from_fn(digit);
    // Digits are visible ASCII.
    HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("0"))
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

impl<S: HttpService> HttpService for Scoped<S> {
    type Body = S::Body;

    fn answer(&self, request: Request<ClientBody>, peer: SocketAddr) -> Answering<S::Body> {
        let is_trusted = || self.front.load().identities.is_trusted_proxy(peer.ip());
        let scope = Scope::begin(self.listener, request.method(), request.headers(), is_trusted);
        Box::pin(scope.answer(self.service.answer(request, peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(lines: &[&'static str], trusted: bool) -> String {
        let lines = lines.iter().map(|line| (X_REQUEST_ID, HeaderValue::from_static(line)));
        let scope = Scope::begin("gateway", &Method::GET, &lines.collect(), || trusted);
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
