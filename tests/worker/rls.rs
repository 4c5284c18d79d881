//! Envoy's rate limit service of a worker: calls over HTTP/2 as Envoy makes them, and Envoy itself.

mod envoy;
mod in_front;

use std::time::{Duration, Instant};

use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::sleep;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use transom_server::rls::PATH;
use transom_server::rls::wire::{
    Code as Verdict, Descriptor, Entry, RateLimitRequest, RateLimitResponse, Unit,
};
use transom_tests::RedisServer;

use crate::metrics::{served, value};
use crate::process::{LOOK_AGAIN, Worker};
use crate::upstream::ClosedPort;

/// Limits by path: of the minute alone, and by what happens without Redis. The deadline is one that
/// a busy machine keeps.
const CONFIG: &str = r#"
[redis]
deadline = "5s"

[[api_key]]
sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
user = "42"

[[policy]]
name = "default"
minute = 5
second = 5

[[policy]]
name = "allow"
path = "/allow"
on_failure = "allow"
minute = 5
second = 5

[[policy]]
name = "deny"
path = "/deny"
on_failure = "deny"
minute = 5
second = 5
"#;

/// Of the digest in [`CONFIG`].
const KEY: &str = "foo";

/// Calls on one connection, as Envoy makes them.
type Calls = tonic::client::Grpc<Client<HttpConnector, tonic::body::Body>>;

fn calls(worker: &Worker) -> Calls {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin: Uri = format!("http://{}", worker.rls).parse().expect("an address");
    tonic::client::Grpc::with_origin(client, origin)
}

async fn ask(
    calls: &mut Calls,
    entries: &[(&str, &str)],
    hits: u32,
) -> Result<RateLimitResponse, Status> {
    let entry = |(key, value): &(&str, &str)| Entry {
        key: (*key).to_owned(),
        value: value.as_bytes().to_vec(),
    };
    let entries = entries.iter().map(entry).collect();
    let descriptor = Descriptor { entries, ..Descriptor::default() };
    let message = RateLimitRequest {
        domain: "a test".to_owned(),
        descriptors: vec![descriptor],
        hits_addend: hits,
    };
    let codec = ProstCodec::<RateLimitRequest, RateLimitResponse>::default();
    calls.ready().await.expect("a client that takes calls");
    let path = PATH.parse().expect("a path");
    calls.unary(tonic::Request::new(message), path, codec).await.map(tonic::Response::into_inner)
}

fn field<'a>(reply: &'a RateLimitResponse, name: &str) -> Option<&'a str> {
    let found = reply.response_headers_to_add.iter().find(|field| field.key == name);
    found.map(|field| field.value.as_str())
}

fn is_over(reply: &RateLimitResponse) -> bool {
    assert_eq!(reply.statuses.len(), 1, "{reply:?}");
    assert_eq!(reply.overall_code, reply.statuses[0].code, "{reply:?}");
    match reply.overall_code() {
        Verdict::Ok => false,
        Verdict::OverLimit => true,
        Verdict::Unknown => panic!("{reply:?}"),
    }
}

#[tokio::test]
async fn as_many_pass_as_the_limit_says_whichever_face_is_asked() {
    let server = RedisServer::start().await;
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let mut calls = calls(&worker);
    let shows = [("remote_address", "192.0.2.1"), ("api_key", KEY), ("path", "/v1/people?a=b")];
    let reply = ask(&mut calls, &shows, 3).await.unwrap();
    assert!(!is_over(&reply));
    assert_eq!(field(&reply, "x-ratelimit-remaining"), Some("2"));
    let limit = reply.statuses[0].current_limit.clone().expect("a limit");
    assert_eq!((limit.requests_per_unit, limit.unit()), (5, Unit::Minute));
    assert_eq!(crate::client::left(worker.check, "user:42", "/").await, 2);
    // A cost that does not fit is charged nothing.
    let reply = ask(&mut calls, &[("user", "42")], 3).await.unwrap();
    assert!(is_over(&reply));
    assert_eq!(
        (reply.statuses[0].limit_remaining, field(&reply, "retry-after").is_some()),
        (2, true)
    );
    assert!(reply.raw_body.starts_with(br#"{"message":"You have exceeded your user rate limit.""#));
    for is_denied in [false, false, true] {
        assert_eq!(is_over(&ask(&mut calls, &[("user", "42")], 0).await.unwrap()), is_denied);
    }
    // Another caller at the same address, who shows a key that is none.
    let stranger = [("remote_address", "192.0.2.1"), ("authorization", "Bearer bar")];
    assert!(!is_over(&ask(&mut calls, &stranger, 5).await.unwrap()));
    assert_eq!(crate::client::left(worker.check, "ip:192.0.2.1", "/").await, 0);
    let error = ask(&mut calls, &[("path", "/")], 0).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().starts_with("descriptors[0]: it names nobody"), "{error:?}");
    let metrics = served(&worker).await;
    for (status, times) in [("200", 4), ("429", 2), ("400", 1), ("503", 0)] {
        let series = format!(r#"transom_http_requests_total{{listener="rls",status="{status}"}}"#);
        assert_eq!(value(&metrics, &series), times, "{status}");
    }
}

#[tokio::test]
async fn without_redis_a_call_meets_its_policy() {
    let closed = ClosedPort::new();
    let url = format!("redis://{}", closed.address);
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &url)]).await;
    let mut calls = calls(&worker);
    let error = ask(&mut calls, &[("user", "1"), ("path", "/deny")], 0).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::Unavailable, "descriptors[0]: no decision: unreachable")
    );
    let reply = ask(&mut calls, &[("user", "1"), ("path", "/allow")], 0).await.unwrap();
    assert_eq!((reply.overall_code(), field(&reply, "x-ratelimit-limit")), (Verdict::Ok, None));
    assert_eq!(field(&reply, "x-ratelimit-degraded"), Some("unreachable"));
    let reply = ask(&mut calls, &[("user", "1")], 0).await.unwrap();
    assert!(!is_over(&reply));
    assert_eq!(field(&reply, "x-ratelimit-degraded"), Some("unreachable"));
    assert_eq!(field(&reply, "x-ratelimit-limit"), Some("5"));
}

/// Goal: a worker that ends fails no call. Method: calls one after the other on one connection; a
/// connection that is told to end is replaced, and only then none can be had.
#[tokio::test]
async fn a_worker_that_drains_answers_until_its_delay_is_over() {
    let variables = [("TRANSOM__GATEWAY__DRAIN_DELAY", "1s"), ("TRANSOM__GATEWAY__DRAIN", "5s")];
    let roomy = "[[policy]]\nname = \"default\"\nminute = 100000\nsecond = 100000";
    let mut worker = Worker::with(roomy, &variables).await;
    let mut calls = calls(&worker);
    ask(&mut calls, &[("user", "1")], 0).await.unwrap();
    worker.process.signal("TERM");
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_millis(800) {
        assert!(!is_over(&ask(&mut calls, &[("user", "1")], 0).await.unwrap()));
        sleep(LOOK_AGAIN).await;
    }
    while tokio::net::TcpStream::connect(worker.rls).await.is_ok() {
        assert!(asked.elapsed() < Duration::from_secs(20), "it still listens");
        sleep(LOOK_AGAIN).await;
    }
    assert_eq!(worker.process.end().await.code, Some(0));
}
