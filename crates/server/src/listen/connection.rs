//! One connection: HTTP on it, its time limits, and its end.

use std::convert::Infallible;
use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{Request, Response, StatusCode};
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

use super::activity::{Activity, Sent};
use super::client_body::ClientBody;
use super::guarded::Guarded;
use super::places::Taken;
use super::{BoxError, ListenSettings};
use crate::telemetry::metrics::{Cut, ListenerMetrics, Open};
use crate::telemetry::request::status;

/// The most header fields of a request; with more it is answered 431.
pub const MAX_HEADERS: usize = 100;
/// The most bytes of a request's head; with more it is answered 431. Also the most bytes of a
/// body that are held at a time, in each direction.
pub const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// The most bytes of a request's header fields in HTTP/2, as that counts them.
pub const MAX_H2_HEADER_BYTES: u32 = 64 * 1024;
/// The most requests in flight on one HTTP/2 connection.
pub const MAX_H2_STREAMS: u32 = 128;

/// The most bytes of request bodies that an HTTP/2 client may send ahead, for one request and for
/// all of a connection; and the most of one response that are held for it.
const H2_WINDOW_BYTES: u32 = 128 * 1024;
const H2_CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;
const H2_SEND_BUFFER_BYTES: usize = MAX_BUFFER_BYTES;
/// The most requests that an HTTP/2 client has taken back before they were begun, and that it has
/// made the worker take back by its mistakes; with more its connection ends.
const H2_RESETS_PENDING: usize = 20;
const H2_RESETS_BY_MISTAKE: usize = 128;

/// How often an HTTP/2 peer is asked for a sign of life, and how long it may take to give one.
const H2_PING: Duration = Duration::from_secs(20);
/// How long a connection that is new at shutdown may take to send its first request.
const GRACE: Duration = Duration::from_millis(100);
/// How long an idle connection of HTTP/2 may take to end after it was told to.
const FAREWELL: Duration = Duration::from_secs(1);

/// A service that can be served: an axum `Router`, or any other that answers a hyper request and
/// does not fail. It is cloned for each request.
pub trait HttpService:
    Service<
        Request<ClientBody>,
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
    S: Service<Request<ClientBody>, Response = Response<B>, Error = Infallible>,
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
    /// Of those of its address; none where an address is not held to a number.
    pub(super) _taken: Option<Taken>,
    pub(super) metrics: Arc<ListenerMetrics>,
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

    /// Counts that a tunnel was cut because nothing moved in it.
    pub(crate) fn was_idle(&self) {
        self.0.metrics.cut(Cut::IdleTunnel);
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
        .initial_stream_window_size(H2_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(H2_SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(H2_RESETS_PENDING)
        .max_local_error_reset_streams(H2_RESETS_BY_MISTAKE)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING);
    builder
}

/// Why a connection is not served on.
enum End {
    Cut(Cut),
    Shutdown,
}

pub(super) struct Connection {
    pub(super) builder: Arc<Builder>,
    pub(super) peer: SocketAddr,
    pub(super) lease: Lease,
    pub(super) metrics: Arc<ListenerMetrics>,
    pub(super) settings: ListenSettings,
    pub(super) shutdown: CancellationToken,
}

impl Connection {
    pub(super) async fn serve<S: HttpService>(self, stream: TcpStream, service: S) {
        let heard = &AtomicBool::new(false);
        let tunnel = Arc::new(AtomicBool::new(false));
        let activity = &Activity::new();
        let guarded = Guarded::new(stream, Arc::clone(&tunnel), Arc::clone(activity));
        let stream = TokioIo::new(guarded);
        let connection = &self;
        let service = service_fn(move |request: Request<Incoming>| {
            heard.store(true, Ordering::Relaxed);
            let (request, under_way) = (connection.accept(request), activity.begin());
            let (answer, tunnel) = (service.clone().oneshot(request), Arc::clone(&tunnel));
            let metrics = Arc::clone(&connection.metrics);
            async move {
                let received = Instant::now();
                let response = answer.await?;
                metrics.answered(status(&response), received.elapsed());
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    tunnel.store(true, Ordering::Relaxed);
                }
                Ok::<Response<Sent<S::Body>>, Infallible>(response.map(|body| under_way.with(body)))
            }
        });
        let mut http = pin!(self.builder.serve_connection_with_upgrades(stream, service));
        let ListenSettings { idle_timeout, write_timeout, .. } = self.settings;
        let end = async {
            tokio::select! {
                biased;
                () = self.silence(heard) => End::Cut(Cut::HeadTimeout),
                why = activity.over(idle_timeout, write_timeout) => End::Cut(why),
                () = self.shutdown.cancelled() => End::Shutdown,
            }
        };
        // Looked at when one of these wakes up, and not with every byte.
        let mut end = pin!(FuturesUnordered::from_iter([end]));
        tokio::select! {
            biased;
            ended = http.as_mut() => return self.report(ended),
            end = end.select_next_some() => match end {
                End::Cut(Cut::Idle) => {
                    self.metrics.cut(Cut::Idle);
                    http.as_mut().graceful_shutdown();
                    tokio::select! {
                        biased;
                        ended = http => return self.report(ended),
                        () = activity.ended(FAREWELL) => return,
                        () = self.lease.cut() => return,
                    }
                }
                End::Cut(why) => return self.metrics.cut(why),
                End::Shutdown => {}
            }
        }
        if !heard.load(Ordering::Relaxed) {
            tokio::select! {
                biased;
                ended = http.as_mut() => return self.report(ended),
                () = sleep(GRACE) => {}
            }
        }
        http.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            ended = http => self.report(ended),
            () = self.lease.cut() => {}
        }
    }

    /// Puts on a request what a service finds there.
    fn accept(&self, request: Request<Incoming>) -> Request<ClientBody> {
        let timeout = self.settings.body_timeout;
        let mut request =
            request.map(|body| ClientBody::new(body, timeout, Arc::clone(&self.metrics)));
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.extensions_mut().insert(self.lease.clone());
        request
    }

    /// Returns when a connection has sent no request for too long since it was made. The timer of
    /// hyper begins only when it knows which version of HTTP is spoken.
    async fn silence(&self, heard: &AtomicBool) {
        sleep(self.settings.header_read_timeout).await;
        if heard.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    fn report(&self, ended: Result<(), BoxError>) {
        let Err(error) = ended else { return };
        if let Some(why) = error.downcast_ref().and_then(why) {
            self.metrics.cut(why);
        }
        tracing::debug!(error, "a connection ended early");
    }
}

/// Why hyper has ended a connection, where it was not the client.
fn why(error: &hyper::Error) -> Option<Cut> {
    if error.is_timeout() {
        Some(Cut::HeadTimeout)
    } else if error.is_parse_too_large() {
        Some(Cut::HeadTooLarge)
    } else if error.is_parse() {
        Some(Cut::Malformed)
    } else {
        let http2 = error.source()?.downcast_ref::<h2::Error>()?;
        (!http2.is_io() && !http2.is_remote()).then_some(Cut::Http2)
    }
}
