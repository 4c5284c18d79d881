//! How a worker ends: what is in flight gets its answer, and a person who is in a hurry is heard.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::client::{Reply, get, is_decided};
use crate::process::{LOOK_AGAIN, Worker};
use crate::upstream::{SLOW, Upstream};

/// Limits that no test here comes near.
const ROOM: &str = r#"
[[policy]]
name = "default"
minute = 1000
second = 1000
"#;

/// Longer than any test here waits.
const FOR_EVER: &str = "1h";
/// How soon a worker must be gone that has nothing left to wait for.
const SOON: Duration = Duration::from_secs(5);

async fn worker(upstream: &Upstream, drain_delay: &str, drain: &str) -> Worker {
    let url = format!("http://{}", upstream.address);
    let variables = [
        ("TRANSOM__GATEWAY__UPSTREAM", url.as_str()),
        ("TRANSOM__GATEWAY__DRAIN_DELAY", drain_delay),
        ("TRANSOM__GATEWAY__DRAIN", drain),
    ];
    let worker = Worker::with(ROOM, &variables).await;
    assert_eq!(get(worker.admin, "/readyz").await.status(), 200);
    worker
}

/// Sends a request that the upstream holds back.
async fn in_flight(worker: &Worker, upstream: &Upstream) -> JoinHandle<Reply> {
    let gateway = worker.gateway;
    let request = tokio::spawn(async move { get(gateway, SLOW).await });
    upstream.holds(1).await;
    request
}

async fn is_answered(request: JoinHandle<Reply>) {
    let reply = request.await.expect("an answer");
    assert_eq!(reply.status(), 200, "{reply:?}");
    assert_eq!(reply.body(), &format!("GET {SLOW} HTTP/1.1"));
    assert!(is_decided(&reply), "{reply:?}");
}

/// Waits until a worker says that it drains.
async fn says_not_ready(worker: &Worker) {
    let asked = Instant::now();
    loop {
        let ready = get(worker.admin, "/readyz").await;
        if ready.status() == 503 {
            let body: Value = serde_json::from_str(ready.body()).expect("JSON");
            assert_eq!(body, json!({"ready": false, "store": "local", "draining": true}));
            return;
        }
        assert!(asked.elapsed() < SOON, "still ready: {ready:?}");
        sleep(LOOK_AGAIN).await;
    }
}

/// Waits until nothing listens there any more.
async fn is_closed(address: SocketAddr) {
    let asked = Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(asked.elapsed() < SOON, "{address} still listens");
        sleep(LOOK_AGAIN).await;
    }
}

async fn ends_well(worker: &mut Worker) -> String {
    let asked = Instant::now();
    let ended = worker.process.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(asked.elapsed() < SOON, "it took {:?}", asked.elapsed());
    ended.stderr
}

#[tokio::test]
async fn sigterm_lets_a_request_end_that_is_in_flight() {
    let upstream = Upstream::start().await;
    let mut worker = worker(&upstream, "0s", FOR_EVER).await;
    let request = in_flight(&worker, &upstream).await;
    worker.process.signal("TERM");
    for address in [worker.gateway, worker.check, worker.admin] {
        is_closed(address).await;
    }
    assert!(!request.is_finished(), "the upstream has not answered");
    upstream.let_go();
    is_answered(request).await;
    ends_well(&mut worker).await;
}

#[tokio::test]
async fn during_the_delay_a_worker_is_not_ready_and_serves_on() {
    let upstream = Upstream::start().await;
    let mut worker = worker(&upstream, FOR_EVER, FOR_EVER).await;
    worker.process.signal("TERM");
    says_not_ready(&worker).await;
    for address in [worker.gateway, worker.check] {
        let reply = get(address, "/check").await;
        assert_eq!((reply.status().as_u16(), is_decided(&reply)), (200, true), "{reply:?}");
    }
    assert_eq!(get(worker.admin, "/healthz").await.status(), 200, "it lives");
    let request = in_flight(&worker, &upstream).await;
    worker.process.signal("TERM");
    is_closed(worker.gateway).await;
    upstream.let_go();
    is_answered(request).await;
    ends_well(&mut worker).await;
}

/// Goal: a load balancer has no connection left that it may use at the moment a worker closes it.
/// Method: connections that were kept until the worker was told to end, and new ones.
#[tokio::test]
async fn during_the_delay_each_connection_ends_with_its_next_answer() {
    let upstream = Upstream::start().await;
    let mut worker = worker(&upstream, FOR_EVER, FOR_EVER).await;
    let targets = [(worker.gateway, "/"), (worker.check, "/check"), (worker.admin, "/healthz")];
    let mut kept = Vec::new();
    for (address, target) in targets {
        let mut stream = TcpStream::connect(address).await.expect("a listener");
        let head = head(&mut stream, target).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && !head.contains("connection:"), "{head}");
        kept.push((stream, target));
    }
    worker.process.signal("TERM");
    says_not_ready(&worker).await;
    for (address, target) in targets {
        kept.push((TcpStream::connect(address).await.expect("a listener"), target));
    }
    for (mut stream, target) in kept {
        let head = head(&mut stream, target).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("connection: close"), "{head}");
        let more = timeout(SOON, stream.read_u8()).await.expect("an end");
        assert!(more.is_err(), "{target}: it goes on");
    }
    worker.process.signal("INT");
    ends_well(&mut worker).await;
}

/// Asks for the head of a response on a connection that is kept.
async fn head(stream: &mut TcpStream, target: &str) -> String {
    let request = format!("HEAD {target} HTTP/1.1\r\nHost: api\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a connection");
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(timeout(SOON, stream.read_u8()).await.expect("an answer").expect("all of it"));
    }
    String::from_utf8(read).expect("text")
}

#[tokio::test]
async fn sigint_skips_the_delay_and_still_lets_a_request_end() {
    let upstream = Upstream::start().await;
    let mut worker = worker(&upstream, FOR_EVER, FOR_EVER).await;
    let request = in_flight(&worker, &upstream).await;
    worker.process.signal("INT");
    is_closed(worker.gateway).await;
    upstream.let_go();
    is_answered(request).await;
    ends_well(&mut worker).await;
}

/// Goal: no signal is lost, however soon it follows another.
/// Method: both at once, so that either may be seen first, several times over.
#[tokio::test]
async fn a_second_signal_hurries_however_soon_it_comes() {
    let upstream = Upstream::start().await;
    for _ in 0..6 {
        let mut worker = worker(&upstream, FOR_EVER, FOR_EVER).await;
        worker.process.signals(&["TERM", "INT"]);
        ends_well(&mut worker).await;
    }
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_is_cut_and_the_log_says_so() {
    let upstream = Upstream::start().await;
    let mut worker = worker(&upstream, "0s", "100ms").await;
    let request = in_flight(&worker, &upstream).await;
    worker.process.signal("TERM");
    let log = ends_well(&mut worker).await;
    assert!(log.contains("cut=1"), "{log}");
    assert!(request.await.is_err(), "the client sees its connection close");
}
