//! The profile `observability` of the compose file.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::HeaderMap;
use serde_json::Value;
use transom_tests::clients::Client;

use crate::compose::{ALONE, config};
use crate::docker::{Compose, done};
use crate::stack::Stack;

/// How long Prometheus may take to find the workers and to fetch from them.
const FETCHED_WITHIN: Duration = Duration::from_secs(60);
/// Enough for each worker to get its turn.
const REQUESTS: usize = 30;

#[test]
fn the_profile_adds_prometheus_and_grafana_on_loopback() {
    let config = |arguments: &[&str]| {
        let output = done(Compose::preferred().command().args(arguments));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let with = ["--profile", "observability", "config", "--services"];
    let (with, without) = (config(&with), config(&["config", "--services"]));
    for service in ["prometheus", "grafana"] {
        let is_in = |services: &str| services.lines().any(|line| line == service);
        assert!(is_in(&with) && !is_in(&without), "{service}: {with}, without: {without}");
    }
    let all = config(&["--profile", "observability", "config"]);
    let published = all.matches("published: ").count();
    assert_eq!(published, 4, "the load balancer twice, Prometheus and Grafana: {all}");
    assert_eq!(all.matches("host_ip: 127.0.0.1").count(), published, "{all}");
}

/// Goal: Prometheus follows the fleet. Method: its own answer on whom it reaches, and on what each
/// worker has counted after some requests to the load balancer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_fetches_from_every_worker_of_the_fleet() {
    let _alone = ALONE.lock().await;
    let stack = Stack::up(Compose::preferred(), 3, &config());
    let prometheus = stack.observe();
    workers_of(prometheus, r#"up{job="transom"} == 1"#, 3).await;
    let client = Client::new(stack.address());
    for _ in 0..REQUESTS {
        client.get("/wide/x", HeaderMap::new()).await.expect("an answer");
    }
    workers_of(prometheus, r#"sum by (instance) (transom_decisions_total{policy="wide"}) > 0"#, 3)
        .await;
    workers_of(prometheus, "transom_redis_connected_lanes == 2", 3).await;
}

/// Waits until as many workers are in the answer to a question.
async fn workers_of(prometheus: SocketAddr, query: &str, workers: usize) {
    let client = Client::new(prometheus);
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("/api/v1/query?query={encoded}");
    let started = Instant::now();
    loop {
        let answer = client.get(&path, HeaderMap::new()).await.expect("an answer");
        let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
        let found = answer["data"]["result"].as_array().map_or(0, Vec::len);
        if found == workers {
            return;
        }
        assert!(started.elapsed() < FETCHED_WITHIN, "{query}: {answer}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
