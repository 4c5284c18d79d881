//! The accept loop of every listener.
//!
//! [`serve`] speaks HTTP/1.1, with upgrades, and HTTP/2 to clients that begin with its preface. On a
//! request that asks for an upgrade a service finds an extension: the [`Lease`] of its connection.
//!
//! Where its [`Shutdown`] is announced, answers of HTTP/1.1 close their connections, so that a load
//! balancer has none left that it may use at the moment it ends. At shutdown nothing more is
//! accepted, idle connections close, and the others have until the end of
//! [`ListenSettings::drain`] to finish what is in flight.

mod activity;
mod client_body;
mod connection;
mod framing;
mod guarded;
mod places;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use connection::{Builder, Connection, Place, builder};

use places::{Places, Taken};

use crate::telemetry::metrics::{Cut, ListenerMetrics};

pub use client_body::{BODY_BYTES_PER_SECOND, ClientBody, Stalled};
pub use connection::{
    Answering, HttpService, Lease, MAX_BUFFER_BYTES, MAX_H2_HEADER_BYTES, MAX_H2_STREAMS,
    MAX_HEADERS,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long connections are still accepted at shutdown.
const LAST_CALL: Duration = Duration::from_millis(20);
/// The first and the longest pause after an error that is not of one connection.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How a listener treats its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenSettings {
    /// What its metrics call it. Default `other`.
    pub name: &'static str,
    /// How long the head of a request may take, from when the connection is made or the request
    /// before it has ended. So it is also how long an HTTP/1.1 connection may be idle. Default 10 s.
    pub header_read_timeout: Duration,
    /// How long a client is waited for within the body of a request, see [`ClientBody`]. Default
    /// 30 s.
    pub body_timeout: Duration,
    /// How long a client may take nothing of a response that is ready for it. Default 30 s.
    pub write_timeout: Duration,
    /// How long a connection may be without a request; one of HTTP/2, for one of HTTP/1.1 ends
    /// after [`ListenSettings::header_read_timeout`] if that is shorter, unless the body of a request
    /// that is answered still comes. Default 60 s.
    pub idle_timeout: Duration,
    /// The most connections that are open at a time; more wait to be accepted. Default 10,000.
    pub max_connections: usize,
    /// The most of them from one address, IPv6 by its /64, that is not trusted; more are closed at
    /// once. Default no bound of its own.
    pub max_connections_per_address: usize,
    /// How long requests in flight at shutdown may take to finish, within the limits above. Default
    /// 10 s.
    pub drain: Duration,
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            name: "other",
            header_read_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            max_connections: 10_000,
            max_connections_per_address: usize::MAX,
            drain: Duration::from_secs(10),
        }
    }
}

/// When a listener is to end. One that was made from a token ends unannounced.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    near: Arc<AtomicBool>,
    now: CancellationToken,
}

impl Shutdown {
    /// Says that the end is near: each connection of HTTP/1.1 ends with its next answer.
    pub fn announce(&self) {
        self.near.store(true, Ordering::Relaxed);
    }

    /// Ends the listener.
    pub fn begin(&self) {
        self.now.cancel();
    }

    fn is_near(&self) -> bool {
        self.near.load(Ordering::Relaxed)
    }

    async fn begun(&self) {
        self.now.cancelled().await;
    }
}

impl From<CancellationToken> for Shutdown {
    fn from(now: CancellationToken) -> Self {
        Self { now, ..Self::default() }
    }
}

/// How a listener ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because they had not finished within
    /// [`ListenSettings::drain`].
    pub cut: usize,
}

/// Accepts connections and serves them until `shutdown`, then drains them.
pub async fn serve<S: HttpService>(
    listener: TcpListener,
    settings: ListenSettings,
    service: S,
    shutdown: impl Into<Shutdown>,
) -> Drained {
    serve_trusting(listener, settings, |_| false, service, shutdown).await
}

/// As [`serve`]; a peer that `trusts` accepts, as it does a proxy that many clients stand behind,
/// is not held to [`ListenSettings::max_connections_per_address`].
pub async fn serve_trusting<S: HttpService>(
    listener: TcpListener,
    settings: ListenSettings,
    trusts: impl Fn(IpAddr) -> bool,
    service: S,
    shutdown: impl Into<Shutdown>,
) -> Drained {
    let server = Server {
        connections: Arc::new(builder()),
        settings,
        metrics: Arc::new(ListenerMetrics::new(settings.name)),
        slots: Arc::new(Semaphore::new(settings.max_connections.clamp(1, Semaphore::MAX_PERMITS))),
        places: Places::new(settings.max_connections_per_address),
        open: TaskTracker::new(),
        shutdown: shutdown.into(),
        cut: CancellationToken::new(),
    };
    let begin = |(stream, peer, permit): Accepted| {
        let taken = if trusts(peer.ip()) { None } else { Some(server.places.take(peer.ip())) };
        match taken {
            Some(None) => server.metrics.cut(Cut::TooMany),
            Some(taken) => server.spawn(stream, peer, (permit, taken), service.clone()),
            None => server.spawn(stream, peer, (permit, None), service.clone()),
        }
    };
    let mut over = pin!(async {
        server.shutdown.begun().await;
        sleep(LAST_CALL).await;
    });
    loop {
        tokio::select! {
            () = &mut over => break,
            accepted = server.next(&listener) => begin(accepted),
        }
    }
    // Closing the listener resets what the kernel has accepted on its behalf, so that is served.
    while let Some(accepted) = server.next(&listener).now_or_never() {
        begin(accepted);
    }
    drop(listener);
    server.drain().await
}

/// A connection, its peer, and its place among those that may be open.
type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

struct Server {
    connections: Arc<Builder>,
    settings: ListenSettings,
    metrics: Arc<ListenerMetrics>,
    slots: Arc<Semaphore>,
    places: Arc<Places>,
    open: TaskTracker,
    shutdown: Shutdown,
    cut: CancellationToken,
}

impl Server {
    /// Waits for room, then for a connection.
    async fn next(&self, listener: &TcpListener) -> Accepted {
        let Ok(permit) = Arc::clone(&self.slots).acquire_owned().await else {
            // The semaphore is never closed.
            return std::future::pending().await;
        };
        let (stream, peer) = accept(|| listener.accept()).await;
        (stream, peer, permit)
    }

    fn spawn<S: HttpService>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        (permit, taken): (OwnedSemaphorePermit, Option<Taken>),
        service: S,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let place = Place {
            _permit: permit,
            _open: self.open.token(),
            _counted: self.metrics.open(),
            _taken: taken,
            metrics: Arc::clone(&self.metrics),
            cut: self.cut.clone(),
        };
        let connection = Connection {
            builder: Arc::clone(&self.connections),
            peer,
            lease: Lease::new(place),
            metrics: Arc::clone(&self.metrics),
            settings: self.settings,
            shutdown: self.shutdown.clone(),
        };
        tokio::spawn(connection.serve(stream, service));
    }

    async fn drain(&self) -> Drained {
        self.open.close();
        if timeout(self.settings.drain, self.open.wait()).await.is_ok() {
            return Drained { cut: 0 };
        }
        let drained = Drained { cut: self.open.len() };
        self.cut.cancel();
        self.open.wait().await;
        drained
    }
}

/// Repeats an attempt to accept until one succeeds. Where the process or the machine has run out
/// of something, say of file descriptors, the next attempt waits.
async fn accept<T, F>(mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = io::Result<T>>,
{
    let (mut pause, longest) = ACCEPT_PAUSE;
    loop {
        match attempt().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection was gone before it was accepted");
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests;
