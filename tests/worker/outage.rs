//! A Redis that is taken away from a worker under load: what clients meet, and for how long.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;
use transom_tests::{RedisServer, signal};

use crate::client::{Reply, get, is_decided, send};
use crate::process::{LOOK_AGAIN, Worker};

/// The longest that a client may wait. The deadline is 50 ms; the rest is for a busy machine.
const IN_TIME: Duration = Duration::from_millis(500);
/// How long the load goes on while Redis is away.
const AWAY: Duration = Duration::from_millis(1_500);

/// Every way to fail, for whoever asks for it, and room for everybody.
const CONFIG: &str = r#"
[redis]
deadline = "50ms"

[[policy]]
name = "default"
minute = 100000
second = 100000

[[policy]]
name = "allow"
path = "/allow"
minute = 100000
second = 100000
on_failure = "allow"

[[policy]]
name = "deny"
path = "/deny"
minute = 100000
second = 100000
on_failure = "deny"
"#;

async fn worker(server: &RedisServer) -> Worker {
    Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await
}

/// Whether Redis decided; whoever decided, in time and as the policy says.
async fn decided_by_redis(worker: &Worker, path: &str, lines: &[&[u8]]) -> bool {
    let asked = Instant::now();
    let reply = send(worker.gateway, "GET", path, lines, "").await;
    let took = asked.elapsed();
    assert!(took < IN_TIME, "{path} took {took:?}: {reply:?}");
    let reason = reply.headers().get("x-ratelimit-degraded");
    let expected = match (reply.status().as_u16(), path) {
        (503, "/deny") => reason.is_none() && !is_decided(&reply),
        (200, "/allow") => reason.is_some() != is_decided(&reply),
        (200, _) => is_decided(&reply),
        _ => false,
    };
    assert!(expected, "{path}: {reply:?}");
    reply.status() == 200 && reason.is_none()
}

/// Asks on all policies in turn until the time is over; how many answers Redis gave, and how many
/// it did not.
async fn load(worker: &Worker, lasts: Duration) -> [usize; 2] {
    let started = Instant::now();
    let mut counts = [0; 2];
    while started.elapsed() < lasts {
        for path in ["/", "/allow", "/deny"] {
            counts[usize::from(!decided_by_redis(worker, path, &[]).await)] += 1;
        }
    }
    counts
}

/// Waits until Redis decides for every policy again.
async fn recovers(worker: &Worker) {
    let back = Instant::now();
    for path in ["/", "/allow", "/deny"] {
        while !decided_by_redis(worker, path, &[]).await {
            assert!(back.elapsed() < Duration::from_secs(2), "{path} is not decided by redis");
            sleep(LOOK_AGAIN).await;
        }
    }
}

async fn readiness(worker: &Worker) -> (u16, Value) {
    let reply: Reply = get(worker.admin, "/readyz").await;
    let body: Value = serde_json::from_str(reply.body()).expect("JSON");
    (reply.status().as_u16(), body["redis"]["connected"].clone())
}

#[tokio::test]
async fn a_redis_that_is_killed_costs_no_client_more_than_the_deadline_and_no_500() {
    let mut server = RedisServer::process(&[]).await;
    let worker = worker(&server).await;
    recovers(&worker).await;
    for _ in 0..2 {
        server.stop();
        let [by_redis, without] = load(&worker, AWAY).await;
        assert!(by_redis == 0 && without > 0, "{by_redis} by a redis that is gone, {without}");
        assert_eq!(readiness(&worker).await, (200, Value::Bool(false)));
        server.start_again().await;
        recovers(&worker).await;
        assert_eq!(readiness(&worker).await, (200, Value::Bool(true)));
    }
}

#[tokio::test]
async fn a_redis_that_hangs_costs_no_client_more_than_the_deadline_and_no_500() {
    let server = RedisServer::process(&[]).await;
    let worker = worker(&server).await;
    recovers(&worker).await;
    signal(server.pid().unwrap(), &["STOP"]);
    let [by_redis, without] = load(&worker, AWAY).await;
    assert!(by_redis == 0 && without > 0, "{by_redis} by a redis that hangs, {without}");
    signal(server.pid().unwrap(), &["CONT"]);
    recovers(&worker).await;
}

/// Goal: one deadline for all that a request asks Redis, looking up its keys included.
/// Method: a deadline of 400 ms, a Redis that hangs, keys that no worker has seen.
#[tokio::test]
async fn unknown_keys_do_not_make_a_request_wait_longer_than_the_deadline() {
    let server = RedisServer::process(&[]).await;
    let variables =
        [("TRANSOM__REDIS__URL", server.url.as_str()), ("TRANSOM__REDIS__DEADLINE", "400ms")];
    let worker = Worker::with(CONFIG, &variables).await;
    recovers(&worker).await;
    signal(server.pid().unwrap(), &["STOP"]);
    let keys: [&[u8]; 2] = [b"X-Api-Key: unknown", b"Authorization: Bearer unknown-too"];
    let asked = Instant::now();
    let reply = send(worker.gateway, "GET", "/deny", &keys, "").await;
    let took = asked.elapsed();
    signal(server.pid().unwrap(), &["CONT"]);
    assert_eq!(reply.status(), 503, "{reply:?}");
    assert!(took < Duration::from_millis(700), "{took:?}, with a deadline of 400 ms");
}

/// Goal: nothing degrades in silence, and a healthy start raises no alarm. Method: the log of a
/// worker whose Redis is taken away twice, for the same reason.
#[tokio::test]
async fn the_log_says_each_time_that_redis_was_lost_and_that_it_is_back() {
    let mut server = RedisServer::process(&[]).await;
    let worker = worker(&server).await;
    recovers(&worker).await;
    let times = |said: &str| worker.process.all_said().matches(said).count();
    for outage in 0..2 {
        let said = [LOST, UNREACHABLE, BACK].map(times);
        assert_eq!(said[2], outage, "each return is said once: {}", worker.process.all_said());
        server.stop();
        load(&worker, AWAY).await;
        assert!(
            times(LOST) > said[0] && times(UNREACHABLE) > said[1],
            "outage {outage} was silent"
        );
        server.start_again().await;
        recovers(&worker).await;
    }
}

const LOST: &str = "the connection to redis was lost";
const UNREACHABLE: &str = "cannot connect to redis";
const BACK: &str = "connected to redis again";

const OPERATED: &str = r#"
[redis]
deadline = "50ms"
workers = 1

[[policy]]
name = "default"
minute = 10
second = 10
"#;

/// Sends a wish to the admin API.
async fn wish(worker: &Worker, path: &str, body: &str) {
    let lines: [&[u8]; 1] = [b"Content-Type: application/json"];
    let reply = send(worker.admin, "PUT", path, &lines, body).await;
    assert_eq!(reply.status(), 200, "{reply:?}");
}

/// Goal: who was blocked, and whose limits were others, is so in an outage too, as last seen.
#[tokio::test]
async fn blocks_and_overrides_outlast_redis_as_they_were_last_seen() {
    let server = RedisServer::start().await;
    let worker = Worker::with(OPERATED, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    wish(&worker, "/api/blocks/user:8", "{}").await;
    wish(&worker, "/api/overrides/user:42", r#"{"minute":700,"second":70}"#).await;
    wish(&worker, "/api/overrides/user:43", r#"{"minute":700,"second":70}"#).await;
    let ask = async |identity: &str| {
        crate::client::decide(worker.check, &serde_json::json!({"identity": identity})).await
    };
    for identity in ["user:8", "user:42", "user:43"] {
        assert_eq!(ask(identity).await["source"], "redis");
    }
    let lines: [&[u8]; 1] = [b"Content-Type: application/json"];
    let gone = send(worker.admin, "DELETE", "/api/overrides/user:43", &lines, "").await;
    assert_eq!(gone.status(), 200, "{gone:?}");
    assert_eq!(ask("user:43").await["minute"]["limit"], 10);

    drop(server);
    let asked = Instant::now();
    while ask("user:1").await["source"] != "local" {
        assert!(asked.elapsed() < Duration::from_secs(20), "redis still answers");
        sleep(LOOK_AGAIN).await;
    }
    let blocked = ask("user:8").await;
    assert_eq!((&blocked["allowed"], &blocked["limited_by"]), (&false.into(), &"penalty".into()));
    assert_eq!(ask("user:42").await["minute"]["limit"], 700);
    assert_eq!(ask("user:43").await["minute"]["limit"], 10);
}
