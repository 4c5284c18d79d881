//! The admin API of a worker: who may use it, what it answers to mistakes, and that its document
//! describes it.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use transom_tests::RedisServer;

use crate::client::{Reply, get, send};
use crate::process::Worker;

const TOKEN: &str = "[admin]\ntoken = \"letmein-of-a-test\"\n";
/// A deadline that a busy machine keeps.
const PATIENT: &str = "[redis]\ndeadline = \"5s\"\n";
const JSON: &[u8] = b"Content-Type: application/json";
const RIGHT: &[u8] = b"Authorization: Bearer letmein-of-a-test";
const WRONG: &[u8] = b"Authorization: Bearer letmeout-of-a-test";

/// Sends a body of JSON.
async fn put(admin: SocketAddr, method: &str, path: &str, body: &Value) -> Reply {
    send(admin, method, path, &[JSON], &body.to_string()).await
}

fn body(reply: &Reply) -> Value {
    serde_json::from_str(reply.body()).unwrap_or_else(|_| panic!("no JSON: {reply:?}"))
}

#[tokio::test]
async fn with_a_token_only_whoever_has_it_is_answered() {
    let worker = Worker::start(TOKEN).await;
    let reply = get(worker.admin, "/api/status").await;
    assert_eq!(reply.status(), 401);
    assert_eq!(reply.headers()["www-authenticate"], "Bearer");
    assert_eq!(send(worker.admin, "GET", "/api/status", &[WRONG], "").await.status(), 401);
    for right in [RIGHT, b"authorization: bearer letmein-of-a-test"] {
        assert_eq!(send(worker.admin, "GET", "/api/status", &[right], "").await.status(), 200);
    }
    for almost in ["letmein-of-a-tes", "letmein-of-a-test2", "", "Letmein-of-a-test"] {
        let line = format!("Authorization: Bearer {almost}");
        let reply = send(worker.admin, "GET", "/api/mode", &[line.as_bytes()], "").await;
        assert_eq!(reply.status(), 401, "{almost}");
    }
    for open in ["/healthz", "/readyz", "/metrics", "/api/openapi.json"] {
        assert_eq!(get(worker.admin, open).await.status(), 200, "{open}");
    }
}

#[tokio::test]
async fn a_flood_of_wrong_tokens_is_limited_and_shuts_nobody_out() {
    let worker = Worker::start(TOKEN).await;
    let mut limited = 0;
    for _ in 0..200 {
        let reply = send(worker.admin, "GET", "/api/status", &[WRONG], "").await;
        match reply.status().as_u16() {
            401 => {}
            429 => {
                limited += 1;
                assert!(reply.headers().contains_key("retry-after"), "{reply:?}");
            }
            other => panic!("{other}: {reply:?}"),
        }
    }
    assert!(limited >= 150, "{limited} of 200 were limited");
    assert_eq!(send(worker.admin, "GET", "/api/status", &[RIGHT], "").await.status(), 200);
    assert_eq!(get(worker.gateway, "/v1").await.status(), 200, "the data plane goes on");
}

#[tokio::test]
async fn a_page_of_another_site_gets_nothing() {
    for config in ["", TOKEN] {
        let worker = Worker::start(config).await;
        let own = format!("Origin: http://{}", worker.admin);
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
            let line = format!("Origin: {origin}");
            let lines = [JSON, RIGHT, line.as_bytes()];
            let blocked = send(worker.admin, "PUT", "/api/blocks/user:42", &lines, "{}").await;
            assert_eq!(blocked.status(), 403, "{origin}");
        }
        let lines = [JSON, RIGHT, own.as_bytes()];
        let blocked = send(worker.admin, "PUT", "/api/blocks/user:42", &lines, "{}").await;
        assert_eq!(blocked.status(), 200, "{blocked:?}");
    }
}

#[tokio::test]
async fn without_a_token_only_names_of_this_machine_are_answered() {
    let worker = Worker::start("").await;
    assert_eq!(get(worker.admin, "/api/status").await.status(), 200);
    for (host, status) in [
        ("localhost", 200),
        ("localhost:8083", 200),
        ("LOCALHOST", 200),
        ("[::ffff:127.0.0.1]:8083", 200),
        ("127.0.0.1", 200),
        ("[::1]:8083", 200),
        ("rebound.example", 403),
        ("localhost.evil.example", 403),
        ("192.0.2.7", 403),
        ("[::ffff:192.0.2.7]", 403),
        ("x@localhost", 403),
        ("localhost:8083@rebound.example", 403),
        ("http://localhost/", 403),
        ("localhost/", 403),
        ("localhost\r\nHost: rebound.example", 403),
    ] {
        let head = format!("GET /api/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = crate::client::raw(worker.admin, head.as_bytes()).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{host}: {answer}");
    }
}

/// Goal: a proxy or sidecar on this machine does not open the API to everybody. Method: what such
/// a proxy sends when it names its upstream as the host.
#[tokio::test]
async fn without_a_token_nobody_gets_in_through_a_proxy() {
    let worker = Worker::start("").await;
    for line in [
        "X-Forwarded-For: 203.0.113.9",
        "X-Real-Ip: 203.0.113.9",
        "Forwarded: for=203.0.113.9",
        "Via: 1.1 nginx",
    ] {
        let reply = send(worker.admin, "GET", "/api/status", &[line.as_bytes()], "").await;
        assert_eq!(reply.status(), 403, "{line}");
    }
    let worker = Worker::start(TOKEN).await;
    let lines = [RIGHT, b"X-Forwarded-For: 203.0.113.9"];
    assert_eq!(send(worker.admin, "GET", "/api/status", &lines, "").await.status(), 200);
}

/// Goal: no page makes a browser on this machine ask, where the browser names no origin, as for
/// an image.
#[tokio::test]
async fn what_a_browser_fetches_for_another_site_gets_nothing() {
    for config in ["", TOKEN] {
        let worker = Worker::start(config).await;
        for (site, status) in [
            ("cross-site", 403),
            ("same-site", 403),
            ("", 403),
            ("same-origin", 200),
            ("none", 200),
        ] {
            let line = format!("Sec-Fetch-Site: {site}");
            let lines = [RIGHT, line.as_bytes()];
            let reply = send(worker.admin, "GET", "/api/overrides", &lines, "").await;
            assert_eq!(reply.status(), status, "{site:?}");
        }
    }
}

#[tokio::test]
async fn an_absolute_target_and_http_2_name_their_host_too() {
    let worker = Worker::start("").await;
    let target =
        format!("GET http://rebound.example/api/status HTTP/1.1\r\nHost: {}", worker.admin);
    let head = format!("{target}\r\nConnection: close\r\n\r\n");
    let answer = crate::client::raw(worker.admin, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");

    let http2 = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Empty<Bytes>>();
    let url = format!("http://{}/api/status", worker.admin);
    let ask = |origin: Option<&str>| {
        let request = http::Request::get(&url);
        let request = origin.into_iter().fold(request, |request, o| request.header("origin", o));
        http2.request(request.body(Empty::new()).expect("a request"))
    };
    let own = format!("http://{}", worker.admin);
    assert_eq!(ask(None).await.expect("an answer").status(), 200);
    assert_eq!(ask(Some(&own)).await.expect("an answer").status(), 200);
    assert_eq!(ask(Some("http://evil.example")).await.expect("an answer").status(), 403);
}

#[tokio::test]
async fn mistakes_are_named() {
    let server = RedisServer::start().await;
    let worker = Worker::with(PATIENT, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let overrides = "/api/overrides/user:42";
    for (method, path, sent, status, says) in [
        ("PUT", overrides, json!({"minute": 1}), 400, "second: missing"),
        ("PUT", overrides, json!({"minute": 1, "second": 1_000_001}), 400, "second: must be 0 to"),
        ("PUT", overrides, json!({"minute": -1, "second": 1}), 400, "minute: invalid value"),
        ("PUT", overrides, json!({"minutes": 1}), 400, "unknown field `minutes`"),
        (
            "PUT",
            overrides,
            json!({"minute": 1, "second": 1, "policy": "serach"}),
            400,
            "policy: there is none called \"serach\"; there are default",
        ),
        ("PUT", overrides, json!({"minute": 1, "second": 1, "for": "2"}), 400, "for: "),
        (
            "PUT",
            overrides,
            json!({"minute": 1, "second": 1, "for": "10ms"}),
            400,
            "for: must be 1s",
        ),
        ("PUT", overrides, json!({"minute": 1, "second": 1, "by": "a\nb"}), 400, "by: a control"),
        ("PUT", "/api/overrides/42", json!({"minute": 1, "second": 1}), 400, "identity: "),
        ("PUT", "/api/blocks/ip:nowhere", json!({}), 400, "identity: "),
        ("PUT", "/api/mode", json!({"mode": "loud"}), 400, "mode: unknown variant `loud`"),
        ("POST", "/api/keys", json!({"user": ""}), 400, "user: a user id is not empty"),
        ("DELETE", overrides, json!(null), 404, "user:42 has no override for all policies"),
        ("DELETE", "/api/blocks/user:42", json!(null), 404, "user:42 is not blocked"),
        ("DELETE", "/api/blocks/user:42?policy=default", json!(null), 400, "policy"),
        (
            "POST",
            "/api/identities/user:42/reset",
            json!({"policy": "serach"}),
            400,
            "policy: there",
        ),
        ("DELETE", "/api/overrides/user:42?policy=a%20b", json!(null), 400, "policy: "),
        ("DELETE", "/api/keys/12", json!(null), 400, "digest: "),
        ("DELETE", &format!("/api/keys/{}", "0".repeat(64)), json!(null), 404, "there is no key"),
        ("GET", "/api/identities/user:42/explain?method=A%20B", json!(null), 400, "method: "),
        ("GET", "/api/top?max=many", json!(null), 400, "max"),
        ("GET", "/api/nothing", json!(null), 404, "there is nothing at this path"),
        ("GET", "/api/doctor", json!(null), 405, "this path does not take this method"),
        ("PUT", "/api/status", json!({}), 405, "this path does not take this method"),
    ] {
        let text = if sent.is_null() { String::new() } else { sent.to_string() };
        let reply = send(worker.admin, method, path, &[JSON], &text).await;
        assert_eq!(reply.status(), status, "{method} {path} {sent}: {reply:?}");
        let said = body(&reply);
        assert_eq!(said["status_code"], status, "{reply:?}");
        let message = said["message"].as_str().expect("a message");
        assert!(message.contains(says), "{method} {path} {sent}: {message}");
    }
    let reply = send(worker.admin, "PUT", overrides, &[], "{}").await;
    assert_eq!(reply.status(), 415, "a form of another site cannot say that it is JSON");
}

#[tokio::test]
async fn what_needs_redis_says_so_and_the_rest_works_in_process() {
    let worker = Worker::start("").await;
    let reply = put(worker.admin, "POST", "/api/keys", &json!({"user": "7"})).await;
    assert_eq!(reply.status(), 409);
    assert!(body(&reply)["message"].as_str().expect("words").contains("redis.url is not set"));
    let limits = json!({"minute": 7, "second": 7, "by": "ada", "reason": "why"});
    let address = "/api/overrides/ip:127.0.0.1";
    assert_eq!(put(worker.admin, "PUT", address, &limits).await.status(), 200);
    assert_eq!(get(worker.gateway, "/v1").await.headers()["x-ratelimit-limit"], "7");
    assert_eq!(put(worker.admin, "PUT", "/api/mode", &json!({"mode": "off"})).await.status(), 200);
    assert!(!get(worker.gateway, "/v1").await.headers().contains_key("x-ratelimit-limit"));
    let audit = body(&get(worker.admin, "/api/audit").await);
    let actions: Vec<_> =
        audit["items"].as_array().expect("items").iter().map(|change| &change["action"]).collect();
    assert_eq!(actions, ["mode.set", "override.set"]);
}

#[tokio::test]
async fn what_cannot_be_put_on_record_is_not_done() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    let worker = Worker::with(PATIENT, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let mut spoil = redis::cmd("SET");
    spoil.arg("transom:1:audit").arg("no stream");
    spoil.exec_async(&mut connection).await.expect("a server of this test");
    for (method, path, sent) in [
        ("PUT", "/api/blocks/user:5", json!({})),
        ("PUT", "/api/overrides/user:5", json!({"minute": 1, "second": 1})),
        ("PUT", "/api/mode", json!({"mode": "off"})),
        ("POST", "/api/keys", json!({"user": "5"})),
    ] {
        let reply = put(worker.admin, method, path, &sent).await;
        assert_eq!(reply.status(), 503, "{method} {path}: {reply:?}");
    }
    for list in ["/api/blocks", "/api/overrides", "/api/keys"] {
        let listed = body(&get(worker.admin, list).await);
        assert_eq!(listed["items"], json!([]), "{list}");
    }
    assert_eq!(body(&get(worker.admin, "/api/mode").await)["fleet"], json!(null));
}

#[tokio::test]
async fn an_override_of_a_policy_that_is_gone_can_be_deleted_and_a_mode_taken_back() {
    let config = "[[policy]]\nname = \"old\"\npath = \"/old\"\nminute = 1\nsecond = 1\n";
    let worker = Worker::start(config).await;
    let limits = json!({"minute": 7, "second": 7, "policy": "old"});
    assert_eq!(put(worker.admin, "PUT", "/api/overrides/user:42", &limits).await.status(), 200);
    worker.configure("");
    worker.says("a new configuration is in force", 1).await;
    let gone = "/api/overrides/user:42?policy=old";
    assert_eq!(send(worker.admin, "DELETE", gone, &[], "").await.status(), 200);
    assert_eq!(send(worker.admin, "DELETE", gone, &[], "").await.status(), 404);

    for (mode, in_force) in [(json!("shadow"), "shadow"), (json!(null), "enforce")] {
        let reply = put(worker.admin, "PUT", "/api/mode", &json!({"mode": mode})).await;
        assert_eq!(body(&reply)["mode"], in_force, "{reply:?}");
    }
}

#[tokio::test]
async fn explain_names_what_exempts() {
    let config = "[identity]\nexempt = [\"user:monitor\"]\n[limiter]\nexempt_paths = [\"/healthz\"]\n\
                  [[policy]]\nname = \"off\"\npath = \"/off\"\nminute = 1\nsecond = 1\nmode = \"off\"\n";
    let worker = Worker::start(config).await;
    for (identity, path, why) in [
        ("user:monitor", "/", "identity.exempt"),
        ("user:42", "/healthz", "limiter.exempt_paths"),
        ("user:42", "/off", "the mode of off is off"),
    ] {
        let asked = format!("/api/identities/{identity}/explain?path={path}");
        let said = body(&get(worker.admin, &asked).await);
        assert!(said["exempt"].as_str().expect("why").contains(why), "{said}");
        assert!(said["summary"].as_str().expect("words").contains(why), "{said}");
    }
}

#[tokio::test]
async fn a_list_of_keys_is_bounded_and_says_that_there_are_more() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    let fill = "for i = 1, 1002 do redis.call('HSET', string.format('transom:1:key:%064x', i), \
                'user', i == 1 and 'z' or 'a') end";
    let mut eval = redis::cmd("EVAL");
    eval.arg(fill).arg(0);
    eval.exec_async(&mut connection).await.expect("keys");
    let worker = Worker::with(PATIENT, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    for (path, count, more) in [
        ("/api/keys", 1_000, true),
        ("/api/keys?user=a", 1_000, true),
        ("/api/keys?user=z", 1, false),
    ] {
        let listed = body(&get(worker.admin, path).await);
        assert_eq!(listed["items"].as_array().expect("items").len(), count, "{path}");
        assert_eq!(listed["more"], more, "{path}");
    }
}

/// Goal: a fleet that denies nobody, or not as its files say, is found.
#[tokio::test]
async fn the_doctor_names_the_mode_in_force() {
    let server = RedisServer::start().await;
    let worker = Worker::with(PATIENT, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let set = async |mode: &str| {
        let reply = put(worker.admin, "PUT", "/api/mode", &json!({"mode": mode})).await;
        assert_eq!(reply.status(), 200, "{reply:?}");
    };
    let found = async || {
        let findings = body(&send(worker.admin, "POST", "/api/doctor", &[], "").await);
        let of_mode = |one: &&Value| one["check"] == "mode";
        let said = findings.as_array().expect("findings").iter().filter(of_mode);
        said.map(|one| format!("{} {}", one["level"], one["said"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(found().await, ["ok enforce"]);
    set("enforce").await;
    assert_eq!(found().await, ["ok enforce"]);
    set("shadow").await;
    assert_eq!(
        found().await,
        [
            "warning the fleet is set to shadow, which goes before limiter.mode, enforce here; \
             transom mode enforce changes it",
            "warning shadow is in force: what would be denied passes",
        ]
    );
    set("off").await;
    assert_eq!(found().await[1], "warning off is in force: nothing is limited");

    let worker = Worker::start("[limiter]\nmode = 'shadow'").await;
    let findings = body(&send(worker.admin, "POST", "/api/doctor", &[], "").await);
    assert!(findings.to_string().contains("shadow is in force"), "{findings}");
}

#[tokio::test]
async fn a_store_that_is_away_is_an_error_of_its_own() {
    let closed = crate::upstream::ClosedPort::new();
    let url = format!("redis://{}", closed.address);
    let worker = Worker::with("", &[("TRANSOM__REDIS__URL", &url)]).await;
    for (method, path, sent) in [
        ("GET", "/api/identities/user:42", json!(null)),
        ("GET", "/api/identities/user:42/explain", json!(null)),
        ("GET", "/api/overrides", json!(null)),
        ("GET", "/api/traffic", json!(null)),
        ("GET", "/api/mode", json!(null)),
        ("PUT", "/api/blocks/user:42", json!({})),
        ("POST", "/api/keys", json!({"user": "7"})),
    ] {
        let text = if sent.is_null() { String::new() } else { sent.to_string() };
        let reply = send(worker.admin, method, path, &[JSON], &text).await;
        assert_eq!(reply.status(), 503, "{method} {path}: {reply:?}");
    }
    assert_eq!(body(&get(worker.admin, "/api/status").await)["degraded"], "unreachable");
    let doctor = body(&send(worker.admin, "POST", "/api/doctor", &[], "").await);
    let problem = doctor.as_array().expect("findings").iter().any(|one| one["level"] == "problem");
    assert!(problem, "{doctor}");
}

#[tokio::test]
async fn the_document_describes_every_path_of_the_api() {
    let worker = Worker::start("").await;
    let document = body(&get(worker.admin, "/api/openapi.json").await);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    let paths = document["paths"].as_object().expect("paths");
    let mut operations = 0;
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            operations += 1;
            assert!(operation["responses"]["200"].is_object(), "{method} {path}");
            let summary = operation["summary"].as_str().or(operation["description"].as_str());
            assert!(summary.is_some_and(|text| !text.is_empty()), "{method} {path}");
            let path = path.replace("{identity}", "user:42").replace("{digest}", "00");
            let reply = send(worker.admin, &method.to_uppercase(), &path, &[JSON], "{}").await;
            assert_ne!(reply.status(), 405, "{method} {path} is described and not served");
            let nothing = "there is nothing at this path";
            assert!(!reply.body().contains(nothing), "{method} {path} is described and not served");
        }
    }
    assert_eq!(operations, 21);
    let references = document.to_string();
    for (at, _) in references.match_indices("\"#/components/schemas/") {
        let name = references[at + 22..].split('"').next().expect("a name");
        assert!(document["components"]["schemas"][name].is_object(), "{name} is not described");
    }
}
