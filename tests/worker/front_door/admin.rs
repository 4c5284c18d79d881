//! Whatever happens on the admin listener, decisions are made as if it did not.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use transom_tests::fleet::long;

use super::*;
use crate::client::{decide, send};

const TOKEN: &str = "the-token-of-this-test";
const CLIENTS: u32 = 8;

fn configuration() -> String {
    format!("[admin]\ntoken = \"{TOKEN}\"\n{ROOM}")
}

/// Sends wrong tokens on one connection, and returns how many were refused.
async fn guess(admin: SocketAddr, times: u32) -> u32 {
    let mut stream = BufReader::new(TcpStream::connect(admin).await.expect("a listener"));
    let mut refused = 0;
    for number in 0..times {
        let request = format!(
            "GET /api/policies HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer wrong-{number}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("a connection");
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line).await.expect("a response");
        refused += u32::from(line.contains(" 401 ") || line.contains(" 429 "));
        loop {
            line.clear();
            stream.read_line(&mut line).await.expect("a response");
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = text.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).await.expect("a body");
    }
    refused
}

#[tokio::test]
async fn a_flood_of_wrong_tokens_delays_no_decision_and_shuts_nobody_out() {
    let times = if long() { 100_000 } else { 10_000 };
    let worker = Worker::start(&configuration()).await;
    let (_, before) = worker.process.holds();
    let over = AtomicBool::new(false);
    let flood = async {
        let guesses = join_all((0..CLIENTS).map(|_| guess(worker.admin, times / CLIENTS))).await;
        over.store(true, Ordering::Relaxed);
        guesses.into_iter().sum::<u32>()
    };
    let deciding = async {
        let asked = json!({"identity": "user:ada", "path": "/"});
        let mut decided = 0_u64;
        while !over.load(Ordering::Relaxed) {
            assert_eq!(decide(worker.check, &asked).await["allowed"], true);
            decided += 1;
        }
        decided
    };
    let (refused, decided) = tokio::join!(flood, deciding);
    assert_eq!(refused, times / CLIENTS * CLIENTS);
    let authorization = format!("Authorization: Bearer {TOKEN}");
    let right = send(worker.admin, "GET", "/api/policies", &[authorization.as_bytes()], "").await;
    assert_eq!(right.status(), 200, "{right:?}");
    // The deadline of a decision and 100 ms, as the worker has measured it.
    let text = served(&worker).await;
    let series = |bucket| {
        format!(r#"transom_decision_duration_seconds_bucket{{source="local",le="{bucket}"}}"#)
    };
    assert!(decided > 0);
    assert_eq!(value(&text, &series("0.15")), decided, "{text}");
    assert_eq!(value(&text, &series("+Inf")), decided);
    let (_, after) = worker.process.holds();
    assert!(after < before + 32 * 1_024, "{before} KiB became {after} KiB");
}

#[tokio::test]
async fn a_large_body_is_refused_with_a_token_or_without() {
    let worker = Worker::start(&configuration()).await;
    for (token, status) in [(TOKEN, "413"), ("wrong", "401"), ("", "401")] {
        let head = format!(
            "POST /api/keys HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            worker.admin,
            1 << 30
        );
        let mut request = head.into_bytes();
        request.resize(request.len() + 100 * 1_024, b' ');
        served_meanwhile(&worker, refused(worker.admin, &request, status)).await;
    }
}

/// Goal: connections to the admin listener take none of the places, or descriptors, of clients.
#[tokio::test]
async fn connections_to_the_admin_listener_are_few() {
    let worker = Worker::start(&configuration()).await;
    let (before, _) = worker.process.holds();
    let mut idle = Vec::new();
    for _ in 0..600 {
        idle.push(begin(worker.admin, b"").await);
    }
    served_meanwhile(&worker, sleep(SHORT_TIME)).await;
    let (open, _) = worker.process.holds();
    assert!(open < before + 256 + 40, "{before} became {open}");
    assert!(open > before + 200, "{before} became {open}");
    drop(idle);
}
