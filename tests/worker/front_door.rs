//! What a client can do to a worker without asking it for anything that is decided: be slow, be
//! many, be ambiguous, flood. Each is cut short, counted, and costs the others nothing.

mod admin;
mod ambiguous;
mod http2;
mod large;
mod many;
mod one_hop;
mod recorder;
mod slow;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::client::get;
use crate::metrics::{served, value};
use crate::process::{LOOK_AGAIN, Worker};

/// Room for all that these tests send.
const ROOM: &str = r#"
[[policy]]
name = "default"
minute = 1000000
second = 1000000
"#;

/// A time-out that a test waits for.
const SHORT: &str = "1s";
const SHORT_TIME: Duration = Duration::from_secs(1);
/// How much longer a machine that is busy may take.
const SLACK: Duration = Duration::from_secs(10);

/// A worker in front of `upstream`, with room, and with these settings of the gateway.
async fn worker(upstream: Option<SocketAddr>, settings: &[(&str, &str)]) -> Worker {
    let url = upstream.map(|address| format!("http://{address}"));
    let mut variables: Vec<_> =
        url.iter().map(|url| ("TRANSOM__GATEWAY__UPSTREAM", url.as_str())).collect();
    variables.extend(settings);
    Worker::with(ROOM, &variables).await
}

/// Connects and sends this.
async fn begin(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a listener");
    stream.write_all(bytes).await.expect("a connection");
    stream
}

/// All that comes until the connection ends, within `limit`.
async fn rest(stream: &mut TcpStream, limit: Duration) -> String {
    let mut bytes = Vec::new();
    // A reset ends a connection, too.
    let ended = timeout(limit + SLACK, stream.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "not closed, after {:?}", String::from_utf8_lossy(&bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a request that is answered with this status, and then the connection is closed.
async fn refused(address: SocketAddr, request: &[u8], status: &str) {
    let mut client = TcpStream::connect(address).await.expect("a listener");
    // It may be answered and closed before all of this is taken.
    let (mut reads, mut writes) = client.split();
    let mut answer = Vec::new();
    let exchange = async {
        let _cut = tokio::join!(writes.write_all(request), reads.read_to_end(&mut answer));
    };
    timeout(SLACK, exchange).await.expect("an end");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer:?}");
}

/// Sends a byte every 50 ms until the connection ends; then what had come.
async fn dribble(mut stream: TcpStream, byte: u8, limit: Duration) -> String {
    let began = Instant::now();
    let mut bytes = Vec::new();
    loop {
        match timeout(Duration::from_millis(50), stream.read_buf(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => return String::from_utf8_lossy(&bytes).into_owned(),
            Ok(Ok(_)) => continue,
            Err(_) => {}
        }
        assert!(began.elapsed() < limit + SLACK, "not closed");
        let _closed = stream.write_all(&[byte]).await;
    }
}

/// Asks the worker for something, again and again, until `done` ends.
async fn served_meanwhile<T>(worker: &Worker, done: impl Future<Output = T>) -> T {
    let healthy = async {
        loop {
            assert_eq!(get(worker.gateway, "/healthy").await.status(), 200);
            sleep(LOOK_AGAIN).await;
        }
    };
    tokio::select! {
        done = done => done,
        () = healthy => unreachable!("it asks for ever"),
    }
}

/// How often a listener has cut something short for a reason.
async fn cut(worker: &Worker, listener: &str, reason: &str) -> u64 {
    let series =
        format!(r#"transom_connections_cut_total{{listener="{listener}",reason="{reason}"}}"#);
    value(&served(worker).await, &series)
}

/// Waits until so much was cut short for a reason at the gateway.
async fn cuts(worker: &Worker, reason: &str, times: u64) {
    let asked = Instant::now();
    loop {
        let counted = cut(worker, "gateway", reason).await;
        if counted >= times {
            assert_eq!(counted, times, "{reason}");
            return;
        }
        assert!(asked.elapsed() < SLACK * 3, "{reason}: {counted} of {times}");
        sleep(LOOK_AGAIN).await;
    }
}
