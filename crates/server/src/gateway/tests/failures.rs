//! What the client is told when the upstream, or the request itself, fails.

use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::support::{Setup, Stage, Wire, gateway};

const SOON: Duration = Duration::from_millis(50);
const GET: &str = "GET / HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n";

/// Asserts that the gateway itself has answered with `status`, with the rate-limit fields.
async fn answered(client: &mut Wire, status: u16, message: &str) {
    let head = client.head().await;
    assert!(head.first.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}");
    head.is_limited();
    assert_eq!(head.one("content-type"), "application/json");
    let body = format!(r#"{{"message":"{message}","status_code":{status}}}"#);
    assert_eq!(client.until("}").await, body);
}

#[tokio::test]
async fn an_upstream_that_refuses_is_a_502() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    drop(stage);
    let mut client = gateway.send(GET).await;
    answered(&mut client, 502, "The upstream API did not answer.").await;
}

#[tokio::test]
async fn an_upstream_that_hangs_up_or_talks_nonsense_is_a_502() {
    for response in ["", "220 smtp.example ESMTP\r\n", "HTTP/1.1 200 OK\r\nbad", "\0"] {
        let stage = Stage::new().await;
        let gateway = gateway(&stage).await;
        let mut client = gateway.send(GET).await;
        let mut upstream = stage.accept().await;
        upstream.head().await;
        upstream.send(response).await;
        drop(upstream);
        answered(&mut client, 502, "The upstream API did not answer.").await;
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_processed_is_not_sent_again() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let get = "GET / HTTP/1.1\r\nhost: api\r\n\r\n";
    let mut client = gateway.send(get).await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    client.send(get).await;
    upstream.head().await;
    drop(upstream);
    answered(&mut client, 502, "The upstream API did not answer.").await;
    assert!(stage.is_empty().await);
}

#[tokio::test]
async fn a_pooled_connection_that_has_closed_costs_no_request() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let mut client = gateway.send("GET / HTTP/1.1\r\nhost: api\r\n\r\n").await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    drop(upstream);
    // The gateway learns of it before it sees the next request, which comes after.
    tokio::task::yield_now().await;
    client.send(GET).await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.head().await.first, "HTTP/1.1 204 No Content");
}

#[tokio::test]
async fn an_upstream_that_is_slow_to_respond_is_a_504() {
    let stage = Stage::new().await;
    let mut setup = Setup::default();
    setup.upstream.response_timeout = SOON;
    let gateway = setup.before(&stage).await;
    let mut client = gateway.send(GET).await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    answered(&mut client, 504, "The upstream API did not answer in time.").await;
    upstream.closed().await;
}

#[tokio::test]
async fn an_upstream_that_is_slow_to_connect_is_a_504() {
    // A backlog that is full neither takes connections nor refuses them.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(queued) = timeout(SOON, TcpStream::connect(address)).await {
        queue.push(queued);
    }
    let mut setup = Setup::default();
    setup.upstream.url = Some(format!("http://{address}").parse().unwrap());
    setup.upstream.connect_timeout = SOON;
    let gateway = setup.start().await;
    let mut client = gateway.send(GET).await;
    answered(&mut client, 504, "The upstream API did not answer in time.").await;
}

#[tokio::test]
async fn a_body_that_moves_holds_off_the_timeout_and_one_that_stops_is_a_408() {
    let stage = Stage::new().await;
    let mut setup = Setup::default();
    // Less than the body takes as a whole, much more than it pauses.
    setup.upstream.response_timeout = SOON * 6;
    let gateway = setup.before(&stage).await;
    let post = "POST / HTTP/1.1\r\nhost: api\r\ncontent-length: 9\r\n\r\n";
    let mut client = gateway.send(post).await;
    for _ in 0..4 {
        tokio::time::sleep(SOON * 2).await;
        client.send("x").await;
    }
    answered(&mut client, 408, "The request body did not arrive in time.").await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    assert_eq!(upstream.rest().await, "xxxx");
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_a_413_at_once() {
    let stage = Stage::new().await;
    let mut setup = Setup::default();
    setup.upstream.max_body = Some(8);
    let gateway = setup.before(&stage).await;
    let post = "POST / HTTP/1.1\r\nhost: api\r\ncontent-length: 9\r\n\r\n";
    let mut client = gateway.send(post).await;
    answered(&mut client, 413, "The request body is too large.").await;
    assert!(stage.is_empty().await);
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_a_413() {
    let stage = Stage::new().await;
    let mut setup = Setup::default();
    setup.upstream.max_body = Some(8);
    let gateway = setup.before(&stage).await;
    let post =
        "POST / HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n";
    let mut client = gateway.send(post).await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream.until("12345678").await;
    client.send("1\r\n9\r\n").await;
    answered(&mut client, 413, "The request body is too large.").await;
    assert!(!upstream.rest().await.contains("0\r\n"), "the upstream takes it for whole");
}

#[tokio::test]
async fn a_body_of_just_the_bound_passes() {
    let stage = Stage::new().await;
    let mut setup = Setup::default();
    setup.upstream.max_body = Some(8);
    let gateway = setup.before(&stage).await;
    let post = "POST / HTTP/1.1\r\nhost: api\r\ncontent-length: 8\r\n\r\n12345678";
    let _client = gateway.send(post).await;
    let mut upstream = stage.accept().await;
    assert_eq!(upstream.head().await.one("content-length"), "8");
    assert_eq!(upstream.until("8").await, "12345678");
}

#[tokio::test]
async fn a_malformed_body_is_a_400() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let post = "POST / HTTP/1.1\r\nhost: api\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let mut client = gateway.send(post).await;
    answered(&mut client, 400, "The request body could not be read.").await;
}

#[tokio::test]
async fn a_request_that_names_no_single_host_is_a_400() {
    let gateway = Setup::default().start().await;
    for fields in ["", "host: one\r\nhost: two\r\n"] {
        let mut client = gateway.send(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).await;
        answered(&mut client, 400, "The request must name one host.").await;
    }
}

#[tokio::test]
async fn connect_is_not_served() {
    let gateway = Setup::default().start().await;
    let mut client = gateway.send("CONNECT api:443 HTTP/1.1\r\nhost: api:443\r\n\r\n").await;
    answered(&mut client, 501, "CONNECT is not served here.").await;
}
