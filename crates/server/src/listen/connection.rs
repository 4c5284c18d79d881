//! One connection: HTTP on it, its time limits, and its end.

use std::convert::Infallible;
use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::ConnectInfo;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::ServiceExt as _;

use super::activity::{Activity, Patience, Sent};
use super::client_body::ClientBody;
use super::guarded::Guarded;
use super::places::Taken;
use super::{BoxError, ListenSettings, Shutdown};
use crate::telemetry::metrics::{Cut, ListenerMetrics, Open};

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

/// A request that is being answered. Boxed, since what is around it holds it several times over.
pub type Answering<B> = Pin<Box<dyn Future<Output = Response<B>> + Send>>;

/// What answers the requests of a listener. A clone is made for each connection.
pub trait HttpService: Clone + Send + Sync + 'static {
    /// The body of its responses.
    type Body: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;

    /// Answers a request of this peer.
    fn answer(&self, request: Request<ClientBody>, peer: SocketAddr) -> Answering<Self::Body>;
}

/// Handlers find the peer as axum's `ConnectInfo`.
impl HttpService for Router {
    type Body = AxumBody;

    fn answer(&self, mut request: Request<ClientBody>, peer: SocketAddr) -> Answering<AxumBody> {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = self.clone().oneshot(request);
        Box::pin(async { answer.await.unwrap_or_else(|never| match never {}) })
    }
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

pub(super) fn builder() -> Builder {
    let mut builder = Builder::new(TokioExecutor::new());
    // What a head may take is measured here: a timer of hyper's would be set anew for each one.
    builder
        .http1()
        .header_read_timeout(None)
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
    pub(super) shutdown: Shutdown,
}

impl Connection {
    pub(super) async fn serve<S: HttpService>(self, stream: TcpStream, service: S) {
        let heard = &AtomicBool::new(false);
        let activity = &Activity::new(Arc::clone(&self.metrics), self.shutdown.clone());
        let stream = TokioIo::new(Guarded::new(stream, Arc::clone(activity)));
        let connection = &self;
        let service = service_fn(move |request: Request<Incoming>| {
            heard.store(true, Ordering::Relaxed);
            let under_way = activity.begin();
            let answer = service.answer(connection.accept(request, activity), connection.peer);
            async move { Ok::<Response<Sent<S::Body>>, Infallible>(under_way.answered(answer.await)) }
        });
        let mut http = pin!(self.builder.serve_connection_with_upgrades(stream, service));
        let ListenSettings { header_read_timeout, idle_timeout, write_timeout, .. } = self.settings;
        let patience =
            Patience { head: header_read_timeout, idle: idle_timeout, unread: write_timeout };
        let end = async {
            tokio::select! {
                biased;
                why = activity.over(patience) => End::Cut(why),
                () = self.shutdown.begun() => End::Shutdown,
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
                    activity.farewell();
                    // A request that crosses it is served, and its client held to its time.
                    let patience = Patience { head: FAREWELL, idle: FAREWELL, ..patience };
                    tokio::select! {
                        biased;
                        ended = http => return self.report(ended),
                        why = activity.over(patience) => {
                            if matches!(why, Cut::SlowReader) {
                                self.metrics.cut(why);
                            }
                            return;
                        }
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
            // A client that takes its time now holds up the end of the worker.
            why = activity.over(patience) => self.metrics.cut(why),
            () = self.lease.cut() => {}
        }
    }

    /// Puts on a request what a service finds there.
    fn accept(&self, request: Request<Incoming>, activity: &Arc<Activity>) -> Request<ClientBody> {
        let timeout = self.settings.body_timeout;
        let mut request = request.map(|body| ClientBody::new(body, timeout, activity.upload()));
        if request.extensions().get::<OnUpgrade>().is_some() {
            request.extensions_mut().insert(self.lease.clone());
        }
        request
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
    if error.is_parse_too_large() {
        Some(Cut::HeadTooLarge)
    } else if error.is_parse() {
        Some(Cut::Malformed)
    } else if error.is_timeout() {
        // A client of HTTP/2 that gives no sign of life.
        Some(Cut::Idle)
    } else {
        let http2 = error.source()?.downcast_ref::<h2::Error>()?;
        (!http2.is_io() && !http2.is_remote()).then_some(Cut::Http2)
    }
}
