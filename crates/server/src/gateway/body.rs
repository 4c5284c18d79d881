//! Bodies on their way through the gateway: streamed, never collected.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::failure::Failure;
use super::{forwarded, hop_by_hop};
use crate::listen::{ClientBody, Stalled};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response: one made here, or that of the upstream.
pub type ResponseBody = Either<Full<Bytes>, Incoming>;

/// Leaves out the body of a response to HEAD, and says how long it would have been. hyper does so
/// in HTTP/1.1 only; a body from the upstream is empty already.
pub(super) fn leave_out(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    if let Either::Left(body) = response.body()
        && let Some(length @ 1..) = body.size_hint().exact()
    {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        *response.body_mut() = Either::Left(Full::default());
    }
    response
}

/// The body of a request, watched and bounded as it passes. Its trailers say nothing that a head
/// could not say.
#[derive(Debug)]
pub(super) struct RequestBody {
    inner: ClientBody,
    /// Bytes that may still pass.
    left: Option<u64>,
    /// The header that names users, which no trailer may name.
    user_header: Option<HeaderName>,
    watch: Watch,
}

impl RequestBody {
    /// Lets `max` bytes of a body pass; one that announces more is refused at once.
    pub(super) fn new(inner: ClientBody, max: Option<u64>) -> Result<Self, Failure> {
        if max.is_some_and(|max| inner.size_hint().lower() > max) {
            return Err(Failure::BodyTooLarge);
        }
        let begun = if inner.is_end_stream() { Stage::Ended } else { Stage::Moving };
        let progress = Progress { moved: Instant::now(), stage: begun };
        let watch = Watch(Arc::new(Mutex::new(progress)));
        Ok(Self { inner, left: max, user_header: None, watch })
    }

    /// Keeps trailers from naming this header.
    pub(super) fn keep_out(&mut self, user_header: &HeaderName) {
        self.user_header = Some(user_header.clone());
    }

    /// What is known of the body, also after it has been handed on.
    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    fn pass(&mut self, frame: &mut Frame<Bytes>) -> Result<(), Failure> {
        if let Some(trailers) = frame.trailers_mut() {
            hop_by_hop::strip(trailers);
            forwarded::strip_trailers(trailers, self.user_header.as_ref());
        }
        if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
            let more = u64::try_from(data.len()).unwrap_or(u64::MAX);
            *left = left.checked_sub(more).ok_or(Failure::BodyTooLarge)?;
        }
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let (stage, polled) = match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending => {
                this.watch.progress().stage = Stage::Awaited;
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(mut frame))) => match this.pass(&mut frame) {
                Ok(()) => (Stage::Moving, Some(Ok(frame))),
                Err(failure) => (Stage::TooLarge, Some(Err(failure.into()))),
            },
            Poll::Ready(Some(Err(error))) if error.is::<Stalled>() => {
                (Stage::Stalled, Some(Err(error)))
            }
            Poll::Ready(Some(Err(error))) => (Stage::Broken, Some(Err(error))),
            Poll::Ready(None) => (Stage::Ended, None),
        };
        *this.watch.progress() = Progress { moved: Instant::now(), stage };
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Tells how far the body of a request has come.
#[derive(Clone, Debug)]
pub(super) struct Watch(Arc<Mutex<Progress>>);

#[derive(Clone, Copy, Debug)]
struct Progress {
    moved: Instant,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is for the upstream to take more.
    Moving,
    /// It is for the client to send more.
    Awaited,
    Ended,
    TooLarge,
    Stalled,
    Broken,
}

impl Watch {
    /// What went wrong with the body itself, if anything.
    pub(super) fn failure(&self) -> Option<Failure> {
        match self.progress().stage {
            Stage::TooLarge => Some(Failure::BodyTooLarge),
            Stage::Stalled => Some(Failure::BodyStalled),
            Stage::Broken => Some(Failure::BodyBroken),
            Stage::Moving | Stage::Awaited | Stage::Ended => None,
        }
    }

    /// Returns when nothing has moved for as long as `limit`, with whose turn it was.
    pub(super) async fn stalled(&self, limit: Duration) -> Failure {
        loop {
            let Progress { moved, stage } = *self.progress();
            let due = moved + limit;
            if due <= Instant::now() {
                return match stage {
                    Stage::Awaited => Failure::BodyStalled,
                    _ => Failure::ResponseTimeout,
                };
            }
            tokio::time::sleep_until(due).await;
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
