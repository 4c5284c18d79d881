//! Many reloads while clients ask: none of them notices.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::in_force;
use crate::process::Worker;
use crate::upstream::Upstream;

const RELOADS: u64 = 100;
const CLIENTS: usize = 8;
/// Far more than the clients use. The version is added, so that each has a limit of its own.
const ROOM: u64 = 500_000;

type Pool = Client<HttpConnector, Full<Bytes>>;

/// The file of a version: its limits and the upstream's path name it.
fn file(upstream: &Upstream, version: u64) -> String {
    let (to, limit) = (upstream.address, ROOM + version);
    format!(
        "[gateway]\nupstream = \"http://{to}/{version}\"\n\
         [[policy]]\nname = \"default\"\nminute = {limit}\nsecond = {limit}\n"
    )
}

/// Sends a request on a connection that is kept. What is sent once fails if its connection does.
async fn exchange(pool: &Pool, request: Request<Full<Bytes>>) -> (http::response::Parts, Bytes) {
    let (head, body) = pool.request(request).await.expect("a connection that holds").into_parts();
    let body = body.collect().await.expect("a body to its end").to_bytes();
    assert_eq!(head.status, 200, "{head:?} {body:?}");
    (head, body)
}

/// Asks the gateway; the version of the limits, of the minute's as of the second's, and of the
/// upstream's path.
async fn through_gateway(pool: &Pool, gateway: SocketAddr) -> [u64; 3] {
    let request = Request::get(format!("http://{gateway}/x")).body(Full::default());
    let (head, body) = exchange(pool, request.expect("a request")).await;
    let limit = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name}: {head:?}"))
    };
    let line = String::from_utf8_lossy(&body);
    let path = line.strip_prefix("GET /").and_then(|rest| rest.strip_suffix("/x HTTP/1.1"));
    let path: u64 = path.and_then(|version| version.parse().ok()).expect("the upstream's path");
    [limit("x-ratelimit-limit"), limit("x-ratelimit-limit-second"), ROOM + path]
}

/// Asks the check listener; the version of both limits, twice over two requests of a batch.
async fn through_check(pool: &Pool, check: SocketAddr) -> [u64; 3] {
    let body = r#"{"requests":[{"identity":"user:1"},{"identity":"user:2"}]}"#;
    let request = Request::post(format!("http://{check}/v1/decide")).body(body.into());
    let (_, body) = exchange(pool, request.expect("a request")).await;
    let answer: Value = serde_json::from_slice(&body).expect("JSON");
    let limit = |item: usize, window: &str| {
        let result = &answer["results"][item];
        assert_eq!(result["allowed"], true, "{answer}");
        result[window]["limit"].as_u64().expect("a limit")
    };
    [limit(0, "minute"), limit(0, "second"), limit(1, "minute")]
}

/// Asks until told to stop; the versions that it met.
async fn client(worker: [SocketAddr; 2], stop: Arc<AtomicBool>) -> BTreeSet<u64> {
    let pool: Pool = Client::builder(TokioExecutor::new())
        // It would hide a connection that was closed under a request.
        .retry_canceled_requests(false)
        .build_http();
    let mut met = BTreeSet::new();
    while !stop.load(Ordering::Relaxed) {
        let [gateway, check] = worker;
        for one in [through_gateway(&pool, gateway).await, through_check(&pool, check).await] {
            assert!(one.iter().all(|limit| *limit == one[0]), "of two configurations: {one:?}");
            met.insert(one[0] - ROOM);
        }
    }
    met
}

/// Goal: no request fails through a reload, and each is answered under one configuration.
/// Method: clients that keep their connections, while the file changes and the signal is sent; each
/// file sends requests to another path of the upstream, so that the way there is new as well.
#[tokio::test]
async fn a_hundred_reloads_under_load_fail_no_request() {
    let upstream = Upstream::start().await;
    let worker = Worker::start(&file(&upstream, 0)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let addresses = [worker.gateway, worker.check];
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(client(addresses, Arc::clone(&stop)))).collect();
    for version in 1..=RELOADS {
        worker.configure(&file(&upstream, version));
        worker.process.signal("HUP");
        in_force(&worker, ROOM + version).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut met = BTreeSet::new();
    for client in clients {
        met.extend(client.await.expect("a client without a failed request"));
    }
    assert!(met.len() > 50, "the clients slept through most versions: {met:?}");
    worker.says(&format!("in force version={} ", RELOADS + 1), 1).await;
    let log = worker.process.all_said();
    assert!(!log.contains("refused") && !log.contains("panicked"), "{log}");
}
