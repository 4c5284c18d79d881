//! What a worker counts, as Prometheus and its tools read it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use transom_server::telemetry::metrics::{Kind, METRICS};
use transom_tests::RedisServer;

use crate::client::{decide, get, send};
use crate::process::{LOOK_AGAIN, Worker};
use crate::upstream::ClosedPort;

/// A policy for everything that may become of a request.
pub(crate) const CONFIG: &str = r#"
[redis]
deadline = "5s"

[identity]
exempt = ["user:monitor"]

[[policy]]
name = "default"
minute = 5
second = 5

[[policy]]
name = "trial"
path = "/trial"
minute = 1
second = 1
mode = "shadow"

[[policy]]
name = "off"
path = "/off"
minute = 1
second = 1
mode = "off"
"#;

/// A worker on a Redis, after requests of every kind.
pub(crate) async fn worker_after_traffic(server: &RedisServer) -> Worker {
    // So that each request is counted as decided by Redis.
    let variables =
        [("TRANSOM__REDIS__URL", &*server.url), ("TRANSOM__REDIS__KNOWN_DENIALS", "false")];
    let worker = Worker::with(CONFIG, &variables).await;
    for _ in 0..7 {
        get(worker.gateway, "/v1/people?secret=SECRET").await;
    }
    for path in ["/trial", "/trial", "/off"] {
        let lines: [&[u8]; 2] = [b"X-Api-Key: SECRET", b"X-Forwarded-For: 203.0.113.7"];
        assert_eq!(send(worker.gateway, "GET", path, &lines, "").await.status(), 200);
    }
    decide(worker.check, &json!({"identity": "user:monitor"})).await;
    decide(worker.check, &json!({"identity": "user:SECRET", "peek": true})).await;
    worker
}

/// What a worker serves.
pub(crate) async fn served(worker: &Worker) -> String {
    let reply = get(worker.admin, "/metrics").await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    reply.into_body()
}

/// The names of what is served, each with the names of its labels but for that of a bucket.
pub(crate) fn names(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut names = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            current = declared.split(' ').next().expect("a name").to_owned();
            let once = names.insert(current.clone(), BTreeSet::new());
            assert!(once.is_none(), "{current} is served twice");
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').expect("a value");
            assert!(series.starts_with(&current), "{series} has no type of its own");
            let labels = series.split_once('{').map_or("", |(_, labels)| labels);
            let labels = labels.split("\",").filter_map(|pair| pair.split_once("=\""));
            let labels = labels.map(|(label, _)| label.to_owned()).filter(|label| label != "le");
            names.entry(current.clone()).or_default().extend(labels);
        }
    }
    names
}

/// The value of a series, written as it is served.
pub(crate) fn value(text: &str, series: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("{series} is not served: {text}"));
    value.parse().unwrap_or_else(|_| panic!("{series} is {value}"))
}

/// A program of the package `prometheus`, with its input.
///
/// # Panics
///
/// If it is not there, or does not end well and in silence.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> String {
    let child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("promtool is missing: ./test installs it, or use your packages");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("a program that reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_about_what_a_worker_serves() {
    let server = RedisServer::start().await;
    let worker = worker_after_traffic(&server).await;
    assert_eq!(promtool(&["check", "metrics"], &served(&worker).await), "");
}

#[tokio::test]
async fn a_worker_serves_the_listed_metrics_with_their_labels_and_no_others() {
    let server = RedisServer::start().await;
    let worker = worker_after_traffic(&server).await;
    let text = served(&worker).await;
    let mut names = names(&text);
    for metric in METRICS {
        let labels = names.remove(metric.name).unwrap_or_else(|| panic!("no {}", metric.name));
        let listed = metric.labels.iter().map(|label| (*label).to_owned()).collect();
        assert_eq!(labels, listed, "{}", metric.name);
        let help = format!("# HELP {} {}\n", metric.name, metric.help);
        assert!(text.contains(&help), "{help}");
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        assert!(text.contains(&format!("# TYPE {} {kind}\n", metric.name)));
    }
    let others: Vec<_> = names.keys().filter(|name| !name.starts_with("process_")).collect();
    assert!(others.is_empty(), "{others:?} is in no list");
}

#[tokio::test]
async fn every_request_is_counted_once_and_nobody_is_named() {
    let server = RedisServer::start().await;
    let worker = worker_after_traffic(&server).await;
    let text = served(&worker).await;
    let decisions = |policy: &str, outcome: &str| {
        let series = |window: &str| {
            format!(
                "transom_decisions_total{{policy=\"{policy}\",outcome=\"{outcome}\",\
                 window=\"{window}\",source=\"redis\"}}"
            )
        };
        value(&text, &series("minute")) + value(&text, &series("second"))
    };
    assert_eq!((decisions("default", "admitted"), decisions("default", "denied")), (5, 2));
    assert_eq!((decisions("trial", "admitted"), decisions("trial", "shadow_denied")), (1, 1));
    for (series, expected) in [
        (r#"transom_exempt_total{policy="off"}"#, 1),
        (r#"transom_exempt_total{policy="default"}"#, 1),
        (r#"transom_near_limit_total{policy="default",window="minute"}"#, 2),
        (r#"transom_decision_duration_seconds_count{source="redis"}"#, 9),
        (r#"transom_http_requests_total{listener="gateway",status="200"}"#, 8),
        (r#"transom_http_requests_total{listener="gateway",status="429"}"#, 2),
        (r#"transom_http_requests_total{listener="check",status="200"}"#, 2),
        (r#"transom_connections{listener="admin"}"#, 1),
        ("transom_redis_batch_size_sum", 9),
        ("transom_redis_connected_lanes", 2),
        ("transom_redis_waiting", 0),
        ("transom_config_version", 1),
        ("transom_config_last_reload_successful", 1),
        (concat!(r#"transom_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), 1),
    ] {
        assert_eq!(value(&text, series), expected, "{series}");
    }
    for private in ["SECRET", "secret", "monitor", "127.0.0.1", "203.0.113.7", "people", "user:"] {
        assert!(!text.contains(private), "{private} is in {text}");
    }
}

#[tokio::test]
async fn a_worker_tells_whether_it_hears_of_changes() {
    let mut server = RedisServer::process(&[]).await;
    let variables = [("TRANSOM__REDIS__URL", server.url.as_str())];
    let worker = Worker::with(CONFIG, &variables).await;
    let until = async |expected| {
        let started = Instant::now();
        while value(&served(&worker).await, "transom_redis_changes_heard") != expected {
            assert!(started.elapsed() < Duration::from_secs(20), "it is not {expected}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    until(1).await;
    server.stop();
    until(0).await;
}

#[tokio::test]
async fn what_is_decided_without_redis_is_counted_by_its_reason() {
    let closed = ClosedPort::new();
    let url = format!("redis://{}", closed.address);
    for (on_failure, times) in [("local", 3), ("allow", 3), ("deny", 3)] {
        let variables =
            [("TRANSOM__REDIS__URL", url.as_str()), ("TRANSOM__REDIS__ON_FAILURE", on_failure)];
        let worker = Worker::with(CONFIG, &variables).await;
        for _ in 0..times {
            get(worker.gateway, "/").await;
        }
        let text = served(&worker).await;
        for handling in ["local", "allow", "deny"] {
            let labels = format!("reason=\"unreachable\",policy_outcome=\"{handling}\"");
            let expected = if handling == on_failure { times } else { 0 };
            let series = format!("transom_degraded_total{{{labels}}}");
            assert_eq!(value(&text, &series), expected, "{series}");
        }
        assert_eq!(value(&text, "transom_redis_connected_lanes"), 0);
    }
}

#[tokio::test]
async fn a_worker_without_redis_has_no_metric_of_it() {
    let worker = Worker::by_default().await;
    let text = served(&worker).await;
    assert!(!text.contains("transom_redis_"), "{text}");
    assert_eq!(promtool(&["check", "metrics"], &text), "");
}
