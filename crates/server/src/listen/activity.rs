//! Whose turn it is on a connection, and since when.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep};

use crate::telemetry::metrics::Cut;

/// What is under way on one connection.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    /// When anything last moved, in milliseconds since the beginning.
    moved_ms: AtomicU64,
    /// Requests that have not ended.
    in_flight: AtomicUsize,
    /// Responses of which it is for the client to take more.
    for_client: AtomicUsize,
    /// Since when bytes wait for the client to take some, in the same milliseconds; or [`NEVER`].
    waits_since_ms: AtomicU64,
}

/// Of bytes that do not wait.
const NEVER: u64 = u64::MAX;

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            moved_ms: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            for_client: AtomicUsize::new(0),
            waits_since_ms: AtomicU64::new(NEVER),
        })
    }

    /// Begins a request.
    pub(super) fn begin(self: &Arc<Self>) -> Request {
        self.moved();
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Request { activity: Arc::clone(self), for_client: false }
    }

    /// Returns when the connection has had no request for as long as `idle`, or when its client
    /// has not taken anything of a response for as long as `unread`.
    pub(super) async fn over(&self, idle: Duration, unread: Duration) -> Cut {
        loop {
            let (quiet, blocked) = (self.quiet(), self.blocked());
            let left = if blocked >= unread {
                return Cut::SlowReader;
            } else if self.is_idle() {
                if quiet >= idle {
                    return Cut::Idle;
                }
                idle - quiet
            } else if self.for_client.load(Ordering::Relaxed) > 0 {
                if quiet >= unread {
                    return Cut::SlowReader;
                }
                unread - quiet
            } else {
                idle
            };
            sleep(left.min(unread - blocked).max(Duration::from_millis(1))).await;
        }
    }

    /// Bytes were written, or wait for the client to take some.
    pub(super) fn written(&self, waits: bool) {
        let waited = self.waits_since_ms.load(Ordering::Relaxed) != NEVER;
        if waited != waits {
            let since = if waits { self.now_ms() } else { NEVER };
            self.waits_since_ms.store(since, Ordering::Relaxed);
        }
    }

    /// Returns when no request has been under way for as long as `grace`, from now on.
    pub(super) async fn ended(&self, grace: Duration) {
        sleep(grace).await;
        while !self.is_idle() || self.quiet() < grace {
            sleep(grace).await;
        }
    }

    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    fn moved(&self) {
        self.moved_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    fn quiet(&self) -> Duration {
        self.since(self.moved_ms.load(Ordering::Relaxed))
    }

    /// How long bytes have waited for the client.
    fn blocked(&self) -> Duration {
        self.since(self.waits_since_ms.load(Ordering::Relaxed))
    }

    fn since(&self, ms: u64) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(ms))
    }
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Request {
    activity: Arc<Activity>,
    for_client: bool,
}

impl Request {
    /// Its response has this body. From now on it is for the client to take it, except while the
    /// body has nothing to give.
    pub(super) fn with<B>(mut self, body: B) -> Sent<B> {
        self.is_for_client(true);
        Sent { body, request: self }
    }

    fn is_for_client(&mut self, is: bool) {
        self.activity.moved();
        match (self.for_client, is) {
            (false, true) => self.activity.for_client.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.activity.for_client.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
        self.for_client = is;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.is_for_client(false);
        self.activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// The body of a response that is being sent.
    pub(super) struct Sent<B> {
        #[pin]
        body: B,
        request: Request,
    }
}

impl<B: Body> Body for Sent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.body.poll_frame(cx);
        this.request.is_for_client(polled.is_ready());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
