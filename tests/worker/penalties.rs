//! Those who never back off, and the mode of a fleet, against workers on one Redis.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio::time::sleep;
use transom_tests::RedisServer;

use crate::client::{Reply, get, number, send};
use crate::process::{LOOK_AGAIN, Worker};

/// What the one policy lets pass, and what is borne before a block.
const CONFIG: &str = r#"
[redis]
deadline = "5s"

[[policy]]
name = "default"
minute = 60
second = 1

[penalty]
enabled = true
strikes = 5
within = "1m"
block = "2s"
max = "1h"
forget = "1h"
"#;

async fn workers(server: &RedisServer) -> [Worker; 2] {
    let variables = [("TRANSOM__REDIS__URL", server.url.as_str())];
    let (one, other) =
        tokio::join!(Worker::with(CONFIG, &variables), Worker::with(CONFIG, &variables));
    [one, other]
}

/// How often these commands have run in Redis, inside scripts included.
async fn writes(connection: &mut MultiplexedConnection) -> u64 {
    let mut info = redis::cmd("INFO");
    let stats: String =
        info.arg("commandstats").query_async(connection).await.expect("a server of this test");
    let count = |command: &&str| {
        let prefix = format!("cmdstat_{command}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
        let calls = line.and_then(|line| line.split(',').next()?.parse::<u64>().ok());
        calls.unwrap_or(0)
    };
    ["zadd", "zremrangebyscore", "hset", "hdel", "pexpire", "del"].iter().map(count).sum()
}

fn limited_by(reply: &Reply) -> &str {
    reply.headers().get("x-ratelimit-limited-by").map_or("", |by| by.to_str().expect("a word"))
}

/// Asks on both workers in turn until a block denies; how often was asked.
async fn hammer_until_blocked(workers: &[Worker; 2]) -> (Reply, u32) {
    let started = Instant::now();
    let mut asked = 0;
    loop {
        for worker in workers {
            asked += 1;
            let reply = get(worker.gateway, "/v1").await;
            if limited_by(&reply) == "penalty" {
                return (reply, asked);
            }
        }
        assert!(started.elapsed() < Duration::from_secs(20), "no block after {asked} requests");
    }
}

#[tokio::test]
async fn whoever_hammers_is_blocked_twice_as_long_each_time_and_costs_few_writes() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    let workers = workers(&server).await;
    let mut waits = Vec::new();
    for _ in 0..2 {
        let (reply, asked) = hammer_until_blocked(&workers).await;
        let blocked = Instant::now();
        assert!(asked > 5, "five denials are borne");
        assert_eq!(reply.status(), 429);
        let wait_s = number(&reply, "retry-after");
        assert_eq!(number(&reply, "x-ratelimit-reset"), wait_s);
        waits.push(wait_s);
        // A worker that knows a denial by the window says it until a unit leaves.
        for worker in &workers {
            while limited_by(&get(worker.gateway, "/v1").await) != "penalty" {
                assert!(blocked.elapsed() <= Duration::from_secs(1), "the block is not seen");
            }
        }

        let before = writes(&mut connection).await;
        let mut denied = 0u64;
        while blocked.elapsed() < Duration::from_millis(1_500) {
            for worker in &workers {
                let reply = get(worker.gateway, "/v1").await;
                assert_eq!((reply.status().as_u16(), limited_by(&reply)), (429, "penalty"));
                denied += 1;
            }
        }
        // A worker may still report a denial of before; what it tells the fleet each second is no
        // hash or set of the identity's.
        let wrote = writes(&mut connection).await - before;
        assert!(denied >= 10, "{denied}");
        assert!(wrote <= 12, "{wrote} writes for {denied} denials");

        sleep(Duration::from_secs(wait_s).saturating_sub(blocked.elapsed())).await;
        let reply = get(workers[0].gateway, "/v1").await;
        assert_eq!(reply.status(), 200, "Retry-After was {wait_s} s: {reply:?}");
    }
    assert_eq!(waits, [2, 4]);
}

#[tokio::test]
async fn a_trial_earns_nobody_a_block() {
    let server = RedisServer::start().await;
    let config = CONFIG.replace("second = 1\n", "second = 1\nmode = \"shadow\"\n");
    let worker = Worker::with(&config, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    for _ in 0..20 {
        let reply = get(worker.gateway, "/v1").await;
        assert_eq!(reply.status(), 200);
        assert_ne!(limited_by(&reply), "penalty");
    }
}

/// Sets the mode of the fleet through one worker.
async fn set_mode(worker: &Worker, mode: &str) {
    let body = format!("{{\"mode\":\"{mode}\"}}");
    let lines: [&[u8]; 1] = [b"Content-Type: application/json"];
    let reply = send(worker.admin, "PUT", "/api/mode", &lines, &body).await;
    assert_eq!(reply.status(), 200, "{reply:?}");
}

/// Whether a worker lets pass what it would deny.
async fn passes_all(worker: &Worker) -> bool {
    for _ in 0..4 {
        if get(worker.gateway, "/v1").await.status() != 200 {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn the_mode_of_the_fleet_holds_within_a_second_and_outlives_redis() {
    let server = RedisServer::start().await;
    let config = CONFIG.replace("enabled = true", "enabled = false").replace("5s", "50ms");
    let variables = [("TRANSOM__REDIS__URL", server.url.as_str())];
    let workers =
        [Worker::with(&config, &variables).await, Worker::with(&config, &variables).await];
    for (mode, passes) in [("shadow", true), ("enforce", false), ("off", true)] {
        set_mode(&workers[0], mode).await;
        let set = Instant::now();
        while passes_all(&workers[1]).await != passes {
            assert!(set.elapsed() < Duration::from_secs(1), "{mode} is not seen by the other");
            sleep(LOOK_AGAIN).await;
        }
        assert_eq!(passes_all(&workers[0]).await, passes, "{mode}");
    }
    drop(server);
    for worker in &workers {
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(1) {
            let reply = get(worker.gateway, "/v1").await;
            assert_eq!(reply.status(), 200, "{reply:?}");
            assert!(!reply.headers().contains_key("x-ratelimit-limit"), "off: {reply:?}");
        }
    }
}
