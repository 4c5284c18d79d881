//! A newcomer's first minute: no file, no Redis, nothing set but the ports.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{decide, get, is_decided, left, number, send};
use crate::process::Worker;

/// Ten a minute, so that the second does not matter.
const TEN: &str = r#"
[[policy]]
name = "default"
minute = 10
second = 10
"#;

const NOTHING: &str = r#"
[[policy]]
name = "default"
minute = 0
second = 0
"#;

/// The URL of the `curl` that a banner prints.
fn printed_url(worker: &Worker) -> &str {
    let last = worker.banner.trim_end().lines().next_back().expect("a line");
    last.strip_prefix("  curl -i http://").unwrap_or_else(|| panic!("no curl: {last}"))
}

/// What `curl -i` sends.
const CURL: [&[u8]; 2] = [b"User-Agent: curl/8.5.0", b"Accept: */*"];

#[tokio::test]
async fn the_printed_curl_gets_200_200_and_429_within_a_second() {
    let worker = Worker::by_default().await;
    let (authority, path) = printed_url(&worker).split_once('/').unwrap();
    let address = authority.parse().unwrap();
    let target = format!("/{path}");
    let started = Instant::now();
    let mut replies = Vec::new();
    for _ in 0..3 {
        replies.push(send(address, "GET", &target, &CURL, "").await);
    }
    assert!(started.elapsed() < Duration::from_secs(1), "this machine is too slow for the test");

    for (reply, [status, remaining, remaining_second, reset], limited_by) in [
        (&replies[0], [200, 59, 1, 60], "minute"),
        (&replies[1], [200, 58, 0, 1], "second"),
        (&replies[2], [429, 58, 0, 1], "second"),
    ] {
        assert_eq!(u64::from(reply.status().as_u16()), status, "{reply:?}");
        assert_eq!(number(reply, "x-ratelimit-limit"), 60);
        assert_eq!(number(reply, "x-ratelimit-remaining"), remaining);
        assert_eq!(number(reply, "x-ratelimit-limit-second"), 2);
        assert_eq!(number(reply, "x-ratelimit-remaining-second"), remaining_second);
        assert_eq!(number(reply, "x-ratelimit-reset"), reset);
        assert_eq!(reply.headers()["x-ratelimit-limited-by"], limited_by);
        assert!(!reply.headers().contains_key("x-ratelimit-degraded"));
        assert_eq!(reply.headers()["content-type"], "application/json");
    }
    let echo: Value = serde_json::from_str(replies[0].body()).unwrap();
    assert_eq!((&echo["method"], &echo["path"]), (&json!("GET"), &json!(target)));
    assert!(!replies[1].headers().contains_key("retry-after"));
    assert_eq!(replies[2].headers()["retry-after"], "1");
    assert_eq!(replies[2].headers()["cache-control"], "no-store");
    assert_eq!(
        replies[2].body(),
        r#"{"message":"You have exceeded your IP rate limit.","status_code":429,"retry_after":1}"#
    );
}

#[tokio::test]
async fn the_banner_says_where_a_worker_listens_and_what_is_in_force() {
    let search =
        "[[policy]]\nname = \"search\"\npath = \"/v1/search/{*rest}\"\nminute = 30\nsecond = 1\n";
    let worker = Worker::start(&format!("{TEN}{search}")).await;
    for (address, path) in
        [(worker.gateway, "/"), (worker.check, "/check"), (worker.admin, "/healthz")]
    {
        assert_eq!(get(address, path).await.status(), 200, "{path}");
        assert_eq!(worker.banner.matches(&format!("http://{address}  ")).count(), 1);
    }
    let row = |name: &str| {
        let row = worker.banner.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        row.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let search = ["search", "any", "any", "/v1/search/{*rest}", "30", "1", "1", "enforce", "local"];
    assert_eq!(row("search "), search);
    assert_eq!(
        row("default "),
        ["default", "any", "any", "any", "10", "10", "1", "enforce", "local"]
    );
    assert_eq!(row("limiter ")[1..3], ["in", "process,"], "{}", worker.banner);
    assert_eq!(printed_url(&worker), format!("{}/v1/people", worker.gateway));
}

/// Goal: whichever listener is asked, a caller has one pair of windows.
#[tokio::test]
async fn gateway_check_and_decide_charge_one_caller_once_each() {
    let worker = Worker::start(TEN).await;
    let asked = json!({"identity": "ip:127.0.0.1", "path": "/v1/people"});
    let nginx: [&[u8]; 2] = [b"X-Original-Method: GET", b"X-Original-URI: /v1/people?x=1"];

    let mut remaining = vec![
        number(&get(worker.gateway, "/v1/people").await, "x-ratelimit-remaining"),
        number(&get(worker.check, "/check/v1/people").await, "x-ratelimit-remaining"),
    ];
    let reply = send(worker.check, "GET", "/check?profile=nginx", &nginx, "").await;
    remaining.push(number(&reply, "x-ratelimit-remaining"));
    for asked in
        [asked.clone(), json!({"identity": "ip:::ffff:127.0.0.1", "path": "/v1/people", "cost": 2})]
    {
        let answer = decide(worker.check, &asked).await;
        assert_eq!((&answer["identity"], &answer["source"]), (&asked_for(), &json!("local")));
        remaining.push(answer["minute"]["remaining"].as_u64().unwrap());
    }
    assert_eq!(left(worker.check, "ip:127.0.0.1", "/v1/people").await, 4, "a peek is free");
    remaining.push(number(&get(worker.gateway, "/v1/people").await, "x-ratelimit-remaining"));
    assert_eq!(remaining, [9, 8, 7, 6, 4, 3]);

    let batch = decide(worker.check, &json!({"requests": [asked, asked, asked, asked]})).await;
    let allowed: Vec<_> = (0..4).map(|item| batch["results"][item]["allowed"].clone()).collect();
    assert_eq!(allowed, [true, true, true, false], "{batch}");
    for (address, path) in [(worker.gateway, "/v1/people"), (worker.check, "/check/v1/people")] {
        let reply = get(address, path).await;
        assert_eq!((reply.status().as_u16(), number(&reply, "x-ratelimit-remaining")), (429, 0));
    }
    let reply = send(worker.check, "GET", "/check?profile=nginx", &nginx, "").await;
    assert_eq!((reply.status().as_u16(), number(&reply, "x-ratelimit-status")), (403, 429));
}

fn asked_for() -> Value {
    json!("ip:127.0.0.1")
}

#[tokio::test]
async fn head_is_limited_as_get_and_has_no_body() {
    let worker = Worker::start(TEN).await;
    for remaining in (0..10).rev() {
        let method = if remaining % 2 == 0 { "HEAD" } else { "GET" };
        let reply = send(worker.gateway, method, "/v1/people", &[], "").await;
        assert_eq!(reply.status(), 200);
        assert_eq!(number(&reply, "x-ratelimit-remaining"), remaining);
        assert_eq!(reply.body().is_empty(), method == "HEAD");
    }
    let denied = send(worker.gateway, "HEAD", "/v1/people", &[], "").await;
    assert_eq!((denied.status().as_u16(), denied.body().as_str()), (429, ""));
    assert!(is_decided(&denied));
    assert!((1..=60).contains(&number(&denied, "retry-after")));
}

#[tokio::test]
async fn health_and_readiness_are_told_in_json_and_never_limited() {
    let worker = Worker::start(NOTHING).await;
    assert_eq!(get(worker.gateway, "/healthz").await.status(), 429, "nothing passes here");
    for _ in 0..20 {
        let [health, ready] =
            [get(worker.admin, "/healthz").await, get(worker.admin, "/readyz").await];
        assert_eq!((health.status().as_u16(), health.body().as_str()), (200, r#"{"alive":true}"#));
        assert_eq!(ready.status(), 200);
        assert_eq!(ready.body(), r#"{"ready":true,"store":"local"}"#);
        assert!(!is_decided(&health) && !is_decided(&ready));
    }
    let missing = get(worker.admin, "/nothing").await;
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.headers()["content-type"], "application/json");
    assert_eq!(send(worker.admin, "POST", "/healthz", &[], "").await.status(), 405);
}
