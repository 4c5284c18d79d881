//! Bodies pass as they come.

use super::support::{Setup, Stage, gateway};

#[tokio::test]
async fn a_response_arrives_before_the_upstream_has_finished_it() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let mut client = gateway.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    client.head().await.is_limited();
    assert_eq!(client.until("first\r\n").await, "5\r\nfirst\r\n");
    upstream.send("4\r\nlast\r\n0\r\n\r\n").await;
    assert_eq!(client.until("0\r\n\r\n").await, "4\r\nlast\r\n0\r\n\r\n");
}

#[tokio::test]
async fn server_sent_events_arrive_one_by_one() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let mut client = gateway.send("GET /events HTTP/1.1\r\nhost: api\r\n\r\n").await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
    assert_eq!(client.head().await.one("content-type"), "text/event-stream");
    for event in ["data: one\n\n", "data: two\n\n"] {
        upstream.send(event).await;
        assert!(client.until("\n\n\r\n").await.ends_with(&format!("{event}\r\n")));
    }
    drop(upstream);
    assert_eq!(client.until("0\r\n\r\n").await, "0\r\n\r\n");
}

#[tokio::test]
async fn a_request_reaches_the_upstream_before_the_client_has_finished_it() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let post = "POST / HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    let mut client = gateway.send(post).await;
    let mut upstream = stage.accept().await;
    assert_eq!(upstream.head().await.one("transfer-encoding"), "chunked");
    assert_eq!(upstream.until("first\r\n").await, "5\r\nfirst\r\n");
    client.send("4\r\nlast\r\n0\r\n\r\n").await;
    assert_eq!(upstream.until("0\r\n\r\n").await, "4\r\nlast\r\n0\r\n\r\n");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let post = "POST / HTTP/1.1\r\nhost: api\r\nte: trailers\r\nconnection: te\r\n\
                trailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
                2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n";
    let mut client = gateway.send(post).await;
    let mut upstream = stage.accept().await;
    let head = upstream.head().await;
    assert_eq!((head.one("te"), head.one("connection")), ("trailers", "te"));
    assert_eq!(upstream.until("\r\n\r\n").await, "2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n");
    let response = "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
                    2\r\nho\r\n0\r\nx-sum: 8\r\n\r\n";
    upstream.send(response).await;
    client.head().await;
    assert_eq!(client.until("\r\n\r\n").await, "2\r\nho\r\n0\r\nx-sum: 8\r\n\r\n");
}

#[tokio::test]
async fn a_get_keeps_its_body() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let get =
        "GET / HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let _client = gateway.send(get).await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    assert_eq!(upstream.until("0\r\n\r\n").await, "2\r\nhi\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_denial_comes_before_the_body_is_read() {
    let stage = Stage::new().await;
    let gateway = Setup::denying().before(&stage).await;
    let post = "POST / HTTP/1.1\r\nhost: api\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    let mut client = gateway.send(post).await;
    let head = client.head().await;
    assert_eq!(head.first, "HTTP/1.1 429 Too Many Requests");
    head.is_limited();
    head.one("retry-after");
    assert!(stage.is_empty().await);
}

#[tokio::test]
async fn a_body_is_asked_for_once_the_request_may_pass() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let post = "POST / HTTP/1.1\r\nhost: api\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    let mut client = gateway.send(post).await;
    let mut upstream = stage.accept().await;
    assert_eq!(client.head().await.first, "HTTP/1.1 100 Continue");
    client.send("hi").await;
    assert!(!upstream.head().await.has("expect"));
    assert_eq!(upstream.until("hi").await, "hi");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let client = gateway.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    drop(client);
    upstream.closed().await;
}

#[tokio::test]
async fn a_client_that_leaves_within_a_response_ends_it() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let mut client = gateway.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome").await;
    client.until("some").await;
    drop(client);
    upstream.closed().await;
}

#[tokio::test]
async fn a_response_that_is_broken_off_is_not_made_whole() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let mut client = gateway.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nsome\r\n").await;
    drop(upstream);
    client.head().await;
    assert_eq!(client.rest().await, "4\r\nsome\r\n");
}
