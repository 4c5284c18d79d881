//! Clients of the load balancer on keep-alive connections, who note what became of each request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{Client as Pool, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use transom_core::{Identity, PolicyName};

use crate::checker::Key;
use crate::fleet::monotonic_ns;

/// Users and their API keys. Two keys of one user share its limits.
pub const KEYS: [(&str, &str); 6] = [
    ("ada", "ada-at-home"),
    ("ada", "ada-at-work"),
    ("ben", "ben"),
    ("cleo", "cleo"),
    ("dan", "dan"),
    ("eve", "eve"),
];
/// Connections of a load, each of which waits for its answer before it asks again.
pub const CONNECTIONS: usize = 32;
/// Between an answer and the next request.
const PAUSE: Duration = Duration::from_millis(25);
/// A request without an answer by then has failed.
const PATIENCE: Duration = Duration::from_secs(15);
/// In which a load must have got on.
const PROGRESS_WITHIN: Duration = Duration::from_secs(60);

/// What became of a request.
#[derive(Debug)]
pub enum Got {
    /// 200.
    Admitted,
    /// 429.
    Denied,
    /// Anything else, or nothing.
    Failed(String),
}

/// One request.
#[derive(Debug)]
pub struct Seen {
    /// Whose windows it is for.
    pub key: Key,
    /// Before it went out, by the clock of [`monotonic_ns`].
    pub sent_ns: u64,
    /// When its answer was there.
    pub received_ns: u64,
    /// What became of it.
    pub got: Got,
}

/// A client with a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Empty<Bytes>>,
    address: SocketAddr,
}

impl Client {
    /// Of the load balancer at this address.
    pub fn new(address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // A request that meets a closed connection is to count as failed.
        let mut builder = Pool::builder(TokioExecutor::new());
        let pool = builder.retry_canceled_requests(false).build(connector);
        Self { pool, address }
    }

    /// Asks for a path and reads all of the answer.
    ///
    /// # Errors
    ///
    /// A connection that breaks.
    ///
    /// # Panics
    ///
    /// If the address of the load balancer is none.
    pub async fn get(&self, path: &str, fields: HeaderMap) -> Result<Response<Bytes>> {
        let mut request = Request::get(format!("http://{}{path}", self.address));
        *request.headers_mut().expect("a valid address") = fields;
        let (head, body) = self.pool.request(request.body(Empty::new())?).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    async fn see(&self, caller: &Caller, policy: &str) -> Seen {
        let path = format!("/{policy}/{}", fastrand::u8(..));
        let sent_ns = monotonic_ns();
        let answer = timeout(PATIENCE, self.get(&path, caller.fields())).await;
        let received_ns = monotonic_ns();
        let got = match answer.map(|answer| answer.map(|response| response.status())) {
            Ok(Ok(StatusCode::OK)) => Got::Admitted,
            Ok(Ok(StatusCode::TOO_MANY_REQUESTS)) => Got::Denied,
            Ok(Ok(status)) => Got::Failed(status.to_string()),
            Ok(Err(error)) => Got::Failed(format!("{error:#}")),
            Err(_) => Got::Failed(format!("no answer within {PATIENCE:?}")),
        };
        let policy = PolicyName::new(policy).expect("the name of a policy");
        Seen { key: Key { identity: caller.identity(), policy }, sent_ns, received_ns, got }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
enum Caller {
    /// A user, by one of its keys.
    User { user: &'static str, key: &'static str },
    /// Somebody without a valid key, who claims to be somewhere else each time. It is known by
    /// the address that the load balancer sees.
    Address(String),
}

impl Caller {
    fn any(seen_from: &str) -> Self {
        let choice = fastrand::usize(..=KEYS.len());
        let known = KEYS.get(choice).map(|&(user, key)| Self::User { user, key });
        known.unwrap_or_else(|| Self::Address(seen_from.to_owned()))
    }

    fn identity(&self) -> Identity {
        let identity = match self {
            Self::User { user, .. } => format!("user:{user}"),
            Self::Address(address) => format!("ip:{address}"),
        };
        identity.parse().expect("an identity")
    }

    fn fields(&self) -> HeaderMap {
        let lines = match self {
            Self::User { key, .. } if fastrand::bool() => vec![("x-api-key", (*key).to_owned())],
            Self::User { key, .. } => vec![("authorization", format!("Bearer {key}"))],
            Self::Address(_) => lies(),
        };
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(HeaderName::from_static(name), value.parse().expect("a field's value"));
        }
        fields
    }
}

/// Ways to pretend to be another.
fn lies() -> Vec<(&'static str, String)> {
    let other = format!("203.0.113.{}", fastrand::u8(..));
    let to = "x-forwarded-for";
    match fastrand::u8(..9) {
        0 => vec![],
        1 => vec![(to, other)],
        2 => vec![(to, format!("{other}:443, [2001:db8::{}]:80", fastrand::u16(..)))],
        3 => vec![(to, other), (to, "junk".to_owned()), (to, ", ,".to_owned())],
        4 => vec![("forwarded", format!("for={other};proto=https"))],
        5 => vec![("x-real-ip", other.clone()), ("x-forwarded", other)],
        // A proxy that took this at its word would drop what it had just written.
        6 => vec![(to, other), ("connection", "keep-alive, x-forwarded-for".to_owned())],
        7 => vec![("x-api-key", format!("no-key-{}", fastrand::u8(..)))],
        _ => vec![("authorization", "Bearer ada".to_owned()), (to, other)],
    }
}

/// Many clients at once, until they are stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    connections: Vec<JoinHandle<Vec<Seen>>>,
}

impl Load {
    /// Clients of the policies `default` and `wide`, whose requests begin with the name of theirs.
    /// The load balancer sees them come from `seen_from`.
    pub fn start(address: SocketAddr, seen_from: &str) -> Self {
        let (stop, answered) = (Arc::default(), Arc::default());
        let connection = |_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(run(Client::new(address), seen_from.to_owned(), stop, answered))
        };
        let connections = (0..CONNECTIONS).map(connection).collect();
        Self { stop, answered, connections }
    }

    /// Waits until so many more requests have ended.
    ///
    /// # Errors
    ///
    /// If they do not end.
    pub async fn goes_on(&self, requests: usize) -> Result<()> {
        let enough = self.answered.load(Ordering::Relaxed) + requests;
        let reached = async {
            while self.answered.load(Ordering::Relaxed) < enough {
                sleep(PAUSE).await;
            }
        };
        if timeout(PROGRESS_WITHIN, reached).await.is_err() {
            bail!("fewer than {requests} requests ended within {PROGRESS_WITHIN:?}");
        }
        Ok(())
    }

    /// Ends it, and returns what all clients saw.
    ///
    /// # Panics
    ///
    /// If a client did.
    pub async fn stop(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let all = join_all(self.connections).await;
        all.into_iter().flat_map(|seen| seen.expect("a client that ends well")).collect()
    }
}

async fn run(
    client: Client,
    seen_from: String,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) -> Vec<Seen> {
    let mut all = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let policy = if fastrand::bool() { "wide" } else { "default" };
        all.push(client.see(&Caller::any(&seen_from), policy).await);
        answered.fetch_add(1, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
    all
}
