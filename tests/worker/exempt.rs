//! Requests that are not limited, and what clients may ask for in header fields and bodies.

use serde_json::{Value, json};

use crate::client::{decide, get, is_decided, left, number, send};
use crate::process::Worker;

const PEER: &str = "ip:127.0.0.1";

const PREFLIGHT: [&[u8]; 2] =
    [b"Origin: https://app.example", b"Access-Control-Request-Method: PUT"];

const POLICY: &str = "
[[policy]]
name = \"default\"
minute = 10
second = 10
";

async fn worker(settings: &str) -> Worker {
    Worker::start(&format!("{settings}{POLICY}")).await
}

#[tokio::test]
async fn a_preflight_is_charged_unless_the_configuration_says_otherwise() {
    let charging = worker("").await;
    let reply = send(charging.gateway, "OPTIONS", "/v1/people", &PREFLIGHT, "").await;
    assert_eq!(number(&reply, "x-ratelimit-remaining"), 9);

    let exempting = worker("[limiter]\nexempt_preflight = true\n").await;
    for _ in 0..20 {
        let reply = send(exempting.gateway, "OPTIONS", "/v1/people", &PREFLIGHT, "").await;
        assert!(reply.status() == 200 && !is_decided(&reply), "{reply:?}");
    }
    let original =
        [&PREFLIGHT[..], &[b"X-Original-Method: OPTIONS", b"X-Original-URI: /v1/people"]].concat();
    let reply = send(exempting.check, "GET", "/check?profile=nginx", &original, "").await;
    assert!(reply.status() == 200 && !is_decided(&reply), "{reply:?}");
    assert_eq!(left(exempting.check, PEER, "/").await, 10);
    let counted = get(exempting.admin, "/metrics").await.into_body();
    assert!(counted.contains("transom_exempt_total{policy=\"default\"} 21\n"), "{counted}");

    // Any of the three missing, and it is a request like others.
    for (method, lines) in [
        ("OPTIONS", &PREFLIGHT[..1]),
        ("OPTIONS", &PREFLIGHT[1..]),
        ("OPTIONS", &[]),
        ("GET", &PREFLIGHT[..]),
    ] {
        let reply = send(exempting.gateway, method, "/v1/people", lines, "").await;
        assert!(is_decided(&reply), "{method} {lines:?}: {reply:?}");
    }
    assert_eq!(left(exempting.check, PEER, "/").await, 6);
}

#[tokio::test]
async fn a_path_that_is_exempt_is_so_in_every_spelling_and_at_every_listener() {
    let worker = worker("[limiter]\nexempt_paths = [\"/healthz\", \"/status/{*rest}\"]\n").await;
    let spellings = ["/healthz", "/healthz/?x=1", "//healthz", "/v1/..//%68ealthz", "/status/a/b"];
    for target in spellings.iter().cycle().take(20) {
        let reply = get(worker.gateway, target).await;
        assert!(reply.status() == 200 && !is_decided(&reply), "{target}: {reply:?}");
    }
    let reply = get(worker.check, "/check/healthz").await;
    assert!(reply.status() == 200 && !is_decided(&reply), "{reply:?}");
    let answer = decide(worker.check, &json!({"identity": "user:42", "path": "/healthz"})).await;
    assert_eq!((&answer["allowed"], &answer["source"]), (&json!(true), &json!("none")));
    assert_eq!(left(worker.check, PEER, "/").await, 10);
    for target in ["/Healthz", "/healthz/x", "/healthz/../v1", "/v1?/healthz", "/status", "/"] {
        assert!(is_decided(&get(worker.gateway, target).await), "{target}");
    }
    assert_eq!(left(worker.check, PEER, "/").await, 4);
}

#[tokio::test]
async fn aliases_and_the_names_for_scripts_are_written_where_they_are_asked_for() {
    let plain = get(worker("").await.gateway, "/").await;
    for field in ["x-ratelimit-limit-minute", "access-control-expose-headers"] {
        assert!(!plain.headers().contains_key(field), "{plain:?}");
    }
    let worker = worker("[headers]\naliases = true\nexpose = true\n").await;
    for _ in 0..11 {
        let reply = get(worker.gateway, "/").await;
        for (name, alias) in [
            ("x-ratelimit-limit", "x-ratelimit-limit-minute"),
            ("x-ratelimit-remaining", "x-ratelimit-remaining-minute"),
        ] {
            assert_eq!(number(&reply, name), number(&reply, alias));
        }
        let exposed = reply.headers()["access-control-expose-headers"].to_str().unwrap();
        let exposed: Vec<_> = exposed.split(", ").collect();
        let limits = reply.headers().keys().filter(|name| name.as_str().contains("ratelimit"));
        for name in limits.map(|name| name.as_str()).chain(["retry-after"]) {
            assert!(exposed.contains(&name), "{name}: {exposed:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_asks_for_a_problem_is_refused_with_one() {
    let worker = worker("").await;
    for _ in 0..10 {
        get(worker.gateway, "/").await;
    }
    let asked = [b"Accept: application/json, application/problem+json".as_slice()];
    for (listener, target) in [(worker.gateway, "/"), (worker.check, "/check/")] {
        let reply = send(listener, "GET", target, &asked, "").await;
        assert_eq!(reply.status(), 429);
        assert_eq!(reply.headers()["content-type"], "application/problem+json");
        assert_eq!(reply.headers()["cache-control"], "no-store");
        let problem: Value = serde_json::from_str(reply.body()).unwrap();
        let by = reply.headers()["x-ratelimit-limited-by"].to_str().unwrap();
        assert_eq!(
            problem,
            json!({
                "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
                "title": "Request cannot be satisfied as assigned quota has been exceeded",
                "status": 429,
                "detail": "You have exceeded your IP rate limit.",
                "retry_after": number(&reply, "retry-after"),
                "violated-policies": [by],
            })
        );
    }
    for accept in [&b"Accept: */*"[..], b"Accept: application/problem+json;q=0"] {
        let reply = send(worker.gateway, "GET", "/", &[accept], "").await;
        assert_eq!(reply.headers()["content-type"], "application/json");
        let body: Value = serde_json::from_str(reply.body()).unwrap();
        assert_eq!(body["status_code"], 429, "{body}");
    }
}
