//! Whose turn it is on a connection, and since when; and whether HTTP goes on there.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep};

use super::Shutdown;
use crate::telemetry::metrics::{Cut, ListenerMetrics};
use crate::telemetry::request::status;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// How long a client may take for what is its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For the head of a request, from when the one before it has ended.
    pub(super) head: Duration,
    /// Without a request. Of HTTP/1.1 the shorter of both holds, since its client is always about
    /// to send a head, unless it still sends the body of a request that is answered already.
    pub(super) idle: Duration,
    /// Without taking anything of a response that is ready for it.
    pub(super) unread: Duration,
}

/// What is under way on one connection.
#[derive(Debug)]
pub(super) struct Activity {
    /// Those of the listener. Requests reach them from here, so that cores seldom count the
    /// references to one and the same thing.
    pub(super) metrics: Arc<ListenerMetrics>,
    shutdown: Shutdown,
    begun: Instant,
    /// Whether HTTP has ended here and something else has begun.
    is_tunnel: AtomicBool,
    /// Whether the client has begun to speak HTTP/2.
    is_http2: AtomicBool,
    /// When anything last moved, in milliseconds since the beginning.
    moved_ms: AtomicU64,
    /// Requests that have not ended.
    in_flight: AtomicUsize,
    /// Bodies of requests that are still being taken, which may be longer than the request.
    uploads: AtomicUsize,
    /// Responses of which it is for the client to take more.
    for_client: AtomicUsize,
    /// Since when bytes wait for the client to take some, in the same milliseconds; or [`NEVER`].
    waits_since_ms: AtomicU64,
}

/// Of bytes that do not wait.
const NEVER: u64 = u64::MAX;

impl Activity {
    pub(super) fn new(metrics: Arc<ListenerMetrics>, shutdown: Shutdown) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            shutdown,
            begun: Instant::now(),
            is_tunnel: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            moved_ms: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            uploads: AtomicUsize::new(0),
            for_client: AtomicUsize::new(0),
            waits_since_ms: AtomicU64::new(NEVER),
        })
    }

    /// The client speaks HTTP/2: it may do so before it has anything to ask.
    pub(super) fn speaks_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
    }

    /// Whether the bytes of the connection are those of HTTP no longer.
    pub(super) fn is_tunnel(&self) -> bool {
        self.is_tunnel.load(Ordering::Relaxed)
    }

    /// Begins a request.
    pub(super) fn begin(self: &Arc<Self>) -> Request {
        let now = Instant::now();
        self.moved(now);
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        Request { activity: Arc::clone(self), begun: now, for_client: false, is_at_once: false }
    }

    /// Returns when the client has let its time run out.
    pub(super) async fn over(&self, patience: Patience) -> Cut {
        let Patience { head, idle, unread } = patience;
        loop {
            let now = Instant::now();
            let (limit, why, since_ms) = match self.waits_since_ms.load(Ordering::Relaxed) {
                NEVER => {
                    let Some((limit, why)) = self.turn(&patience) else {
                        // It is not the client's turn.
                        sleep(head.min(idle).min(unread)).await;
                        continue;
                    };
                    // Read after whose turn it is, since it is written before that changes.
                    (limit, why, self.moved_ms.load(Ordering::Acquire))
                }
                since_ms => (unread, Cut::SlowReader, since_ms),
            };
            let passed = now.duration_since(self.begun + Duration::from_millis(since_ms));
            if passed >= limit {
                return why;
            }
            let left = (limit - passed).min(head).min(idle).min(unread);
            sleep(left.max(Duration::from_millis(1))).await;
        }
    }

    /// How long the client may take for what is its turn, and why it is cut then.
    fn turn(&self, patience: &Patience) -> Option<(Duration, Cut)> {
        let Patience { head, idle, unread } = *patience;
        if self.is_idle() {
            let sends_a_head =
                !self.is_http2.load(Ordering::Relaxed) && self.uploads.load(Ordering::Acquire) == 0;
            let by_its_head = sends_a_head && head <= idle;
            return Some(if by_its_head { (head, Cut::HeadTimeout) } else { (idle, Cut::Idle) });
        }
        (self.for_client.load(Ordering::Acquire) > 0).then_some((unread, Cut::SlowReader))
    }

    /// A body is being taken until what is returned is dropped.
    pub(super) fn upload(self: &Arc<Self>) -> Upload {
        self.uploads.fetch_add(1, Ordering::Relaxed);
        Upload(Arc::clone(self))
    }

    /// Bytes were written, or wait for the client to take some.
    pub(super) fn written(&self, waits: bool) {
        let waited = self.waits_since_ms.load(Ordering::Relaxed) != NEVER;
        if waited != waits {
            let now = Instant::now();
            // Its next head may take as long as if it had taken all of it at once.
            self.moved(now);
            let since = if waits { self.ms(now) } else { NEVER };
            self.waits_since_ms.store(since, Ordering::Relaxed);
        }
    }

    /// The client was told to end: from now on the time of an idle connection begins anew.
    pub(super) fn farewell(&self) {
        self.moved(Instant::now());
    }

    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.begun).as_millis()).unwrap_or(NEVER - 1)
    }

    fn moved(&self, now: Instant) {
        self.moved_ms.store(self.ms(now), Ordering::Release);
    }
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Request {
    activity: Arc<Activity>,
    begun: Instant,
    for_client: bool,
    /// It has been answered, and nothing was waited for since.
    is_at_once: bool,
}

impl Request {
    /// It is answered. From now on it is for the client to take the response, except while its body
    /// has nothing to give.
    pub(super) fn answered<B>(mut self, mut response: Response<B>) -> Response<Sent<B>> {
        let now = Instant::now();
        let activity = &self.activity;
        activity.metrics.answered(status(&response), now.duration_since(self.begun));
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            activity.is_tunnel.store(true, Ordering::Relaxed);
        } else if activity.shutdown.is_near() && !activity.is_http2.load(Ordering::Relaxed) {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        self.is_for_client(true, now);
        self.is_at_once = true;
        response.map(|body| Sent { body, request: self })
    }

    fn is_for_client(&mut self, is: bool, now: Instant) {
        self.activity.moved(now);
        match (self.for_client, is) {
            (false, true) => self.activity.for_client.fetch_add(1, Ordering::AcqRel),
            (true, false) => self.activity.for_client.fetch_sub(1, Ordering::AcqRel),
            _ => 0,
        };
        self.for_client = is;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.is_at_once {
            self.activity.moved(Instant::now());
        }
        if self.for_client {
            self.activity.for_client.fetch_sub(1, Ordering::AcqRel);
        }
        self.activity.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of a request that is being taken until this is dropped.
#[derive(Debug)]
pub(super) struct Upload(Arc<Activity>);

impl Upload {
    /// More of it has come. While its request is under way that is no news.
    pub(super) fn moves(&self) {
        if self.0.is_idle() {
            self.0.moved(Instant::now());
        }
    }

    /// The metrics of the listener that it came in by.
    pub(super) fn metrics(&self) -> &ListenerMetrics {
        &self.0.metrics
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.moves();
        self.0.uploads.fetch_sub(1, Ordering::AcqRel);
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
        let mut this = self.project();
        let polled = this.body.as_mut().poll_frame(cx);
        // HTTP/1.1 drops a body that has ended at once; HTTP/2 holds its last part until the client
        // has room for some of it.
        let is_http2 = this.request.activity.is_http2.load(Ordering::Relaxed);
        let is_dropped = this.body.is_end_stream() && !is_http2;
        if !is_dropped {
            this.request.is_for_client(polled.is_ready(), Instant::now());
            this.request.is_at_once = false;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
