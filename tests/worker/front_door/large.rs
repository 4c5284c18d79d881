//! Requests that are too large: refused by name, before anything of them is held.

use super::recorder::{Manner, Recorder};
use super::*;

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_by_name() {
    let upstream = Recorder::start(Manner::Answer).await;
    let worker = worker(Some(upstream.address), &[]).await;
    let large = format!("GET / HTTP/1.1\r\nHost: api\r\nX: {}\r\n\r\n", "y".repeat(100 * 1_024));
    let many = format!("GET / HTTP/1.1\r\nHost: api\r\n{}\r\n", "X: y\r\n".repeat(101));
    let target = format!("GET /{} HTTP/1.1\r\nHost: api\r\n\r\n", "x".repeat(100 * 1_024));
    for request in [large, many, target] {
        served_meanwhile(&worker, refused(worker.gateway, request.as_bytes(), "431")).await;
    }
    cuts(&worker, "head_too_large", 3).await;
    assert!(upstream.heard().is_empty());
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_refused_however_it_is_announced() {
    let upstream = Recorder::start(Manner::Answer).await;
    let worker = worker(Some(upstream.address), &[("TRANSOM__GATEWAY__MAX_BODY", "1MiB")]).await;
    assert_eq!(get(worker.gateway, "/healthy").await.status(), 200);
    let (_, before) = worker.process.holds();
    let announced = format!("POST / HTTP/1.1\r\nHost: api\r\nContent-Length: {}\r\n\r\n", 1 << 30);
    served_meanwhile(&worker, refused(worker.gateway, announced.as_bytes(), "413")).await;
    assert!(upstream.heard().is_empty());
    let head = "POST / HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n";
    let mut chunked = head.as_bytes().to_vec();
    chunked.resize(chunked.len() + (2 << 20), b'x');
    served_meanwhile(&worker, refused(worker.gateway, &chunked, "413")).await;
    for heard in upstream.heard() {
        assert!(!heard.contains("\r\n0\r\n"), "the upstream takes it for whole");
    }
    let (_, after) = worker.process.holds();
    assert!(after < before + 16 * 1_024, "{before} KiB became {after} KiB");
}
