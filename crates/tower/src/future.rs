//! The way of one request through the layer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;
use transom_core::{Answer, headers};

use crate::ResponseBody;

/// The decision under way. It is boxed because the futures of a limiter have no names.
pub(crate) type Deciding = Pin<Box<dyn Future<Output = Decided> + Send>>;

/// Where a request goes.
#[expect(clippy::large_enum_variant, reason = "a request that passes is the common one")]
pub(crate) enum Decided {
    /// On to the inner service.
    Passes {
        /// The head of the request.
        parts: Parts,
        /// What the response will say.
        answer: Answer,
    },
    /// Nowhere.
    Refused(Response<Bytes>),
}

pin_project! {
    /// Waits for the decision, then for the inner service.
    ///
    /// Dropped before the decision, it gives the inner service back unused; the request may have
    /// been charged if it was polled, and is not if it never was.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
        style: headers::Style,
    }
}

pin_project! {
    #[project = StateProjected]
    #[project_replace = StateTaken]
    enum State<S, B, F> {
        Deciding { decision: Deciding, ready: S, body: B },
        Calling { #[pin] response: F, answer: Option<Answer> },
        Refused { refusal: Response<Bytes> },
        Done,
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    /// Waits for the decision, with the inner service that was ready when it began.
    pub(crate) const fn deciding(
        decision: Deciding,
        ready: S,
        body: B,
        style: headers::Style,
    ) -> Self {
        Self { state: State::Deciding { decision, ready, body }, style }
    }

    /// Waits for the response to a request about which nobody was asked.
    pub(crate) const fn calling(response: S::Future, style: headers::Style) -> Self {
        Self { state: State::Calling { response, answer: None }, style }
    }

    /// Refuses at once.
    pub(crate) const fn refused(refusal: Response<Bytes>, style: headers::Style) -> Self {
        Self { state: State::Refused { refusal }, style }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjected::Deciding { decision, .. } => {
                    let decided = ready!(decision.as_mut().poll(cx));
                    let before = this.state.as_mut().project_replace(State::Done);
                    if let StateTaken::Deciding { ready, body, .. } = before {
                        this.state.set(after(decided, ready, body));
                    }
                }
                StateProjected::Calling { response, answer } => {
                    let response = ready!(response.poll(cx));
                    let answer = answer.take();
                    this.state.set(State::Done);
                    return Poll::Ready(
                        response.map(|response| finish(response, answer, *this.style)),
                    );
                }
                StateProjected::Refused { .. } => {
                    let before = this.state.as_mut().project_replace(State::Done);
                    if let StateTaken::Refused { refusal } = before {
                        return Poll::Ready(Ok(refusal.map(ResponseBody::refusal)));
                    }
                }
                // It has ended, and nobody polls it again.
                StateProjected::Done => return Poll::Pending,
            }
        }
    }
}

/// Calls the inner service, or gives it back with the decision that it is not called.
fn after<S, B>(decided: Decided, mut ready: S, body: B) -> State<S, B, S::Future>
where
    S: Service<Request<B>>,
{
    match decided {
        Decided::Passes { parts, answer } => State::Calling {
            response: ready.call(Request::from_parts(parts, body)),
            answer: Some(answer),
        },
        Decided::Refused(refusal) => State::Refused { refusal },
    }
}

/// Makes the inner service's response say what was decided, or nothing where nothing was.
fn finish<R>(
    mut response: Response<R>,
    answer: Option<Answer>,
    style: headers::Style,
) -> Response<ResponseBody<R>> {
    if let Some(answer) = answer {
        answer.write_headers(style, response.headers_mut());
        response.extensions_mut().insert(answer);
    } else {
        headers::remove(response.headers_mut());
    }
    response.map(ResponseBody::inner)
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Deciding { .. } => "deciding",
            State::Calling { .. } => "calling",
            State::Refused { .. } => "refused",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
