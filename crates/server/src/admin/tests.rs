use std::time::Duration;

use super::*;
use crate::backend::Backend;
use crate::check::tests::{front, local, lost_redis, send};

pub(super) fn admin(front: SharedFront, draining: CancellationToken) -> Admin {
    let operator = Operator::new(Arc::clone(&front), None);
    Admin::new(front, operator, crate::reload::ConfigStatus::shared_at_start(), draining)
}

async fn readyz(backend: Backend, draining: bool) -> (u16, String) {
    let token = CancellationToken::new();
    if draining {
        token.cancel();
    }
    let got =
        send(&router(admin(front(Vec::new(), backend), token)), "GET", "/readyz", &[], "").await;
    (got.status.as_u16(), got.body)
}

#[tokio::test]
async fn a_worker_without_redis_is_ready_in_process() {
    assert_eq!(readyz(local(), false).await, (200, r#"{"ready":true,"store":"local"}"#.into()));
}

#[tokio::test]
async fn a_worker_that_has_lost_redis_is_ready_and_says_so() {
    let body = concat!(
        r#"{"ready":true,"store":"redis","redis":{"connected":false},"#,
        r#""degraded":"unreachable"}"#
    );
    assert_eq!(readyz(lost_redis(), false).await, (200, body.into()));
}

#[tokio::test]
async fn a_worker_that_drains_is_alive_and_not_ready() {
    let body = r#"{"ready":false,"store":"local","draining":true}"#;
    assert_eq!(readyz(local(), true).await, (503, body.into()));
    let token = CancellationToken::new();
    token.cancel();
    let listener = router(admin(front(Vec::new(), local()), token));
    let got = send(&listener, "GET", "/healthz", &[], "").await;
    assert_eq!((got.status.as_u16(), got.body.as_str()), (200, r#"{"alive":true}"#));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_json() {
    let listener = router(admin(front(Vec::new(), local()), CancellationToken::new()));
    let got = send(&listener, "GET", "/metricks", &[], "").await;
    let body = r#"{"message":"there is nothing at this path","status_code":404}"#;
    assert_eq!((got.status.as_u16(), got.body.as_str()), (404, body));
    let got = send(&listener, "POST", "/readyz", &[], "").await;
    assert_eq!((got.status.as_u16(), got.header("allow")), (405, Some("GET,HEAD")));
}

#[tokio::test]
async fn metrics_are_served_as_prometheus_reads_them() {
    let front = front(Vec::new(), lost_redis());
    telemetry::metrics::start(front.load().gate.policies(), Duration::from_millis(50));
    let got =
        send(&router(admin(front, CancellationToken::new())), "GET", "/metrics", &[], "").await;
    let content_type = Some("text/plain; version=0.0.4; charset=utf-8");
    assert_eq!((got.status.as_u16(), got.header("content-type")), (200, content_type));
    for line in ["transom_redis_waiting 0", "# TYPE transom_decision_duration_seconds histogram"] {
        assert!(got.body.lines().any(|served| served == line), "{line}: {}", got.body);
    }
}
