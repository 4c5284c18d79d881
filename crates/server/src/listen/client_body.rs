//! The body of a request, for which a client is not waited for without end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::BoxError;
use super::activity::Upload;
use crate::telemetry::metrics::Cut;

/// For so many bytes of a body its client is waited for a second longer.
pub const BODY_BYTES_PER_SECOND: u64 = 256;

/// The client did not send a body in time.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request body did not arrive in time")]
pub struct Stalled;

/// The body of a request. While it is read its client is waited for, over all pauses, as long as
/// [`ListenSettings::body_timeout`](super::ListenSettings::body_timeout) and a second for every
/// [`BODY_BYTES_PER_SECOND`] that have come; then it fails with [`Stalled`]. What came fast earns no
/// more than that time-out. So neither a body that stops nor one that dribbles holds anything up
/// for long.
#[derive(Debug)]
pub struct ClientBody {
    inner: Incoming,
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
    upload: Upload,
}

/// How long a client has been waited for.
#[derive(Debug)]
struct Pace {
    timeout: Duration,
    allowed: Duration,
    waited: Duration,
    waits_since: Option<Instant>,
}

impl ClientBody {
    pub(super) fn new(inner: Incoming, timeout: Duration, upload: Upload) -> Self {
        let pace = Pace { timeout, allowed: timeout, waited: Duration::ZERO, waits_since: None };
        Self { inner, pace, timer: None, upload }
    }

    /// Waits for the client until its time is up.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.pace.waits_since.is_none() {
            let due = self.pace.begin(Instant::now());
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(due),
                None => self.timer = Some(Box::pin(sleep_until(due))),
            }
        }
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Pace {
    /// The client is waited for from now on, at most until the returned time.
    fn begin(&mut self, now: Instant) -> Instant {
        self.waits_since = Some(now);
        now + self.allowed.saturating_sub(self.waited)
    }

    /// So many bytes have come.
    fn end(&mut self, now: impl FnOnce() -> Instant, bytes: usize) {
        if let Some(since) = self.waits_since.take() {
            self.waited += now().saturating_duration_since(since);
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = Duration::from_millis(bytes.saturating_mul(1_000) / BODY_BYTES_PER_SECOND);
        self.allowed = (self.allowed + earned).min(self.waited + self.timeout);
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending => this.poll_late(cx).map(|()| {
                this.upload.metrics().cut(Cut::BodyTimeout);
                Some(Err(Stalled.into()))
            }),
            Poll::Ready(frame) => {
                this.upload.moves();
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                this.pace.end(Instant::now, data.map_or(0, Bytes::len));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How long a client may be waited for that sends `bytes` after each `pause`, `times` times.
    fn left(timeout: Duration, pause: Duration, bytes: usize, times: u32) -> Duration {
        let mut pace =
            Pace { timeout, allowed: timeout, waited: Duration::ZERO, waits_since: None };
        let mut now = Instant::now();
        for _ in 0..times {
            pace.begin(now);
            now += pause;
            pace.end(|| now, bytes);
        }
        pace.begin(now) - now
    }

    #[test]
    fn a_dribble_uses_up_the_time_and_a_stream_does_not() {
        assert_eq!(left(SECOND * 30, SECOND, 256, 1_000), SECOND * 30);
        assert_eq!(left(SECOND * 30, SECOND, 128, 20), SECOND * 20);
        assert_eq!(left(SECOND * 30, SECOND, 0, 31), Duration::ZERO);
        assert_eq!(left(SECOND * 30, Duration::ZERO, 0, 1_000), SECOND * 30);
        assert_eq!(left(SECOND * 30, Duration::ZERO, 1 << 20, 1), SECOND * 30);
    }
}
