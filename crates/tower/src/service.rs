//! The service in front of the inner one.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{Request, Response};
use tower_service::Service;
use transom_core::{Ask, Identity, Limiter, Mode};

use crate::future::Decided;
use crate::{Identify, RateLimitLayer, ResponseBody, ResponseFuture};

/// Decides each request before the inner service is called; made by a [`RateLimitLayer`].
pub struct RateLimit<S, L, I> {
    inner: S,
    limit: Arc<RateLimitLayer<L, I>>,
}

impl<S, L, I> RateLimit<S, L, I> {
    pub(crate) const fn new(inner: S, limit: Arc<RateLimitLayer<L, I>>) -> Self {
        Self { inner, limit }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service. A request made through it is not limited.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service alone.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// Ready when the inner service is. It stays so, and holds what that took, until the decision is
/// there: a refusal, or a response future that is dropped, gives it back unused.
impl<S, L, I, B, R> Service<Request<B>> for RateLimit<S, L, I>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    L: Limiter + 'static,
    I: Identify,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // A clone need not be ready: it stays here to be polled again, the ready one goes along.
        let unready = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, unready);
        let limit = Arc::clone(&self.limit);
        let style = limit.style;
        let (parts, body) = request.into_parts();
        if let Some(identity) = limit.identify.identify(&parts) {
            let decision = Box::pin(decide(limit, identity, parts));
            return ResponseFuture::deciding(decision, ready, body, style);
        }
        match refuse_unidentified(&limit, &parts) {
            Some(refusal) => ResponseFuture::refused(refusal, style),
            None => {
                let calling = ready.call(Request::from_parts(parts, body));
                ResponseFuture::calling(calling, style)
            }
        }
    }
}

/// Asks the gate. Nothing happens before the first poll, so a request that its client has given up
/// by then is not charged.
async fn decide<L: Limiter, I>(
    limit: Arc<RateLimitLayer<L, I>>,
    identity: Identity,
    parts: Parts,
) -> Decided {
    let ask = Ask {
        identity: &identity,
        method: &parts.method,
        host: host(&parts),
        path: parts.uri.path(),
        cost: None,
        peek: false,
        within: None,
    };
    let answer = limit.gate.ask(ask).await;
    match answer.refusal(&identity, limit.style, &limit.messages) {
        Some(mut refusal) => {
            refusal.extensions_mut().insert(answer);
            Decided::Refused(refusal)
        }
        None => Decided::Passes { parts, answer },
    }
}

/// The response where nobody was found and the policy stands in the way of requests.
fn refuse_unidentified<L: Limiter, I>(
    limit: &RateLimitLayer<L, I>,
    parts: &Parts,
) -> Option<Response<Bytes>> {
    let policy = limit.gate.policies().find(&parts.method, host(parts), parts.uri.path());
    match limit.gate.mode_of(policy) {
        Mode::Enforce => limit.unidentified.refusal(),
        Mode::Shadow | Mode::Off => None,
    }
}

/// The host asked for. A target that names one (HTTP/2, absolute form) goes before the field, as
/// RFC 9112, section 3.2.2, has it.
fn host(parts: &Parts) -> Option<&str> {
    let field = || parts.headers.get(HOST)?.to_str().ok();
    parts.uri.host().or_else(field)
}

impl<S: Clone, L, I> Clone for RateLimit<S, L, I> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.limit))
    }
}

impl<S: fmt::Debug, L, I> fmt::Debug for RateLimit<S, L, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("inner", &self.inner).field("limit", &self.limit).finish()
    }
}
