//! The layer inside a real axum router, with the in-process limiter.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use transom_core::{Gate, Limits, PathPattern, PolicyName};
use transom_local::{Clock, LocalLimiter};

use super::scripted::AT_US;
use super::*;
use crate::identify;

/// Every request falls into one microsecond.
struct Stopped;

impl Clock for Stopped {
    fn now_us(&self) -> u64 {
        AT_US
    }
}

/// `routes`, limited by the address of the peer under `policies`.
fn limited(routes: Router, policies: Policies) -> Router {
    let limiter = LocalLimiter::with_clock(64, Stopped);
    let gate = Gate::new(policies, Mode::Enforce, limiter);
    let peer = identify::address(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip());
    routes.layer(RateLimitLayer::new(Arc::new(gate), peer))
}

fn people() -> Router {
    Router::new().route("/v1/people", get(async || "Ada"))
}

/// One request on a connection of its own; the head in lower case, and the body.
async fn fetch(server: SocketAddr, path: &str) -> (String, String) {
    let mut connection = TcpStream::connect(server).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn a_served_router_answers_200_200_429_with_every_field_and_exactly_the_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let app = limited(people(), Policies::default());
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving = tokio::spawn(async { axum::serve(listener, app).await });

    let shared = ["x-ratelimit-limit: 60", "x-ratelimit-limit-second: 2"];
    for (status, fields) in [
        ("200 ok", ["remaining: 59", "remaining-second: 1", "reset: 60", "limited-by: minute"]),
        ("200 ok", ["remaining: 58", "remaining-second: 0", "reset: 1", "limited-by: second"]),
        (
            "429 too many requests",
            ["remaining: 58", "remaining-second: 0", "reset: 1", "limited-by: second"],
        ),
    ] {
        let (head, body) = fetch(server, "/v1/people").await;
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some(format!("http/1.1 {status}").as_str()));
        let lines: Vec<&str> = lines.collect();
        for expected in shared {
            assert!(lines.contains(&expected), "{expected}: {head}");
        }
        for expected in fields {
            let expected = format!("x-ratelimit-{expected}");
            assert!(lines.contains(&expected.as_str()), "{expected}: {head}");
        }
        let denied = status != "200 ok";
        assert_eq!(lines.contains(&"retry-after: 1"), denied, "{head}");
        let told = r#"{"message":"You have exceeded your IP rate limit.","status_code":429,"retry_after":1}"#;
        assert_eq!(body, if denied { told } else { "Ada" });
    }
    serving.abort();
}

/// Asks `router` for `path` as a peer on `host`.
async fn ask(router: &Router, path: &str, host: [u8; 4]) -> Response<axum::body::Body> {
    let mut request = Request::get(path).body(axum::body::Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((host, 50_000))));
    router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn addresses_have_windows_of_their_own() {
    let router = limited(people(), Policies::default());
    for expected in [200, 200, 429] {
        let response = ask(&router, "/v1/people", [192, 0, 2, 1]).await;
        assert_eq!(response.status(), expected);
    }
    assert_eq!(ask(&router, "/v1/people", [192, 0, 2, 2]).await.status(), 200);
}

#[tokio::test]
async fn the_routes_of_a_router_share_the_windows() {
    let router = limited(people().route("/v1/places", get(async || "London")), Policies::default());
    for (path, expected) in [("/v1/people", 200), ("/v1/places", 200), ("/none", 429)] {
        assert_eq!(ask(&router, path, [192, 0, 2, 1]).await.status(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_layer_on_the_outermost_router_sees_the_whole_path_of_a_nested_one() {
    let mut policy =
        Policy::new(PolicyName::new("people").unwrap(), Limits { minute: 7, second: 7 });
    policy.path = Some(PathPattern::parse("/outer/v1/people").unwrap());
    let policies = Policies::new(vec![policy]).unwrap();
    let router = limited(Router::new().nest("/outer", people()), policies);
    let response = ask(&router, "/outer/v1/people", [192, 0, 2, 1]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(field(response.headers(), "x-ratelimit-limit"), Some("7"));
    assert_eq!(text(response).await, "Ada");
}

#[tokio::test]
async fn a_router_without_connect_info_refuses_and_does_not_let_pass() {
    let router = limited(people(), Policies::default());
    let request = Request::get("/v1/people").body(axum::body::Body::empty()).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), 403);
}
