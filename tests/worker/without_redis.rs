//! A worker that is started before its Redis: it serves as its policies say, and takes Redis up
//! when it comes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;
use transom_tests::RedisServer;

use crate::client::{Reply, get, is_decided, number, send};
use crate::process::{LOOK_AGAIN, PATIENCE, Worker};
use crate::upstream::ClosedPort;

/// One policy for each way to fail, and a fourth that does what `redis.on_failure` says. Of four
/// workers, each has two of eight units.
const CONFIG: &str = r#"
[redis]
workers = 4

[[policy]]
name = "default"
minute = 8
second = 8

[[policy]]
name = "local"
path = "/local"
minute = 8
second = 8
on_failure = "local"

[[policy]]
name = "allow"
path = "/allow"
minute = 8
second = 8
on_failure = "allow"

[[policy]]
name = "deny"
path = "/deny"
minute = 8
second = 8
on_failure = "deny"
"#;

const REFUSED: &str = "{\"message\":\"The rate limiter is unavailable. Try again shortly.\",\
    \"status_code\":503,\"retry_after\":1}";

/// Asks the check listener about one user, whatever comes of it.
async fn ask(check: SocketAddr, user: &str, path: &str) -> Reply {
    let asked = json!({"identity": format!("user:{user}"), "path": path}).to_string();
    send(check, "POST", "/v1/decide", &[], &asked).await
}

fn read(reply: &Reply) -> Value {
    serde_json::from_str(reply.body()).unwrap_or_else(|error| panic!("{error}: {reply:?}"))
}

/// Limited with this worker's share, which the headers show.
async fn is_local(worker: &Worker, path: &str) {
    for (status, remaining) in [(200, 1), (200, 0), (429, 0)] {
        let reply = get(worker.gateway, path).await;
        assert_eq!((reply.status().as_u16(), is_decided(&reply)), (status, true), "{reply:?}");
        assert_eq!(number(&reply, "x-ratelimit-limit"), 2);
        assert_eq!(number(&reply, "x-ratelimit-limit-second"), 2);
        assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining);
        assert_eq!(reply.headers()["x-ratelimit-degraded"], "unreachable");
        assert_eq!(reply.headers().contains_key("retry-after"), status == 429);
    }
    let answer = read(&ask(worker.check, "local", path).await);
    assert_eq!((&answer["allowed"], &answer["minute"]["limit"]), (&json!(true), &json!(2)));
    assert_eq!((&answer["source"], &answer["degraded"]), (&json!("local"), &json!("unreachable")));
    let check = get(worker.check, &format!("/check{path}")).await;
    assert_eq!((check.status().as_u16(), is_decided(&check)), (429, true), "{check:?}");
}

/// Passes, and nothing is said of limits.
async fn is_allowed(worker: &Worker, path: &str) {
    for _ in 0..20 {
        let reply = get(worker.gateway, path).await;
        assert_eq!((reply.status().as_u16(), is_decided(&reply)), (200, false), "{reply:?}");
        assert_eq!(reply.headers()["x-ratelimit-degraded"], "unreachable");
        assert!(!reply.headers().contains_key("retry-after"));
    }
    let answer = read(&ask(worker.check, "allow", path).await);
    assert_eq!((&answer["allowed"], &answer["minute"]), (&json!(true), &Value::Null));
    assert_eq!((&answer["source"], &answer["degraded"]), (&json!("none"), &json!("unreachable")));
    let check = get(worker.check, &format!("/check{path}")).await;
    assert_eq!((check.status().as_u16(), is_decided(&check)), (200, false), "{check:?}");
    assert_eq!(check.headers()["x-ratelimit-degraded"], "unreachable");
}

/// Refused with 503: no 429, no 500, no limits.
async fn is_denied(worker: &Worker, path: &str) {
    for reply in [
        get(worker.gateway, path).await,
        get(worker.gateway, path).await,
        get(worker.check, &format!("/check{path}")).await,
        ask(worker.check, "deny", path).await,
    ] {
        assert_eq!((reply.status().as_u16(), reply.body().as_str()), (503, REFUSED));
        assert_eq!(reply.headers()["retry-after"], "1");
        assert_eq!(reply.headers()["content-type"], "application/json");
        let mut names = reply.headers().keys().map(|name| name.as_str());
        assert!(!names.any(|name| name.contains("ratelimit")), "{reply:?}");
    }
}

#[tokio::test]
async fn without_redis_every_policy_fails_in_its_own_way() {
    for on_failure in ["local", "allow", "deny"] {
        let closed = ClosedPort::new();
        let url = format!("redis://{}", closed.address);
        let variables =
            [("TRANSOM__REDIS__URL", url.as_str()), ("TRANSOM__REDIS__ON_FAILURE", on_failure)];
        let worker = Worker::with(CONFIG, &variables).await;

        let said: Vec<_> = worker.banner.lines().filter(|line| line.contains(&url)).collect();
        assert_eq!(said.len(), 1, "{}", worker.banner);
        for part in ["does not answer yet", &format!("redis.on_failure = {on_failure}")] {
            assert!(said[0].contains(part), "{}", said[0]);
        }
        let ready = get(worker.admin, "/readyz").await;
        assert_eq!(ready.status(), 200, "it decides as its policies say");
        let expected = json!({"ready": true, "store": "redis", "redis": {"connected": false},
            "degraded": "unreachable"});
        assert_eq!(read(&ready), expected);

        is_local(&worker, "/local").await;
        is_allowed(&worker, "/allow").await;
        is_denied(&worker, "/deny").await;
        match on_failure {
            "local" => is_local(&worker, "/").await,
            "allow" => is_allowed(&worker, "/").await,
            _ => is_denied(&worker, "/").await,
        }
    }
}

#[tokio::test]
async fn in_a_batch_each_request_fails_in_its_own_way() {
    let closed = ClosedPort::new();
    let url = format!("redis://{}", closed.address);
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &url)]).await;
    let requests: Vec<_> = ["/local", "/allow", "/deny"]
        .iter()
        .map(|path| json!({"identity": "user:42", "path": path}))
        .collect();
    let asked = json!({"requests": requests}).to_string();
    let reply = send(worker.check, "POST", "/v1/decide", &[], &asked).await;
    assert_eq!(reply.status(), 200);
    let results = &read(&reply)["results"];
    assert_eq!(results[0]["source"], "local");
    assert_eq!((&results[1]["allowed"], &results[1]["source"]), (&json!(true), &json!("none")));
    let refused: Value = serde_json::from_str(REFUSED).unwrap();
    assert_eq!(results[2], json!({"error": refused}));
}

/// Goal: a Redis that takes connections and never answers is as good as none, and is called so.
/// Method: a port with a backlog that nobody empties, as a process that hangs has.
#[tokio::test]
async fn a_redis_that_never_answers_is_said_not_to_answer() {
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", hangs.local_addr().unwrap());
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &url)]).await;
    assert!(worker.banner.contains("does not answer yet"), "{}", worker.banner);
    let asked = Instant::now();
    loop {
        let ready = read(&get(worker.admin, "/readyz").await);
        if ready["redis"]["connected"] == false && ready["degraded"].is_string() {
            break;
        }
        assert!(asked.elapsed() < Duration::from_secs(5), "after five seconds: {ready}");
        sleep(LOOK_AGAIN).await;
    }
}

/// Goal: with `admin.ready_while_degraded = false` a worker is ready while Redis decides, and only
/// then; it decides all the same. Method: a port on which a Redis ran and will again.
#[tokio::test]
async fn a_worker_may_be_ready_only_while_redis_decides() {
    let mut server = RedisServer::process(&[]).await;
    server.stop();
    let variables = [
        ("TRANSOM__REDIS__URL", server.url.as_str()),
        ("TRANSOM__ADMIN__READY_WHILE_DEGRADED", "false"),
    ];
    let worker = Worker::with(CONFIG, &variables).await;
    let ready = get(worker.admin, "/readyz").await;
    let expected = json!({"ready": false, "store": "redis", "redis": {"connected": false},
        "degraded": "unreachable"});
    assert_eq!((ready.status().as_u16(), read(&ready)), (503, expected));
    is_local(&worker, "/local").await;

    server.start_again().await;
    let come = Instant::now();
    while get(worker.admin, "/readyz").await.status() != 200 {
        assert!(come.elapsed() < PATIENCE, "Redis is back, and the worker is not ready");
        sleep(LOOK_AGAIN).await;
    }
}

/// Goal: Redis comes, and decides, without a restart.
/// Method: a port on which a Redis ran and will again.
#[tokio::test]
async fn when_redis_comes_it_decides_within_a_second() {
    let mut server = RedisServer::process(&[]).await;
    server.stop();
    let variables = [("TRANSOM__REDIS__URL", server.url.as_str())];
    let worker = Worker::with(CONFIG, &variables).await;
    is_denied(&worker, "/deny").await;

    server.start_again().await;
    let come = Instant::now();
    loop {
        let reply = ask(worker.check, "42", "/deny").await;
        if reply.status() == 200 && read(&reply)["source"] == "redis" {
            break;
        }
        assert!(come.elapsed() < Duration::from_secs(1), "after a second: {reply:?}");
        sleep(LOOK_AGAIN).await;
    }
    for path in ["/local", "/allow", "/deny", "/"] {
        let reply = get(worker.gateway, path).await;
        assert_eq!((reply.status().as_u16(), number(&reply, "x-ratelimit-limit")), (200, 8));
        assert!(!reply.headers().contains_key("x-ratelimit-degraded"), "{reply:?}");
    }
    let ready = read(&get(worker.admin, "/readyz").await);
    let expected = json!({"ready": true, "store": "redis", "redis": {"connected": true}});
    assert_eq!(ready, expected);
}
