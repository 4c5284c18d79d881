//! Those who never back off, and the mode of a fleet, against workers on one Redis.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt as _};
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

/// What a server is asked, inside scripts too, as it says itself.
struct Watch {
    connection: MultiplexedConnection,
    said: Pin<Box<dyn Stream<Item = String>>>,
}

impl Watch {
    async fn of(server: &RedisServer) -> Self {
        let client = redis::Client::open(server.url.as_str()).expect("an address");
        let monitor = client.get_async_monitor().await.expect("a server of this test");
        Self { connection: server.connect().await, said: Box::pin(monitor.into_on_message()) }
    }

    /// Writes to keys of the caller since this was last asked.
    async fn writes(&mut self) -> u64 {
        const MARK: &str = "so far";
        let echo: String =
            redis::cmd("ECHO").arg(MARK).query_async(&mut self.connection).await.expect("a server");
        assert_eq!(echo, MARK);
        let mut writes = 0;
        loop {
            // `1780000000.123456 [0 lua] "ZADD" "transom:1:{ip:127.0.0.1}:default:second" ...`
            let line = self.said.next().await.expect("the server goes on");
            if line.contains(MARK) {
                return writes;
            }
            let of_caller = line.contains("[0 lua]") && line.contains("{ip:127.0.0.1}");
            let is_write = ["ZADD", "ZREM", "HSET", "HDEL", "DEL", "PEXPIRE"]
                .iter()
                .any(|command| line.contains(&format!("\"{command}")));
            writes += u64::from(of_caller && is_write);
        }
    }
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
    let mut watch = Watch::of(&server).await;
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

        assert!(watch.writes().await > 0, "what was admitted and what was borne is written");
        let mut denied = 0u64;
        while blocked.elapsed() < Duration::from_millis(1_500) {
            for worker in &workers {
                let reply = get(worker.gateway, "/v1").await;
                assert_eq!((reply.status().as_u16(), limited_by(&reply)), (429, "penalty"));
                denied += 1;
            }
        }
        // A worker may still report denials of before: two commands.
        let wrote = watch.writes().await;
        assert!(denied >= 10, "{denied}");
        assert!(wrote <= 4, "{wrote} writes for {denied} denials");

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
