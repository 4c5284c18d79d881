//! Request lines as they pass, and the echo.

use bytes::Bytes;
use http::{Request, Uri, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::support::{Running, Setup, Stage, gateway};
use crate::gateway::serve_echo;

/// The request line that reaches the upstream.
async fn line(setup: Setup, line: &str) -> String {
    let stage = Stage::new().await;
    let gateway = setup.before(&stage).await;
    let _client = gateway.send(&format!("{line}\r\nhost: api\r\n\r\n")).await;
    stage.accept().await.head().await.first
}

#[tokio::test]
async fn any_method_passes() {
    for method in ["GET", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "MADE-UP"] {
        let sent = format!("{method} / HTTP/1.1");
        assert_eq!(line(Setup::default(), &sent).await, sent);
    }
}

#[tokio::test]
async fn a_target_passes_as_it_is() {
    for target in ["/a//b/%2e%2e/c?x=1", "/../x/./y;v=1?", "/%zz?q=%&&", "/a|b{c}", "/?"] {
        let sent = format!("GET {target} HTTP/1.1");
        assert_eq!(line(Setup::default(), &sent).await, sent);
    }
    assert_eq!(line(Setup::default(), "OPTIONS * HTTP/1.1").await, "OPTIONS * HTTP/1.1");
}

#[tokio::test]
async fn a_target_goes_behind_the_path_of_the_upstream() {
    let mut setup = Setup::default();
    setup.upstream.url = Some(Uri::from_static("http://stage/base/"));
    assert_eq!(line(setup, "GET //a?x=1 HTTP/1.1").await, "GET /base//a?x=1 HTTP/1.1");
}

#[tokio::test]
async fn the_host_of_an_absolute_target_is_that_of_the_field() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let get = "GET http://me@one.example/a?b HTTP/1.1\r\nhost: One.example\r\n\r\n";
    let _client = gateway.send(get).await;
    let head = stage.accept().await.head().await;
    assert_eq!(head.first, "GET /a?b HTTP/1.1");
    assert_eq!(head.one("host"), "one.example");
}

#[tokio::test]
async fn an_http_1_0_client_is_served() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let mut client = gateway.send("GET / HTTP/1.0\r\n\r\n").await;
    let mut upstream = stage.accept().await;
    let head = upstream.head().await;
    assert_eq!(head.first, "GET / HTTP/1.1");
    assert_eq!(head.one("host"), stage.address().to_string());
    upstream
        .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.head().await.first, "HTTP/1.0 200 OK");
    assert_eq!(client.rest().await, "ok");
}

/// A client that speaks HTTP/2.
async fn http_2(gateway: &Running) -> SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(gateway.address()).await.unwrap());
    let (client, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn an_http_2_client_reaches_an_http_1_upstream() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let mut client = http_2(&gateway).await;
    let request = Request::get("http://api.example/a?b=c")
        .header("cookie", "one=1")
        .header("cookie", "two=2")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answered = tokio::spawn(client.send_request(request));
    let mut upstream = stage.accept().await;
    let head = upstream.head().await;
    assert_eq!(head.first, "GET /a?b=c HTTP/1.1");
    assert_eq!((head.one("host"), head.one("cookie")), ("api.example", "one=1; two=2"));
    assert!(!head.has("transfer-encoding"));
    let ok = "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nkeep-alive: timeout=5\r\n\
              transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    upstream.send(ok).await;
    let response = answered.await.unwrap().unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert!(response.headers().contains_key("x-ratelimit-limit"));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
}

#[tokio::test]
async fn a_head_request_in_http_2_gets_the_fields_and_no_body() {
    for setup in [Setup::default(), Setup::denying()] {
        let gateway = setup.start().await;
        let request = Request::head("http://api.example/").body(Empty::new()).unwrap();
        let response = http_2(&gateway).await.send_request(request).await.unwrap();
        assert!(response.headers().contains_key("x-ratelimit-limit"));
        assert_ne!(response.headers()["content-length"], "0");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "");
    }
}

#[tokio::test]
async fn without_an_upstream_requests_are_echoed() {
    let gateway = Setup::default().start().await;
    let post = "POST /a//b?x=1 HTTP/1.1\r\nhost: api\r\nauthorization: Bearer s3cret\r\n\
                x-api-key: s3cret\r\ncookie: id=s3cret\r\nx-two: 1\r\nx-two: 2\r\n\
                connection: close\r\ncontent-length: 5\r\n\r\nhello";
    let mut client = gateway.send(post).await;
    let head = client.head().await;
    assert_eq!(head.first, "HTTP/1.1 200 OK");
    head.is_limited();
    let body = client.rest().await;
    assert!(!body.contains("s3cret"), "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["method"], "POST");
    assert_eq!((&body["path"], &body["query"]), (&"/a//b".into(), &"x=1".into()));
    assert_eq!(body["body_bytes"], 5);
    assert_eq!(body["headers"]["x-api-key"], "…");
    assert_eq!(body["headers"]["x-two"], "1, 2");
    assert_eq!(body["headers"]["x-forwarded-for"], "127.0.0.1");
}

#[tokio::test]
async fn the_demo_api_echoes_and_says_that_it_is_well() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let ended = tokio::spawn(serve_echo(listener, shutdown.clone()));
    let get = async |path: &str| {
        let url: Uri = format!("http://{address}{path}").parse().unwrap();
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        let client = client.build_http::<Empty<Bytes>>();
        let response = client.get(url).await.unwrap();
        assert!(response.status().is_success());
        response.into_body().collect().await.unwrap().to_bytes()
    };
    assert_eq!(get("/healthz").await, "");
    let body: Value = serde_json::from_slice(&get("/x?y").await).unwrap();
    assert_eq!((&body["path"], &body["query"]), (&"/x".into(), &"y".into()));
    shutdown.cancel();
    assert_eq!(ended.await.unwrap().cut, 0);
}
