//! Two workers on one Redis: what an operator does is in force for the next request, whichever
//! worker answers it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;
use transom_tests::RedisServer;

use super::keys::create;
use super::{CONFIG, Cli};
use crate::client::{Reply, decide, number, send};
use crate::process::{LOOK_AGAIN, Worker};

struct Fleet {
    cli: Cli,
    one: Worker,
    two: Worker,
    _server: RedisServer,
}

/// Two workers, and the commands over their Redis.
async fn fleet() -> Fleet {
    let server = RedisServer::start().await;
    let variables = [("TRANSOM__REDIS__URL", server.url.as_str())];
    let (one, two) =
        (Worker::with(CONFIG, &variables).await, Worker::with(CONFIG, &variables).await);
    Fleet { cli: Cli::over_redis(&server), one, two, _server: server }
}

async fn ask(worker: &Worker, key: &str) -> Reply {
    send(worker.gateway, "GET", "/v1/people", &[format!("X-Api-Key: {key}").as_bytes()], "").await
}

/// The status, and the limits that the fields say.
fn limits(reply: &Reply) -> (u16, u64, u64) {
    let [minute, second] =
        ["x-ratelimit-limit", "x-ratelimit-limit-second"].map(|field| number(reply, field));
    (reply.status().as_u16(), minute, second)
}

/// Waits until a key names its user on every worker.
async fn is_known(fleet: &Fleet, key: &str) {
    let asked = Instant::now();
    for worker in [&fleet.one, &fleet.two] {
        while number(&ask(worker, key).await, "x-ratelimit-limit") != 1_000_000 {
            assert!(asked.elapsed() < Duration::from_secs(1), "no worker knows the key");
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// A key of a user of whom both workers know, and whose windows are empty.
async fn user(fleet: &Fleet, id: &str) -> String {
    let key = create(&fleet.cli, id).await;
    let set = format!("override set user:{id} --minute 1000000 --second 1000000");
    fleet.cli.done(&set).await;
    is_known(fleet, &key).await;
    fleet.cli.done(&format!("override delete user:{id}")).await;
    fleet.cli.done(&format!("reset user:{id}")).await;
    key
}

/// Spends all that a user may in a minute, and is denied.
async fn exhaust(worker: &Worker, key: &str) {
    for status in [200, 200, 200, 429] {
        assert_eq!(limits(&ask(worker, key).await), (status, 3, 3));
    }
}

async fn peek(check: SocketAddr) -> Value {
    decide(check, &json!({"identity": "user:42", "path": "/", "peek": true})).await
}

/// Goal: an override is in force for the very next request on another worker, and ends by the
/// clock of Redis. Method: decisions with their times, against the end that was promised.
#[tokio::test]
async fn an_override_holds_for_the_next_request_anywhere_and_ends_in_time() {
    let fleet = fleet().await;
    let key = user(&fleet, "42").await;
    exhaust(&fleet.one, &key).await;
    let set = "override set user:42 --minute 600 --second 20 --for 3s --reason migration";
    let held = fleet.cli.json(set, 0).await;
    assert_eq!(limits(&ask(&fleet.two, &key).await), (200, 600, 20));
    assert_eq!(limits(&ask(&fleet.one, &key).await), (200, 600, 20));
    let until_us = held["until_us"].as_u64().unwrap();
    for worker in [&fleet.two, &fleet.one] {
        loop {
            let answer = peek(worker.check).await;
            let (at_us, minute) = (answer["at_us"].as_u64().unwrap(), &answer["minute"]["limit"]);
            assert_eq!(*minute, if at_us < until_us { 600 } else { 3 }, "{answer} {held}");
            if at_us >= until_us {
                break;
            }
            sleep(LOOK_AGAIN).await;
        }
        assert_eq!(limits(&ask(worker, &key).await), (429, 3, 3));
    }
    assert_eq!(fleet.cli.done("override list").await, "no override is in force\n");
}

/// Goal: a blocked user is denied everywhere at once, is told truly until when, and is free as
/// soon as it is unblocked.
#[tokio::test]
async fn a_block_holds_for_the_next_request_anywhere_and_its_end_is_told_truly() {
    let fleet = fleet().await;
    let key = user(&fleet, "42").await;
    fleet.cli.done("block user:42 --for 10m").await;
    for worker in [&fleet.one, &fleet.two] {
        let reply = ask(worker, &key).await;
        assert_eq!(limits(&reply), (429, 3, 3));
        assert_eq!(reply.headers()["x-ratelimit-limited-by"], "penalty");
        let retry_after = number(&reply, "retry-after");
        assert!((500..=600).contains(&retry_after), "{retry_after}");
    }
    fleet.cli.done("unblock user:42").await;
    assert_eq!(ask(&fleet.two, &key).await.status(), 200);

    fleet.cli.done("block user:42 --for 2s").await;
    let reply = ask(&fleet.one, &key).await;
    assert_eq!(reply.status(), 429, "{reply:?}");
    let retry_after = number(&reply, "retry-after");
    assert!((1..=2).contains(&retry_after), "{retry_after}");
    sleep(Duration::from_secs(retry_after)).await;
    assert_eq!(ask(&fleet.two, &key).await.status(), 200, "it has waited as it was told");
}

#[tokio::test]
async fn a_reset_holds_for_the_next_request_anywhere() {
    let fleet = fleet().await;
    let key = user(&fleet, "42").await;
    exhaust(&fleet.one, &key).await;
    fleet.cli.done("reset user:42").await;
    let reply = ask(&fleet.two, &key).await;
    assert_eq!((reply.status().as_u16(), number(&reply, "x-ratelimit-remaining")), (200, 2));
}

/// Asks both workers with a key until both answer so; within a second of now.
async fn both_answer(fleet: &Fleet, key: &str, status: u16) {
    let changed = Instant::now();
    for worker in [&fleet.one, &fleet.two] {
        while ask(worker, key).await.status() != status {
            assert!(changed.elapsed() < Duration::from_secs(1), "no {status} after a second");
            sleep(LOOK_AGAIN).await;
        }
    }
}

#[tokio::test]
async fn the_mode_of_the_fleet_is_seen_by_every_worker_within_a_second() {
    let fleet = fleet().await;
    let key = user(&fleet, "42").await;
    exhaust(&fleet.one, &key).await;
    fleet.cli.done("mode shadow").await;
    both_answer(&fleet, &key, 200).await;
    fleet.cli.done("mode enforce").await;
    both_answer(&fleet, &key, 429).await;
}

/// Goal: a revoked key has no user any more. Method: the user may do nothing, so that 429 says
/// that it was meant, and 200 that the address was.
#[tokio::test]
async fn a_revoked_key_loses_its_user_within_a_second_on_every_worker() {
    let fleet = fleet().await;
    let key = user(&fleet, "42").await;
    fleet.cli.done("override set user:42 --minute 0 --second 0").await;
    fleet.cli.done("override set ip:127.0.0.1 --minute 100000 --second 100000").await;
    both_answer(&fleet, &key, 429).await;
    fleet.cli.done(&format!("key revoke {key}")).await;
    both_answer(&fleet, &key, 200).await;
}
