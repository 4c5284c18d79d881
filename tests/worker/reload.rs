//! A changed file: taken up by a worker that serves, or refused, without a restart.

mod files;
mod signal;
mod under_load;

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;
use transom_redis::Digest;
use transom_tests::RedisServer;

use crate::client::{decide, get, is_decided, left, number, send};
use crate::process::{LOOK_AGAIN, Worker};
use crate::upstream::{SLOW, Upstream};

/// How soon a changed file is in force.
const WITHIN: Duration = Duration::from_secs(2);

/// A policy for everything, of so many units a minute.
fn limit(minute: u64) -> String {
    format!("[[policy]]\nname = \"default\"\nminute = {minute}\nsecond = 100000\n")
}

fn to(upstream: &Upstream) -> String {
    format!("[gateway]\nupstream = \"http://{}\"\n", upstream.address)
}

/// The limit in force, which is asked for without a charge.
async fn limit_of(worker: &Worker) -> u64 {
    let asked = json!({"identity": "user:probe", "path": "/", "peek": true});
    let answer = decide(worker.check, &asked).await;
    answer["minute"]["limit"].as_u64().unwrap_or_else(|| panic!("no decision: {answer}"))
}

/// Waits until a limit is in force, as long as a changed file may take.
async fn in_force(worker: &Worker, minute: u64) {
    let changed = Instant::now();
    while limit_of(worker).await != minute {
        assert!(changed.elapsed() < WITHIN, "{minute} is not in force after {WITHIN:?}");
        sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test]
async fn a_changed_file_is_in_force_within_two_seconds() {
    let worker = Worker::start(&limit(10)).await;
    assert_eq!(number(&get(worker.gateway, "/").await, "x-ratelimit-limit"), 10);
    for minute in [20, 30] {
        worker.configure(&limit(minute));
        in_force(&worker, minute).await;
        for (address, path) in [(worker.gateway, "/"), (worker.check, "/check")] {
            let reply = get(address, path).await;
            assert_eq!(number(&reply, "x-ratelimit-limit"), minute);
        }
    }
    worker.says("a new configuration is in force version=3 digest=", 1).await;
}

/// Goal: whatever is not bound at the start follows the file, and goes back with it.
#[tokio::test]
async fn policies_identities_keys_modes_fields_messages_and_upstream_follow_the_file() {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let before = format!("{}{}", to(&one), limit(10));
    let digest = Digest::of(b"key");
    let after = format!(
        r#"
        [gateway]
        upstream = "http://{}"
        [headers]
        ietf = true
        [identity]
        trusted_proxies = ["127.0.0.1"]
        exempt = ["ip:192.0.2.7"]
        [messages]
        ip = "Not you."
        [[api_key]]
        sha256 = "{digest}"
        user = "42"
        [[policy]]
        name = "none"
        path = "/none"
        minute = 0
        second = 0
        {}"#,
        two.address,
        limit(20)
    );
    let worker = Worker::start(&before).await;
    let remaining = async |line: &str| {
        let reply = send(worker.gateway, "GET", "/", &[line.as_bytes()], "").await;
        is_decided(&reply).then(|| number(&reply, "x-ratelimit-remaining"))
    };
    assert_eq!(get(worker.gateway, "/none").await.status(), 200);
    assert_eq!((one.requests(), two.requests()), (1, 0));

    worker.configure(&after);
    in_force(&worker, 20).await;
    assert_eq!(remaining("X-Api-Key: key").await, Some(19), "a user's own limit");
    assert_eq!(remaining("X-Forwarded-For: 192.0.2.7").await, None, "is exempt");
    assert_eq!(remaining("X-Forwarded-For: 192.0.2.8").await, Some(19), "a client of the proxy");
    let denied = get(worker.gateway, "/none").await;
    assert_eq!(denied.status(), 429);
    assert!(denied.body().contains("Not you.") && denied.headers().contains_key("ratelimit"));
    assert_eq!((one.requests(), two.requests()), (1, 3));

    worker.configure(&format!("[limiter]\nmode = \"shadow\"\n{before}"));
    in_force(&worker, 10).await;
    assert_eq!(remaining("X-Api-Key: key").await, Some(8), "the address, which has had one");
    assert_eq!((one.requests(), two.requests()), (2, 3));
    worker.configure(&format!("[limiter]\nmode = \"shadow\"\n{}", limit(0)));
    in_force(&worker, 0).await;
    let passes = get(worker.gateway, "/").await;
    assert_eq!((passes.status().as_u16(), number(&passes, "x-ratelimit-limit")), (200, 0));
}

/// Goal: a reload forgets nothing of what was used, where the limiter is in process and where it
/// is Redis.
#[tokio::test]
async fn what_was_used_of_a_limit_is_kept() {
    let server = RedisServer::start().await;
    for variables in [&[][..], &[("TRANSOM__REDIS__URL", server.url.as_str())]] {
        let deadline = [("TRANSOM__REDIS__DEADLINE", "5s")];
        let worker = Worker::with(&limit(10), &[&deadline, variables].concat()).await;
        for remaining in (4..10).rev() {
            let reply = get(worker.gateway, "/").await;
            assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining);
        }
        for (minute, status, remaining) in [(20, 200, 13), (7, 429, 0), (8, 200, 0), (10, 200, 1)] {
            worker.configure(&limit(minute));
            in_force(&worker, minute).await;
            let reply = get(worker.gateway, "/").await;
            let got = number(&reply, "x-ratelimit-remaining");
            assert_eq!((reply.status().as_u16(), got), (status, remaining), "{minute}");
        }
        assert_eq!(left(worker.check, "ip:127.0.0.1", "/").await, 1);
    }
}

#[tokio::test]
async fn a_request_that_is_under_way_ends_as_it_began() {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let worker = Worker::start(&format!("{}{}", to(&one), limit(10))).await;
    let gateway = worker.gateway;
    let under_way = tokio::spawn(async move { get(gateway, SLOW).await });
    one.holds(1).await;
    worker.configure(&format!("{}{}", to(&two), limit(20)));
    in_force(&worker, 20).await;
    assert_eq!(number(&get(gateway, "/").await, "x-ratelimit-limit"), 20);
    assert!(!under_way.is_finished(), "its upstream has not answered");
    one.let_go();
    let reply = under_way.await.expect("an answer");
    assert_eq!((reply.status().as_u16(), number(&reply, "x-ratelimit-limit")), (200, 10));
    assert_eq!((one.requests(), two.requests()), (1, 1));
}

/// Goal: what cannot change says so by name, and does not hold up what can.
#[tokio::test]
async fn a_setting_that_takes_a_restart_is_named_and_the_rest_is_in_force() {
    let worker = Worker::start(&limit(10)).await;
    let bound = "[gateway]\ndrain = \"1s\"\n[local]\nmax_identities = 7\n";
    worker.configure(&format!("{bound}{}", limit(20)));
    in_force(&worker, 20).await;
    worker.says("needs a restart: gateway.drain, local.max_identities\n", 1).await;
    worker.configure(&limit(30));
    in_force(&worker, 30).await;
    worker.says("a new configuration is in force version=3", 1).await;
    assert_eq!(worker.process.all_said().matches("needs a restart").count(), 1);
}

#[tokio::test]
async fn variables_and_arguments_go_before_a_changed_file_too() {
    let server = RedisServer::start().await;
    let variables =
        [("TRANSOM__MESSAGES__IP", "From the variable."), ("TRANSOM__REDIS__DEADLINE", "5s")];
    let worker = Worker::with_arguments(&["--redis", &server.url], &limit(10), &variables).await;
    let other = "[redis]\nurl = \"redis://127.0.0.1:1\"\n[messages]\nip = \"From the file.\"\n";
    worker.configure(&format!("{other}{}", limit(0)));
    in_force(&worker, 0).await;
    let reply = get(worker.gateway, "/").await;
    assert!(reply.body().contains("From the variable."), "{}", reply.body());
    assert!(!reply.headers().contains_key("x-ratelimit-degraded"), "{reply:?}");
    assert!(!worker.process.all_said().contains("needs a restart"), "--redis stays");
}
