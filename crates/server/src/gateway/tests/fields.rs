//! Header fields on their way through.

use super::support::{Head, Setup, Stage, Wire, gateway};

const EMPTY: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// What reaches the upstream of a request with these fields.
async fn passed(setup: Setup, fields: &str) -> Head {
    let stage = Stage::new().await;
    let gateway = setup.before(&stage).await;
    let _client = gateway.send(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).await;
    stage.accept().await.head().await
}

/// What reaches the client of a response.
async fn returned(request: &str, response: &str) -> (Head, Wire) {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let mut client = gateway.send(request).await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream.send(response).await;
    (client.head().await, client)
}

#[tokio::test]
async fn fields_of_the_hop_do_not_reach_the_upstream() {
    let fields = "host: api\r\nconnection: keep-alive, x-secret\r\nkeep-alive: timeout=9\r\n\
                  x-secret: 1\r\nproxy-authorization: Basic x\r\nx-kept: yes\r\n";
    let head = passed(Setup::default(), fields).await;
    for gone in ["connection", "keep-alive", "x-secret", "proxy-authorization"] {
        assert!(!head.has(gone), "{gone}: {head:?}");
    }
    assert_eq!(head.one("x-kept"), "yes");
}

#[tokio::test]
async fn connection_cannot_strip_what_the_upstream_relies_on() {
    let fields = "host: api\r\nconnection: x-forwarded-for, x-forwarded-proto, host, forwarded\r\n\
                  x-forwarded-for: 192.0.2.1\r\nforwarded: for=192.0.2.1\r\n";
    let head = passed(Setup { trusted: true, ..Setup::default() }, fields).await;
    assert_eq!(head.one("host"), "api");
    assert_eq!(head.one("x-forwarded-for"), "192.0.2.1, 127.0.0.1");
    assert_eq!(head.one("x-forwarded-proto"), "http");
    assert_eq!(head.one("forwarded"), "for=192.0.2.1, for=127.0.0.1");
    let head = passed(Setup::default(), fields).await;
    assert_eq!(head.one("x-forwarded-for"), "127.0.0.1");
    assert!(!head.has("forwarded"));
}

#[tokio::test]
async fn the_host_is_passed_on_as_asked_for_or_as_the_upstream_is_called() {
    let head = passed(Setup::default(), "host: api.example:8080\r\n").await;
    assert_eq!(head.one("host"), "api.example:8080");
    let mut setup = Setup::default();
    setup.upstream.preserve_host = false;
    let head = passed(setup, "host: api.example:8080\r\n").await;
    assert!(head.one("host").starts_with("127.0.0.1:"));
    assert_eq!(head.one("x-forwarded-host"), "api.example:8080");
}

#[tokio::test]
async fn fields_of_the_hop_do_not_reach_the_client() {
    let response = "HTTP/1.1 200 OK\r\nconnection: x-inner, close\r\nkeep-alive: timeout=9\r\n\
                    x-inner: 1\r\nx-kept: yes\r\ncontent-length: 2\r\n\r\nok";
    let (head, mut client) = returned("GET / HTTP/1.1\r\nhost: api\r\n\r\n", response).await;
    for gone in ["connection", "keep-alive", "x-inner"] {
        assert!(!head.has(gone), "{gone}: {head:?}");
    }
    assert_eq!((head.one("x-kept"), head.one("content-length")), ("yes", "2"));
    assert_eq!(client.until("ok").await, "ok");
}

#[tokio::test]
async fn what_the_upstream_says_of_limits_is_replaced() {
    let response = "HTTP/1.1 200 OK\r\nx-ratelimit-limit: 5000\r\nX-RateLimit-Limit: 6000\r\n\
                    connection: x-ratelimit-remaining\r\ncontent-length: 0\r\n\r\n";
    let (head, _client) = returned("GET / HTTP/1.1\r\nhost: api\r\n\r\n", response).await;
    head.is_limited();
}

#[tokio::test]
async fn an_error_of_the_upstream_passes_with_the_limits() {
    for status in ["404 Not Found", "500 Internal Server Error", "429 Too Many Requests"] {
        let response = format!("HTTP/1.1 {status}\r\ncontent-length: 4\r\n\r\noops");
        let (head, mut client) = returned("GET / HTTP/1.1\r\nhost: api\r\n\r\n", &response).await;
        assert_eq!(head.first, format!("HTTP/1.1 {status}"));
        head.is_limited();
        assert_eq!(client.until("oops").await, "oops");
    }
}

#[tokio::test]
async fn a_head_request_gets_the_fields_and_no_body() {
    let response = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    let request = "HEAD / HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n";
    let (head, mut client) = returned(request, response).await;
    assert_eq!(head.one("content-length"), "1000");
    head.is_limited();
    client.closed().await;
}

#[tokio::test]
async fn a_denied_head_request_gets_the_fields_and_no_body() {
    let stage = Stage::new().await;
    let gateway = Setup::denying().before(&stage).await;
    let mut client =
        gateway.send("HEAD / HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(head.first, "HTTP/1.1 429 Too Many Requests");
    head.is_limited();
    head.one("content-length");
    client.closed().await;
}

#[tokio::test]
async fn a_connection_to_the_upstream_is_used_again() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let get = "GET / HTTP/1.1\r\nhost: api\r\n\r\n";
    let mut client = gateway.send(get).await;
    let mut upstream = stage.accept().await;
    for _ in 0..2 {
        upstream.head().await;
        upstream.send(EMPTY).await;
        client.head().await;
        client.send(get).await;
    }
    upstream.head().await;
}
