//! A worker, and the commands of operators, where sentinels say which Redis it is.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use transom_tests::sentinel::{MASTER, Sentinels};

use crate::client::{get, send};
use crate::process::{LOOK_AGAIN, PATIENCE, Worker, run};

/// Whether the next answer of the worker comes from Redis.
async fn is_decided_by_redis(worker: &Worker) -> bool {
    let reply = send(worker.gateway, "GET", "/", &[], "").await;
    assert_eq!(reply.status(), 200, "{reply:?}");
    reply.headers().get("x-ratelimit-degraded").is_none()
}

async fn until_redis_decides(worker: &Worker) {
    let started = Instant::now();
    while !is_decided_by_redis(worker).await {
        assert!(started.elapsed() < Duration::from_secs(30), "{}", worker.process.all_said());
        sleep(LOOK_AGAIN).await;
    }
}

/// Goal: what a configuration says of sentinels reaches the limiter, and no request fails while the
/// master is another one.
#[tokio::test]
async fn a_worker_follows_its_master_and_operators_find_it_too() {
    let mut cluster = Sentinels::start().await;
    let nodes = cluster.urls("").join(",");
    let variables = [
        ("TRANSOM__REDIS__MODE", "sentinel"),
        ("TRANSOM__REDIS__MASTER", MASTER),
        ("TRANSOM__REDIS__NODES", nodes.as_str()),
    ];
    let policy = "[[policy]]\nname = \"default\"\nminute = 1000000\nsecond = 1000000\n";
    let worker = Worker::with(policy, &variables).await;
    assert!(worker.banner.contains("the master limits of the sentinels"), "{}", worker.banner);
    until_redis_decides(&worker).await;
    let blocked = run(&["block", "user:a"], &variables).await;
    assert_eq!(blocked.code, Some(0), "{blocked:?}");

    let old = cluster.master().await;
    cluster.nodes[old].kill();
    while cluster.master().await == old {
        is_decided_by_redis(&worker).await;
        sleep(LOOK_AGAIN).await;
    }
    until_redis_decides(&worker).await;
    let state = get(worker.admin, "/readyz").await;
    assert_eq!(state.status(), 200, "{state:?}");
    // A command asks one sentinel, and they do not learn of it at the same time.
    let learns = Instant::now();
    while cluster.is_named(old).await {
        assert!(learns.elapsed() < PATIENCE, "a sentinel names the old master still");
        sleep(LOOK_AGAIN).await;
    }
    // What was replicated is there.
    let listed = run(&["block", "list", "--json"], &variables).await;
    assert!(listed.stdout.contains("user:a"), "{listed:?}");

    // `--redis` names one server, whatever the configuration says of others.
    let url = format!("redis://127.0.0.1:{}", cluster.nodes[1 - old].port);
    let listed = run(&["--redis", &url, "block", "list", "--json"], &variables).await;
    assert!(listed.stdout.contains("user:a"), "{listed:?}");
}
