//! A Prometheus that fetches from a worker, and what it then answers.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;
use transom_tests::RedisServer;
use transom_tests::redis_server::{free_port, repository};

use crate::client::get;
use crate::deployed::asked_by_panels;
use crate::metrics::{CONFIG, worker_after_traffic};
use crate::process::{LOOK_AGAIN, Worker, text, write};

/// How long it may take to start, to fetch or to evaluate. Long, for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// It fetches often, so that two samples are soon there; the rules are those of the repository.
const FETCH: &str = r#"
global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}
rule_files: [RULES]
scrape_configs:
  - job_name: transom
    static_configs: [{targets: ["TARGET"]}]
"#;

/// A process of Prometheus. It is killed when this is dropped.
#[derive(Debug)]
struct Prometheus {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that fetches from a worker, and waits until it has.
    async fn of(worker: &Worker) -> Self {
        let folder = tempfile::tempdir().expect("a folder for its data");
        let rules = repository().join("deploy/prometheus/rules.yml").canonicalize();
        let rules = rules.expect("the rules of the repository");
        let config = FETCH.replace("RULES", text(&rules));
        let config = config.replace("TARGET", &worker.admin.to_string());
        let config = write(&folder, "prometheus.yml", &config);
        let address = format!("127.0.0.1:{}", free_port());
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn()
            .expect("prometheus is missing: ./test installs it, or use your packages");
        let prometheus = Self { child, url: format!("http://{address}"), _folder: folder };
        // A rate takes two samples.
        prometheus.until("a second sample", "count_over_time(up[1m]) > 1").await;
        prometheus
    }

    /// Waits until a question has an answer.
    async fn until(&self, what: &str, query: &str) {
        let started = Instant::now();
        while self.answer(query).await.is_none_or(|found| found.is_empty()) {
            assert!(started.elapsed() < PATIENCE, "{what} does not come about");
            sleep(LOOK_AGAIN).await;
        }
    }

    /// What it answers to a question: series with their values. None while it does not answer.
    async fn answer(&self, query: &str) -> Option<Vec<Value>> {
        let answer = self.post("/api/v1/query", &format!("query={}", encoded(query))).await?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().cloned()
    }

    /// The states of its alerts, by name.
    async fn alerts(&self) -> Vec<(String, String)> {
        let answer = self.post("/api/v1/rules", "").await.expect("an answer");
        let rules = answer["data"]["groups"][0]["rules"].as_array().cloned().expect("rules");
        let of = |rule: &Value, key: &str| rule[key].as_str().expect("a text").to_owned();
        rules
            .iter()
            .map(|rule| {
                assert!(rule["health"] != "err", "{rule}");
                (of(rule, "name"), of(rule, "state"))
            })
            .collect()
    }

    async fn post(&self, path: &str, form: &str) -> Option<Value> {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let method = if form.is_empty() { "GET" } else { "POST" };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::from(form.to_owned()))
            .expect("a request");
        let body = client.request(request).await.ok()?.into_body().collect().await.ok()?;
        // While it starts it says so in plain text.
        serde_json::from_slice(&body.to_bytes()).ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn prometheus_fetches_decisions_and_every_panel_of_the_dashboard_has_data() {
    let server = RedisServer::start().await;
    let worker = worker_after_traffic(&server).await;
    let prometheus = Prometheus::of(&worker).await;
    let query = r#"sum by (outcome) (transom_decisions_total{policy="default"})"#;
    let answer = prometheus.answer(query).await.expect("an answer");
    let counts: Vec<_> = answer
        .iter()
        .map(|series| (series["metric"]["outcome"].as_str(), series["value"][1].as_str()))
        .collect();
    for expected in [("admitted", "5"), ("denied", "2"), ("shadow_denied", "0")] {
        assert!(counts.contains(&(Some(expected.0), Some(expected.1))), "{counts:?}");
    }
    for question in asked_by_panels() {
        let answer = prometheus.answer(&question.expr).await.expect("an answer");
        assert!(!answer.is_empty(), "{}: no data for {}", question.place, question.expr);
    }
}

/// Goal: a fresh worker has data for every panel and raises no alarm; without its Redis it does.
#[tokio::test]
async fn a_fresh_worker_raises_no_alarm_and_one_that_loses_redis_does() {
    let mut server = RedisServer::process(&[]).await;
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let prometheus = Prometheus::of(&worker).await;
    for question in asked_by_panels() {
        let answer = prometheus.answer(&question.expr).await.expect("an answer");
        assert!(!answer.is_empty(), "{}: no data for {}", question.place, question.expr);
    }
    let alerts = prometheus.alerts().await;
    assert_eq!(alerts.len(), 11, "{alerts:?}");
    for (name, state) in alerts {
        assert_eq!(state, "inactive", "{name}");
    }
    server.stop();
    let pending = |name: &str| format!(r#"ALERTS{{alertname="{name}",alertstate="pending"}}"#);
    prometheus.until("the loss", &pending("TransomRedisNotConnected")).await;
    get(worker.gateway, "/").await;
    prometheus.until("what is done then", &pending("TransomDegraded")).await;
}
