//! API keys: whose request it is, on every worker, as long as the key is valid and no longer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;
use transom_redis::{Digest, KeyDirectory, RedisLimiter, Settings};
use transom_tests::RedisServer;

use crate::client::{Reply, decide, get, left, number, send};
use crate::process::{LOOK_AGAIN, Worker};

/// A deadline that a busy machine keeps, and room for every test here.
const CONFIG: &str = r#"
[redis]
deadline = "5s"

[identity]
trusted_proxies = ["127.0.0.1"]

[[policy]]
name = "default"
minute = 1000
second = 1000
"#;

const PEER: &str = "ip:127.0.0.1";
const USER: &str = "user:42";

/// The keys of a Redis, as `transom key` would change them.
fn directory(server: &RedisServer) -> KeyDirectory {
    let settings = Settings { deadline: Duration::from_secs(5), ..Settings::new(&server.url) };
    RedisLimiter::open(&settings).expect("settings of a test").api_keys()
}

async fn worker(server: &RedisServer) -> Worker {
    Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await
}

async fn ask(gateway: SocketAddr, lines: &[&str]) -> Reply {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    send(gateway, "GET", "/v1/people", &lines, "").await
}

#[tokio::test]
async fn two_keys_of_one_user_share_a_limit_on_every_worker_and_from_any_address() {
    let server = RedisServer::start().await;
    let keys = directory(&server);
    for key in ["first", "second"] {
        keys.add(Digest::of(key.as_bytes()), "42", "test").await.unwrap();
    }
    let (one, two) = (worker(&server).await, worker(&server).await);
    let mut remaining = 1_000;
    for (worker, lines) in [
        (&one, &["X-Api-Key: first"][..]),
        (&one, &["Authorization: Bearer second"]),
        (&two, &["X-Api-Key: second"]),
        (&two, &["authorization: bearer first", "X-Forwarded-For: 203.0.113.9"]),
        (&two, &["X-Api-Key: first", "X-Forwarded-For: 2001:db8::1"]),
        (&one, &["Authorization: Bearer of-another-kind", "X-Api-Key: first"]),
        (&one, &["Authorization: Basic Zm9vOmJhcg==", "X-Api-Key: second"]),
    ] {
        let reply = ask(worker.gateway, lines).await;
        remaining -= 1;
        assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining, "{lines:?}");
    }
    assert_eq!(left(two.check, USER, "/").await, remaining);
    for address in [PEER, "ip:203.0.113.9", "ip:2001:db8::"] {
        assert_eq!(left(one.check, address, "/").await, 1_000, "{address}");
    }
    let used_up = decide(one.check, &json!({"identity": USER, "cost": remaining})).await;
    assert_eq!(used_up["allowed"], true);
    let denied = ask(two.gateway, &["X-Api-Key: second"]).await;
    assert_eq!(denied.status(), 429);
    assert!(denied.body().contains("user rate limit"), "{}", denied.body());
}

#[tokio::test]
async fn what_is_no_valid_key_counts_on_the_address() {
    let server = RedisServer::start().await;
    directory(&server).add(Digest::of(b"valid"), "42", "test").await.unwrap();
    let worker = worker(&server).await;
    let mut remaining = 1_000;
    let mut heads: Vec<String> = (0..20).map(|key| format!("X-Api-Key: guess-{key}")).collect();
    heads.extend((0..20).map(|key| format!("Authorization: Bearer guess-{key}")));
    heads.extend([
        "X-Api-Key: Valid".to_owned(),
        "X-Api-Key: valid valid".to_owned(),
        "X-Api-Key:".to_owned(),
        "Authorization: valid".to_owned(),
        "Authorization: Basic valid".to_owned(),
        format!("X-Api-Key: {}", Digest::of(b"valid")),
        format!("X-Api-Key: {}", "valid".repeat(1_000)),
        "Cookie: api_key=valid".to_owned(),
        "X-User: 42".to_owned(),
    ]);
    for head in &heads {
        remaining -= 1;
        let reply = ask(worker.gateway, &[head]).await;
        assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining, "{head:.60}");
    }
    assert_eq!(left(worker.check, PEER, "/").await, remaining);
    assert_eq!(left(worker.check, USER, "/").await, 1_000);
    let reply = ask(worker.gateway, &["X-Api-Key: guess", "X-Forwarded-For: 203.0.113.9"]).await;
    assert_eq!(number(&reply, "x-ratelimit-remaining"), 999, "the address behind the proxy");
}

/// Goal: a key stops to work everywhere within a second, and begins to.
/// Method: the user may do nothing more, so that 429 says the user was meant and 200 the address.
#[tokio::test]
async fn a_revoked_key_counts_on_the_address_within_a_second_on_every_worker() {
    let server = RedisServer::start().await;
    let keys = directory(&server);
    let (one, two) = (worker(&server).await, worker(&server).await);
    let spent = decide(one.check, &json!({"identity": USER, "cost": 1_000})).await;
    assert_eq!(spent["allowed"], true);
    let key = Digest::of(b"k");
    all_answer(&[&one, &two], 200).await;
    keys.add(key, "42", "test").await.unwrap();
    all_answer(&[&one, &two], 429).await;
    assert!(keys.revoke(key).await.unwrap());
    all_answer(&[&one, &two], 200).await;
    assert!(left(one.check, PEER, "/").await <= 996, "what had no valid key is on the address");
}

/// Asks every worker with the same key until all answer so; within a second.
async fn all_answer(workers: &[&Worker], status: u16) {
    let changed = Instant::now();
    for worker in workers {
        while ask(worker.gateway, &["X-Api-Key: k"]).await.status() != status {
            assert!(changed.elapsed() < Duration::from_secs(1), "no {status} after a second");
            sleep(LOOK_AGAIN).await;
        }
    }
}

#[tokio::test]
async fn a_key_of_the_file_needs_no_redis() {
    let keys = ["one", "two"].map(|key| {
        format!("[[api_key]]\nsha256 = \"{}\"\nuser = \"42\"\n", Digest::of(key.as_bytes()))
    });
    let worker = Worker::start(&format!("{CONFIG}{}", keys.concat())).await;
    for (key, remaining) in [("one", 999), ("two", 998), ("one", 997)] {
        let reply = ask(worker.gateway, &[&format!("X-Api-Key: {key}")]).await;
        assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining);
    }
    assert_eq!(number(&get(worker.gateway, "/").await, "x-ratelimit-remaining"), 999);
    assert_eq!(left(worker.check, USER, "/").await, 997);
}
