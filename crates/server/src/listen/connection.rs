//! One connection: HTTP on it, its time limits, and its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::ServiceExt;
use tower_service::Service;

use crate::telemetry::metrics::{ListenerMetrics, Open};

/// The most header fields of a request; with more it is answered 431.
pub const MAX_HEADERS: usize = 100;
/// The most bytes of a request's head; with more it is answered 431. Also the most bytes of a
/// body that are held at a time, in each direction.
pub const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// The most bytes of a request's header fields in HTTP/2, as that counts them.
pub const MAX_H2_HEADER_BYTES: u32 = 64 * 1024;
/// The most requests in flight on one HTTP/2 connection.
pub const MAX_H2_STREAMS: u32 = 128;

/// How often an HTTP/2 peer is asked for a sign of life, and how long it may take to give one.
const H2_PING: Duration = Duration::from_secs(20);
/// How long a connection that is new at shutdown may take to send its first request.
const GRACE: Duration = Duration::from_millis(100);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A service that can be served: an axum `Router`, or any other that answers a hyper request and
/// does not fail. It is cloned for each request.
pub trait HttpService:
    Service<
        Request<Incoming>,
        Response = Response<Self::Body>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type Body: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

/// A place among the connections of a listener.
///
/// As long as a lease is held its connection counts as open, and shutdown waits for it. What
/// lives on after the HTTP connection, such as a WebSocket, keeps its lease.
#[derive(Clone, Debug)]
pub struct Lease(Arc<Place>);

#[derive(Debug)]
pub(super) struct Place {
    pub(super) _permit: OwnedSemaphorePermit,
    pub(super) _open: TaskTrackerToken,
    pub(super) _counted: Open,
    pub(super) cut: CancellationToken,
}

impl Lease {
    pub(super) fn new(place: Place) -> Self {
        Self(Arc::new(place))
    }

    /// Returns when shutdown waits no longer; what is still open is to be closed at once.
    pub async fn cut(&self) {
        self.0.cut.cancelled().await;
    }
}

/// How connections are served.
pub(super) type Builder = auto::Builder<TokioExecutor>;

pub(super) fn builder(header_read_timeout: Duration) -> Builder {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_read_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_H2_STREAMS)
        .max_header_list_size(MAX_H2_HEADER_BYTES)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING);
    builder
}

pub(super) struct Connection {
    pub(super) builder: Arc<Builder>,
    pub(super) peer: SocketAddr,
    pub(super) lease: Lease,
    pub(super) metrics: Arc<ListenerMetrics>,
    pub(super) first_request_within: Duration,
    pub(super) shutdown: CancellationToken,
}

impl Connection {
    pub(super) async fn serve<S: HttpService>(self, stream: TcpStream, service: S) {
        let heard = &AtomicBool::new(false);
        let (peer, lease, metrics) = (self.peer, &self.lease, &self.metrics);
        let service = service_fn(move |mut request: Request<Incoming>| {
            heard.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(lease.clone());
            let (answer, metrics) = (service.clone().oneshot(request), Arc::clone(metrics));
            async move {
                let received = Instant::now();
                let response = answer.await?;
                metrics.answered(response.status(), received.elapsed());
                Ok::<_, Infallible>(response)
            }
        });
        let stream = TokioIo::new(stream);
        let mut http = pin!(self.builder.serve_connection_with_upgrades(stream, service));
        tokio::select! {
            biased;
            ended = http.as_mut() => return report(ended),
            () = self.silence(heard) => return,
            () = self.shutdown.cancelled() => {}
        }
        if !heard.load(Ordering::Relaxed) {
            tokio::select! {
                biased;
                ended = http.as_mut() => return report(ended),
                () = sleep(GRACE) => {}
            }
        }
        http.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            ended = http => report(ended),
            () = self.lease.cut() => {}
        }
    }

    /// Returns when a connection has sent no request for too long since it was made. The timer of
    /// hyper begins only when it knows which version of HTTP is spoken.
    async fn silence(&self, heard: &AtomicBool) {
        sleep(self.first_request_within).await;
        if heard.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

fn report(ended: Result<(), BoxError>) {
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}
