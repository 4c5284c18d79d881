//! Clients in a closed loop over keep-alive connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client as Pool, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;

use super::{Answer, monotonic_ns};
use crate::checker::{Key, Outcome, Record};

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections, spread evenly over the workers; each waits for its answer before it asks again.
    pub connections: usize,
    /// No request is sent later than this.
    pub lasts: Duration,
    /// Nor more than so many.
    pub at_most: usize,
}

/// One question.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who asks, and the policy that must match.
    pub key: Key,
    /// What is asked for.
    pub path: &'static str,
    /// Units.
    pub cost: u32,
}

impl Ask {
    /// The body of `POST /v1/decide`.
    pub(super) fn body(&self) -> String {
        serde_json::json!({
            "identity": self.key.identity.as_str(), "path": self.path, "cost": self.cost,
        })
        .to_string()
    }
}

/// Asks until time or number is reached, and returns what every request got. Of the `workers`,
/// given by the addresses of their check listeners, each connection keeps to one.
///
/// # Panics
///
/// If an answer is about another caller or policy than the one asked for.
pub async fn drive(
    workers: &[SocketAddr],
    load: Load,
    next: impl Fn() -> Ask + Clone + Send + 'static,
) -> Vec<Record> {
    let until = Instant::now() + load.lasts;
    let asked = Arc::new(AtomicUsize::new(0));
    let connections = (0..load.connections).map(|connection| {
        let worker = connection % workers.len();
        let (client, asked, next) =
            (Client::new(workers[worker]), Arc::clone(&asked), next.clone());
        tokio::spawn(async move {
            let mut records = Vec::new();
            while Instant::now() < until && asked.fetch_add(1, Ordering::Relaxed) < load.at_most {
                records.push(client.record(worker, next()).await);
            }
            records
        })
    });
    let done = join_all(connections).await;
    done.into_iter().flat_map(|records| records.expect("a client that ends well")).collect()
}

/// A client of one worker, which keeps its connection.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl Client {
    /// Of the listener at this address.
    pub fn new(address: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { pool: Pool::builder(TokioExecutor::new()).build(connector), address }
    }

    /// Sends a request and reads all of its answer.
    ///
    /// # Errors
    ///
    /// A connection that breaks, or an answer that is none.
    pub async fn send(&self, method: Method, path: &str, body: String) -> Result<Response<Bytes>> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .body(Full::from(body))?;
        let (head, body) = self.pool.request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }

    /// Asks a check listener for a decision.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and any other status than 200.
    pub async fn decide(&self, ask: &Ask) -> Result<Answer> {
        let answer = self.send(Method::POST, "/v1/decide", ask.body()).await?;
        let text = String::from_utf8_lossy(answer.body());
        ensure!(answer.status() == StatusCode::OK, "{}: {text}", answer.status());
        serde_json::from_str(&text).with_context(|| text.into_owned())
    }

    async fn record(&self, worker: usize, ask: Ask) -> Record {
        let sent_ns = monotonic_ns();
        let answer = self.decide(&ask).await;
        let received_ns = monotonic_ns();
        let told = answer.and_then(|answer| {
            assert_eq!((&answer.identity(), &answer.policy), (&ask.key.identity, &ask.key.policy));
            answer.told().context("there was no decision")
        });
        let outcome = match told {
            Ok(told) => Outcome::Told(told),
            Err(error) => Outcome::Unknown(format!("{error:#}")),
        };
        Record { worker, key: ask.key, cost: ask.cost, outcome, sent_ns, received_ns }
    }
}
