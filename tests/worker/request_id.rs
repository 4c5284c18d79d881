//! The id of a request, by which its lines are found on every side, and the line about a request.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::client::{Reply, decide, get, send};
use crate::process::{LOOK_AGAIN, Worker};
use crate::upstream::ClosedPort;

/// How long a line may take to be in the log.
const LOGGED_WITHIN: Duration = Duration::from_secs(10);

const CONFIG: &str = r#"
[log]
format = "json"
decisions = true
requests = true

[[policy]]
name = "default"
minute = 2
second = 2
"#;

const TRUSTING: (&str, &str) = ("TRANSOM__IDENTITY__TRUSTED_PROXIES", "127.0.0.1");

fn id(reply: &Reply) -> String {
    let ids: Vec<_> = reply.headers().get_all("x-request-id").iter().collect();
    assert_eq!(ids.len(), 1, "{reply:?}");
    ids[0].to_str().expect("visible letters").to_owned()
}

/// The lines of a target about a request, once there are so many.
async fn logged(worker: &Worker, target: &str, id: &str, lines: usize) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let said = worker.process.all_said();
        let json = said.lines().filter(|line| line.starts_with('{') && line.ends_with('}'));
        let json = json.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let found: Vec<_> =
            json.filter(|line| line["target"] == target && line["request_id"] == id).collect();
        if found.len() >= lines {
            assert_eq!(found.len(), lines, "{found:?}");
            return found;
        }
        assert!(started.elapsed() < LOGGED_WITHIN, "{target} of {id} is not in {said}");
        sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test]
async fn client_upstream_and_log_have_the_same_id() {
    let worker = Worker::with(CONFIG, &[TRUSTING]).await;
    let told: &[u8] = b"X-Request-Id: told-by-\"the\\proxy";
    for lines in [&[][..], &[told]] {
        let reply = send(worker.gateway, "GET", "/private?q=private", lines, "").await;
        let id = id(&reply);
        assert_eq!(id == "told-by-\"the\\proxy", !lines.is_empty());
        let echo: Value = serde_json::from_str(reply.body()).expect("the echo");
        assert_eq!(echo["headers"]["x-request-id"], id.as_str());
        let decision = logged(&worker, "transom::decision", &id, 1).await;
        assert_eq!(decision[0]["identity"], "ip:127.0.0.1");
        let request = logged(&worker, "transom::request", &id, 1).await;
        assert_eq!(request[0]["listener"], "gateway");
        assert_eq!(request[0]["method"], "GET");
        assert_eq!(
            (&request[0]["policy"], &request[0]["status"]),
            (&json!("default"), &json!(200))
        );
        assert!(request[0]["duration_us"].as_u64().is_some_and(|took_us| took_us > 0));
        let line = request[0].to_string();
        assert!(!line.contains("private") && !line.contains("127.0.0.1"), "{line}");
    }
    let denied = get(worker.gateway, "/").await;
    assert_eq!(denied.status(), 429);
    let request = logged(&worker, "transom::request", &id(&denied), 1).await;
    assert_eq!(request[0]["status"], 429);
}

/// Goal: nobody writes into the log of another, nor sends the upstream what it trusts.
#[tokio::test]
async fn an_id_that_a_stranger_sends_is_replaced() {
    let worker = Worker::start(CONFIG).await;
    let lines: [&[u8]; 2] = [b"X-Request-Id: forged", b"Connection: x-request-id"];
    let reply = send(worker.gateway, "GET", "/", &lines, "").await;
    let id = id(&reply);
    assert_eq!(id.len(), 32, "{id}");
    let echo: Value = serde_json::from_str(reply.body()).expect("the echo");
    assert_eq!(echo["headers"]["x-request-id"], id.as_str());
    logged(&worker, "transom::request", &id, 1).await;
    assert!(!worker.process.all_said().contains("forged"));
}

#[tokio::test]
async fn the_check_listener_logs_its_requests_and_gives_them_an_id() {
    let worker = Worker::with(CONFIG, &[TRUSTING]).await;
    let told: [&[u8]; 1] = [b"X-Request-Id: told-by-the-proxy"];
    let reply = send(worker.check, "GET", "/check/private", &told, "").await;
    assert_eq!((reply.status().as_u16(), id(&reply).as_str()), (200, "told-by-the-proxy"));
    let request = logged(&worker, "transom::request", "told-by-the-proxy", 1).await;
    assert_eq!(
        (&request[0]["listener"], &request[0]["policy"]),
        (&json!("check"), &json!("default"))
    );
    logged(&worker, "transom::decision", "told-by-the-proxy", 1).await;
    let wrong = get(worker.check, "/nothing").await;
    let request = logged(&worker, "transom::request", &id(&wrong), 1).await;
    assert_eq!((&request[0]["status"], &request[0]["policy"]), (&json!(404), &Value::Null));
}

#[tokio::test]
async fn a_failure_is_logged_with_the_id_that_the_client_was_told() {
    let closed = ClosedPort::new();
    let upstream = format!("http://{}", closed.address);
    for format in ["text", "json"] {
        let variables = [
            ("TRANSOM__GATEWAY__UPSTREAM", upstream.as_str()),
            ("TRANSOM__LOG__FORMAT", format),
            ("TRANSOM__LOG__LEVEL", "warn"),
        ];
        let worker = Worker::with("", &variables).await;
        let reply = get(worker.gateway, "/").await;
        assert_eq!(reply.status(), 502);
        let id = id(&reply);
        let started = Instant::now();
        let line = loop {
            let said = worker.process.all_said();
            if let Some(line) =
                said.lines().find(|line| line.contains("no connection to the upstream"))
            {
                break line.to_owned();
            }
            assert!(started.elapsed() < LOGGED_WITHIN, "the failure is not in {said}");
            sleep(LOOK_AGAIN).await;
        };
        assert!(line.contains(&id), "{line}");
    }
}

#[tokio::test]
async fn requests_and_decisions_are_not_logged_unless_asked_for() {
    let mut worker = Worker::start("[log]\nlevel = \"trace\"").await;
    get(worker.gateway, "/").await;
    decide(worker.check, &json!({"identity": "user:42"})).await;
    worker.process.signal("TERM");
    let log = worker.process.end().await.stderr;
    for target in ["transom::request", "transom::decision", "user:42"] {
        assert!(!log.contains(target), "{target} in {log}");
    }
}
