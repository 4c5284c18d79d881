//! PROMISES.md, P5: whatever Redis answers, or does not, a client meets its policy: never a 500, and
//! never a 429 for a decision that could not be had.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use transom_tests::RedisServer;
use transom_tests::fake_redis::{FakeRedis, Reaction};
use transom_tests::redis_server::free_port;

use crate::client::{Reply, get, is_decided};
use crate::metrics::{served, value};
use crate::process::{LOOK_AGAIN, Worker};

const CONFIG: &str = r#"
[redis]
workers = 1

[[policy]]
name = "default"
minute = 60
second = 60

[[policy]]
name = "allow"
path = "/allow"
on_failure = "allow"
minute = 60
second = 60

[[policy]]
name = "deny"
path = "/deny"
on_failure = "deny"
minute = 60
second = 60
"#;

/// Every way to fail, and the reason that is given for it.
fn failures() -> Vec<(Reaction, &'static str)> {
    let refused = [
        "NOSCRIPT",
        "LOADING",
        "BUSY",
        "OOM",
        "READONLY",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "NOAUTH",
        "WRONGTYPE",
        "MOVED 1 127.0.0.1:1",
        "ASK 1 127.0.0.1:1",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "CROSSSLOT",
    ];
    let not_understood = [
        "-NOPERM this user has no permissions\r\n",
        "-ERR user_script:1: Script attempted to access nonexistent global variable\r\n",
        "-NEWERROR of a later version\r\n",
        "$-1\r\n",
        "*0\r\n",
        "*2\r\n:1\r\n:2\r\n",
        ":1\r\n",
    ];
    let reply = |text: &str| Reaction::Reply(text.to_owned());
    let mut all: Vec<_> =
        refused.map(|code| (reply(&format!("-{code} detail\r\n")), "refused")).to_vec();
    all.extend(not_understood.map(|text| (reply(text), "reply")));
    all.push((reply("this is not the protocol\r\n"), "connection_lost"));
    all.push((Reaction::Close, "connection_lost"));
    all.push((Reaction::Silence, "deadline"));
    all
}

/// What a client meets on each path, and what is counted.
const HANDLED: [(&str, &str, u16); 3] =
    [("/", "local", 200), ("/allow", "allow", 200), ("/deny", "deny", 503)];

/// Asks on a path, and holds the answer against the policy.
async fn meets_its_policy(
    worker: &Worker,
    (path, outcome, status): (&str, &str, u16),
    reason: &str,
) {
    let series =
        format!(r#"transom_degraded_total{{reason="{reason}",policy_outcome="{outcome}"}}"#);
    let before = value(&served(worker).await, &series);
    let reply: Reply = get(worker.gateway, path).await;
    let told = reply.headers().get("x-ratelimit-degraded");
    let told = told.map(|value| value.to_str().expect("a label"));
    let what = format!("{path}, {reason}: {reply:?}");
    assert_eq!(reply.status(), status, "{what}");
    assert_eq!(is_decided(&reply), outcome == "local", "{what}");
    assert_eq!(told, (outcome != "deny").then_some(reason), "{what}");
    if outcome == "deny" {
        assert!(reply.headers().contains_key("retry-after"), "{what}");
        assert!(reply.body().contains(r#""status_code":503"#), "{what}");
    }
    assert_eq!(value(&served(worker).await, &series), before + 1, "{what}");
}

/// Waits until every lane is connected, which some answers have undone.
async fn connected(worker: &Worker) {
    let started = Instant::now();
    while value(&served(worker).await, "transom_redis_connected_lanes") < 2 {
        assert!(started.elapsed() < Duration::from_secs(20), "the lanes do not come back");
        sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test]
async fn whatever_redis_answers_a_client_meets_its_policy() {
    for (reaction, reason) in failures() {
        let redis = FakeRedis::start(reaction.clone()).await;
        let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &redis.url())]).await;
        for handled in HANDLED {
            connected(&worker).await;
            meets_its_policy(&worker, handled, reason).await;
        }
        let errors = format!(r#"transom_redis_errors_total{{reason="{reason}"}}"#);
        // A lane waits longer for its answer than the caller does.
        let started = Instant::now();
        while value(&served(&worker).await, &errors) == 0 {
            assert!(started.elapsed() < Duration::from_secs(20), "{reaction:?} is not counted");
            sleep(LOOK_AGAIN).await;
        }
    }
}

#[tokio::test]
async fn without_a_redis_to_connect_to_a_client_meets_its_policy() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &url)]).await;
    for handled in HANDLED {
        meets_its_policy(&worker, handled, "unreachable").await;
    }
}

/// The first requests wait for the deadline in vain, and the next ones are spared it.
#[tokio::test]
async fn a_redis_that_fails_again_and_again_is_only_tried_now_and_then() {
    let redis = FakeRedis::start(Reaction::Reply("-LOADING it reads its file\r\n".into())).await;
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &redis.url())]).await;
    connected(&worker).await;
    let refused =
        async || get(worker.gateway, "/allow").await.headers()["x-ratelimit-degraded"].clone();
    let mut told = Vec::new();
    while told.last().is_none_or(|reason| reason == "refused") && told.len() < 100 {
        told.push(refused().await);
    }
    assert_eq!(told.pop().expect("a reason"), "breaker_open");
    assert!(told.len() >= 5, "{told:?}");
    let mut spared = 0;
    for _ in 0..20 {
        spared += usize::from(refused().await == "breaker_open");
    }
    assert!(spared > 10, "{spared} of 20");
    let metrics = served(&worker).await;
    assert_eq!(value(&metrics, "transom_redis_breaker_open"), 1);
    assert_eq!(value(&metrics, "transom_redis_breaker_opened_total"), 1);
    let readiness = get(worker.admin, "/readyz").await;
    assert_eq!(readiness.status(), 200);
    assert!(readiness.body().contains(r#""degraded":"breaker_open""#), "{readiness:?}");

    // The time, and eleven numbers for the request: admitted.
    let admitted = "*2\r\n:1800000000000000\r\n$23\r\n1 60 1 0 0 60 1 0 0 0 0\r\n";
    redis.react(Reaction::Reply(admitted.into()));
    let back = Instant::now();
    while get(worker.gateway, "/").await.headers().contains_key("x-ratelimit-degraded") {
        assert!(back.elapsed() < Duration::from_secs(1), "not decided by redis a second after");
        sleep(LOOK_AGAIN).await;
    }
    assert_eq!(value(&served(&worker).await, "transom_redis_breaker_open"), 0);
}

/// PROMISES.md, P14: a server that would evict keys is named, and what it has evicted counted.
#[tokio::test]
async fn a_redis_that_evicts_is_told_of_without_being_asked() {
    let server =
        RedisServer::process(&["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let worker = Worker::with("", &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let started = Instant::now();
    let mut redis = server.connect().await;
    let mut readiness = get(worker.admin, "/readyz").await;
    while !readiness.body().contains("were evicted") {
        assert!(started.elapsed() < Duration::from_secs(20), "no word of it: {readiness:?}");
        for n in 0..500 {
            let mut command = redis::cmd("SET");
            command.arg(format!("another:{n}:{:?}", started.elapsed())).arg("x".repeat(1_000));
            let _ = command.exec_async(&mut redis).await;
        }
        sleep(LOOK_AGAIN).await;
        readiness = get(worker.admin, "/readyz").await;
    }
    assert_eq!(readiness.status(), 200);
    let metrics = served(&worker).await;
    assert_eq!(value(&metrics, "transom_redis_evicts"), 1);
    assert!(value(&metrics, "transom_redis_evicted_keys") > 0);
}
