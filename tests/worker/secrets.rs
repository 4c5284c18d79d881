//! Secrets with a mark: wherever a worker writes, none may be found.

mod redis_files;
mod tokens;

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Value, cmd};
use tempfile::tempdir;
use tokio::time::sleep;
use transom_redis::{Digest, RedisLimiter, Settings};
use transom_tests::RedisServer;

use crate::client::{get, send};
use crate::collector::{Collector, Mood};
use crate::process::{LOOK_AGAIN, Worker, run, text, write};
use crate::upstream::ClosedPort;

/// The mark of every secret.
const MARK: &str = "MARKED";
/// A key that is valid, and one that is not.
const KEYS: [&str; 2] = ["tk_MARKED_valid", "tk_MARKED_guess"];
const PASSWORD: &str = "MARKED-password";

const CONFIG: &str = r#"
[redis]
deadline = "5s"

[admin]
token = "MARKED-token-of-a-test"

[log]
level = "trace"
decisions = true
requests = true

[[policy]]
name = "default"
minute = 4
second = 4
"#;

fn assert_clean(what: &str, text: &str) {
    let text_at = |at: usize| {
        let around = &text.as_bytes()[at.saturating_sub(200)..(at + 50).min(text.len())];
        String::from_utf8_lossy(around).into_owned()
    };
    assert!(!text.contains(MARK), "{what}: {:?}", text.find(MARK).map(text_at));
}

/// A Redis whose user `worker` has a marked password, and a connection of its owner.
async fn redis_with_a_password() -> (RedisServer, String, MultiplexedConnection) {
    let server = RedisServer::process(&redis_files::ARGUMENTS).await;
    let mut connection = server.connect().await;
    let mut user = cmd("ACL");
    user.arg("SETUSER").arg("worker").arg("on").arg(format!(">{PASSWORD}"));
    user.arg("~*").arg("&*").arg("+@all");
    user.exec_async(&mut connection).await.expect("a server of the test's own");
    let url = server.url.replace("redis://", &format!("redis://worker:{PASSWORD}@"));
    (server, url, connection)
}

/// Uses the admin API, with the right token and with wrong ones; the key that was created is no
/// part of what is returned.
async fn operate(worker: &Worker) -> (String, Vec<String>) {
    let right: &[u8] = b"Authorization: Bearer MARKED-token-of-a-test";
    let json: &[u8] = b"Content-Type: application/json";
    let mut said = Vec::new();
    for token in ["MARKED-guess", "MARKED-toke"] {
        let line = format!("Authorization: Bearer {token}");
        for path in ["/api/status", "/api/identities/user:42"] {
            let reply = send(worker.admin, "GET", path, &[line.as_bytes()], "").await;
            assert_eq!(reply.status(), 401, "{reply:?}");
            said.push(format!("{reply:?}"));
        }
    }
    let wish = r#"{"user":"7","label":"of a test"}"#;
    let created = send(worker.admin, "POST", "/api/keys", &[right, json], wish).await;
    assert_eq!(created.status(), 200, "{created:?}");
    let created: serde_json::Value = serde_json::from_str(created.body()).expect("JSON");
    let key = created["key"].as_str().expect("a key").to_owned();
    let line = format!("X-Api-Key: {key}");
    let reply = send(worker.gateway, "GET", "/v1", &[line.as_bytes()], "").await;
    said.push(format!("{reply:?}"));
    for (method, path, body) in [
        ("PUT", "/api/overrides/user:42", r#"{"minute":4,"second":4,"by":"ada"}"#),
        ("PUT", "/api/blocks/user:8", "{}"),
        ("POST", "/api/identities/user:9/reset", "{}"),
        ("PUT", "/api/mode", r#"{"mode":"loud"}"#),
        ("GET", "/api/identities/user:42/explain", ""),
        ("GET", "/api/keys", ""),
        ("GET", "/api/audit", ""),
        ("POST", "/api/doctor", ""),
        ("GET", "/api/status", ""),
        ("GET", "/api/openapi.json", ""),
        ("GET", "/metrics", ""),
    ] {
        let reply = send(worker.admin, method, path, &[right, json], body).await;
        said.push(format!("{reply:?}"));
    }
    said.extend(visit(worker).await);
    (key, said)
}

/// Logs in to the console, with a wrong token and with the right one, and looks around.
async fn visit(worker: &Worker) -> Vec<String> {
    let form: &[u8] = b"Content-Type: application/x-www-form-urlencoded";
    let mut said = Vec::new();
    let wrong = send(worker.admin, "POST", "/login", &[form], "token=MARKED-guess&name=Ada").await;
    said.push(format!("{wrong:?}"));
    let entered =
        send(worker.admin, "POST", "/login", &[form], "token=MARKED-token-of-a-test&name=Ada")
            .await;
    assert_eq!(entered.status(), 303, "{entered:?}");
    let cookie = entered.headers()["set-cookie"].to_str().expect("plain letters").to_owned();
    let cookie = format!("Cookie: {}", cookie.split(';').next().expect("a cookie"));
    said.push(format!("{entered:?}"));
    for path in ["/", "/identities/user:42", "/keys", "/audit", "/policies", "/overrides"] {
        let reply = send(worker.admin, "GET", path, &[cookie.as_bytes()], "").await;
        assert_eq!(reply.status(), 200, "{path}: {reply:?}");
        said.push(format!("{reply:?}"));
    }
    said
}

/// Sends the keys over HTTP/1.1 and HTTP/2, to every listener, until well past the limit.
async fn drive(worker: &Worker) -> Vec<String> {
    let mut said = Vec::new();
    for key in KEYS.iter().cycle().take(12) {
        let heads = [format!("X-Api-Key: {key}"), format!("Authorization: Bearer {key}")];
        for head in &heads {
            for (address, path) in
                [(worker.gateway, "/v1"), (worker.check, "/check/v1"), (worker.admin, "/readyz")]
            {
                let reply = send(address, "GET", path, &[head.as_bytes()], "").await;
                said.push(format!("{reply:?}"));
            }
            let wrong = [head.as_bytes(), b"X-Original-Method: GET".as_slice()];
            let reply = send(worker.check, "GET", "/check?profile=nginx", &wrong, "").await;
            assert_eq!(reply.status(), 400);
            said.push(format!("{reply:?}"));
        }
    }
    let http2 = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Empty<Bytes>>();
    let requests = KEYS.iter().map(|key| {
        let request = http::Request::get(format!("http://{}/v1", worker.gateway))
            .header("x-api-key", *key)
            .header("authorization", format!("Bearer {key}"))
            .body(Empty::new());
        http2.request(request.expect("a request"))
    });
    for reply in join_all(requests).await {
        let (head, body) = reply.expect("an answer over HTTP/2").into_parts();
        said.push(format!("{head:?} {:?}", body.collect().await.expect("a body").to_bytes()));
    }
    said
}

async fn ask<T: FromRedisValue>(connection: &mut MultiplexedConnection, words: &[&str]) -> T {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(connection).await.expect("a server of the test's own")
}

/// Every key of a Redis and all that it holds, as text.
async fn contents(connection: &mut MultiplexedConnection) -> String {
    let keys: Vec<String> = ask(connection, &["KEYS", "*"]).await;
    let mut all = String::new();
    for key in &keys {
        let kind: String = ask(connection, &["TYPE", key]).await;
        let read = match kind.as_str() {
            "string" => &["GET", key][..],
            "hash" => &["HGETALL", key],
            "zset" => &["ZRANGE", key, "0", "-1"],
            "list" => &["LRANGE", key, "0", "-1"],
            "stream" => &["XRANGE", key, "-", "+"],
            // It has expired meanwhile.
            "none" => continue,
            other => panic!("{key} is a {other}, which this test does not read"),
        };
        let value: Value = ask(connection, read).await;
        all.push_str(&format!("{key}: {value:?}\n"));
    }
    all
}

#[tokio::test]
async fn no_secret_is_in_a_log_an_answer_or_redis() {
    let (server, url, mut connection) = redis_with_a_password().await;
    let settings = Settings { deadline: Duration::from_secs(5), ..Settings::new(&url) };
    let keys = RedisLimiter::open(&settings).unwrap().api_keys();
    keys.add(Digest::of(KEYS[0].as_bytes()), "42", "of a test").await.unwrap();

    let collector = Collector::start(Mood::Takes).await;
    let spans_to = format!("http://{}", collector.address);
    let variables =
        [("TRANSOM__REDIS__URL", url.as_str()), ("TRANSOM__TRACING__OTLP_ENDPOINT", &spans_to)];
    let mut worker = Worker::with(CONFIG, &variables).await;
    for reply in drive(&worker).await {
        assert_clean("an answer", &reply);
    }
    // The windows of a second are gone by the time that all else is there.
    let early = contents(&mut connection).await;
    let (key, said) = operate(&worker).await;
    for reply in said {
        assert_clean("an answer to an operator", &reply);
        assert!(!reply.contains(&key), "a key that is shown once: {reply}");
    }
    // What was decided is reported once a second.
    let asked = Instant::now();
    let stored = loop {
        let stored = format!("{early}{}", contents(&mut connection).await);
        if stored.contains("{fleet}:traffic") {
            break stored;
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "nothing was reported: {stored}");
        sleep(LOOK_AGAIN).await;
    };
    for part in
        ["{user:42}:default:minute", "{ip:127.0.0.1}:default:second", ":key:", ":audit", ":denied:"]
    {
        assert!(stored.contains(part), "{part} is what this test looks through: {stored}");
    }
    assert_clean("redis", &stored);
    assert!(!stored.contains(&key), "a key is kept nowhere");
    for (what, text) in redis_files::all(&server, &mut connection).await {
        assert_clean(what, &text);
        assert!(!text.contains(&key), "a key is in {what}");
    }

    worker.process.signal("TERM");
    let ended = worker.process.end().await;
    let log = ended.stderr;
    let lines = ["identity=\"user:42\"", "identity=\"ip:127.0.0.1\"", "allowed=false"];
    for line in lines {
        assert!(log.contains(line), "{line} is what this test looks through: {log}");
    }
    assert_clean("the log", &log);
    assert!(!log.contains(&key), "a key is in no log");
    assert_clean("the banner", &ended.stdout);
    let spans = format!("{:?}", collector.all());
    assert!(spans.contains("decision"), "spans are what this test looks through: {spans}");
    assert_clean("the spans", &spans);
    for mark in [key.as_str(), "user:42", "ip:127.0.0.1"] {
        assert!(!spans.contains(mark), "{mark} is in a span");
    }
}

/// Goal: what goes wrong shows no secret either: no Redis, a wrong password, no upstream.
#[tokio::test]
async fn no_secret_is_in_what_is_said_of_a_failure() {
    let (server, url, _connection) = redis_with_a_password().await;
    let closed = ClosedPort::new();
    let absent = format!("redis://worker:{PASSWORD}@{}", closed.address);
    let wrong = url.replace("password", "wrong");
    let upstream = format!("http://{}", closed.address);
    for (url, on_failure) in [(&absent, "allow"), (&wrong, "deny"), (&wrong, "local")] {
        let variables = [
            ("TRANSOM__REDIS__URL", url.as_str()),
            ("TRANSOM__REDIS__ON_FAILURE", on_failure),
            ("TRANSOM__GATEWAY__UPSTREAM", &upstream),
            ("TRANSOM__LOG__FORMAT", "json"),
        ];
        let mut worker = Worker::with(CONFIG, &variables).await;
        assert!(worker.banner.contains("does not answer yet"), "{}", worker.banner);
        for reply in drive(&worker).await {
            assert_clean("an answer", &reply);
        }
        let reply = get(worker.gateway, "/v1").await;
        let expected = if on_failure == "allow" { &[502][..] } else { &[502, 503, 429] };
        assert!(expected.contains(&reply.status().as_u16()), "{reply:?}");
        let asked = Instant::now();
        while !worker.process.all_said().contains("cannot connect to redis") {
            assert!(asked.elapsed() < Duration::from_secs(5), "the log says nothing of redis");
            sleep(LOOK_AGAIN).await;
        }
        worker.process.signal("TERM");
        let ended = worker.process.end().await;
        assert_clean("what a worker said", &(ended.stdout + &ended.stderr));
    }
    drop(server);
}

#[tokio::test]
async fn no_secret_is_in_what_is_said_of_a_configuration() {
    let folder = tempdir().unwrap();
    let url = format!("redis://worker:{PASSWORD}@redis.example:6379/3");
    let config = CONFIG.replace("[redis]\n", &format!("[redis]\nurl = \"{url}\"\n"));
    let file = write(&folder, "transom.toml", &config);
    for arguments in [&["check-config"][..], &["check-config", "--json"]] {
        for more in [&["--config", text(&file)][..], &["--redis", &url]] {
            let ended = run(&[arguments, more].concat(), &[]).await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert!(ended.stdout.contains("***@redis.example:6379/3"), "{}", ended.stdout);
            assert_clean("check-config", &ended.stdout);
        }
    }

    let port = url.replace("6379", "port");
    let slash = url.replace("MARKED-", "MARKED/");
    let unix = url.replace("redis://", "unix://");
    for content in [
        format!("[redis]\nurl = \"{port}\""),
        format!("[redis]\nurl = \"{slash}\""),
        format!("[redis]\nurl = \"{unix}\""),
        format!("[redis]\nurl = \"{url}"),
        format!("[redis]\nurl = [\"{url}\"]"),
        format!("[redis]\nurls = \"{url}\""),
        format!("redis = \"{url}\""),
        format!("[redis]\nurl = \"{url}\"\ntls_ca = \"/nowhere.pem\""),
        "[admin]\ntoken = \"MARKED with blanks\"".to_owned(),
        "[admin]\ntoken = [\"MARKED\"]".to_owned(),
        "[admin]\ntoken = \"MARKED".to_owned(),
        "[admin\ntoken = \"MARKED\"".to_owned(),
        "[[api_key]]\nsha256 = \"MARKED\"\nuser = \"42\"".to_owned(),
        "[[api_key]]\nkey = \"MARKED\"\nuser = \"42\"".to_owned(),
    ] {
        let path = write(&folder, "bad.toml", &content);
        let ended = run(&["check-config", "--config", text(&path)], &[]).await;
        assert_eq!(ended.code, Some(2), "{content}");
        assert_clean(&content.replace(MARK, ""), &(ended.stdout + &ended.stderr));
    }
    for (name, value) in [
        ("TRANSOM__REDIS__URL", port.as_str()),
        ("TRANSOM__REDIS__URL", &slash),
        ("TRANSOM__ADMIN__TOKEN", "MARKED token"),
        ("TRANSOM__API_KEY__SHA256", "MARKED"),
    ] {
        let ended = run(&["check-config"], &[(name, value)]).await;
        assert_eq!(ended.code, Some(2), "{name}");
        assert_clean(name, &(ended.stdout + &ended.stderr));
    }
    let ended = run(&["check-config", "--redis", &port], &[]).await;
    assert_eq!(ended.code, Some(2));
    assert_clean("--redis", &(ended.stdout + &ended.stderr));
}
