//! The listener as its callers see it, without a socket.

mod decide;
mod forward_auth;
mod outage;
mod refusals;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use tower::ServiceExt as _;
use transom_core::body::Messages;
use transom_core::{Gate, Identity, Limits, Mode, OnFailure, PathPattern, Policies, Policy};
use transom_core::{PolicyName, headers};
use transom_local::LocalLimiter;
use transom_redis::{Digest, RedisLimiter, Settings};

use crate::backend::Backend;
use crate::front::{Front, SharedFront};
use crate::gateway::{Upstream, UpstreamSettings};
use crate::identity::{Exempt, Identities};

/// A trusted proxy.
pub(super) const PROXY: &str = "10.0.0.1:4711";

/// A policy of this name for a path.
pub(crate) fn policy(name: &str, path: &str, minute: u32, second: u32) -> Policy {
    let mut policy = Policy::new(PolicyName::new(name).unwrap(), Limits { minute, second });
    policy.path = Some(PathPattern::parse(path).unwrap());
    policy
}

/// The policies of these tests. `default` takes 60 and 2.
pub(super) fn policies() -> Vec<Policy> {
    let mut search = policy("search", "/v1/search/{*rest}", 30, 1);
    search.methods = vec![Method::GET];
    let mut shop = policy("shop", "/", 9, 9);
    shop.path = None;
    shop.host = Some("shop.example".to_owned());
    let mut trial = policy("trial", "/trial", 1, 1);
    trial.mode = Mode::Shadow;
    let mut off = policy("off", "/off", 1, 1);
    off.mode = Mode::Off;
    let wide = policy("wide", "/wide", 1_000, 1_000);
    let once = policy("once", "/once", 1, 1);
    let closed = policy("closed", "/closed", 30, 0);
    let mut allow = policy("allow", "/allow", 5, 5);
    allow.on_failure = OnFailure::Allow;
    let mut deny = policy("deny", "/deny", 5, 5);
    deny.on_failure = OnFailure::Deny;
    vec![search, shop, trial, off, wide, once, closed, allow, deny]
}

/// A front with these policies; 192.0.2.0/24 is exempt, `k1` is a key of user 42.
pub(crate) fn front(policies: Vec<Policy>, backend: Backend) -> SharedFront {
    let exempt = Exempt { identities: Vec::new(), networks: vec!["192.0.2.0/24".parse().unwrap()] };
    let header = HeaderName::from_static("x-forwarded-for");
    let key = (Digest::of(b"k1"), Identity::user("42").unwrap());
    let front = Front {
        warnings: Vec::new(),
        admin_token: None,
        ready_while_degraded: true,
        reporter: std::sync::Arc::default(),
        gate: Gate::new(Policies::new(policies).unwrap(), Mode::Enforce, backend),
        identities: Identities::new(vec!["10.0.0.0/8".parse().unwrap()], header, 64, exempt)
            .with_static_keys([key].into()),
        exempt: crate::exempt::ExemptRequests::default(),
        style: headers::Style::default(),
        messages: Messages::default(),
        deadline: std::time::Duration::from_secs(5),
        upstream: Arc::new(Upstream::new(&UpstreamSettings::default()).unwrap()),
    };
    Arc::new(ArcSwap::from_pointee(front))
}

/// A limiter in process.
pub(crate) fn local() -> Backend {
    Backend::Local(Arc::new(LocalLimiter::default()))
}

/// A Redis that is not there, with a limiter in process behind it.
pub(crate) fn lost_redis() -> Backend {
    let redis = RedisLimiter::open(&Settings::new("redis://127.0.0.1:1")).unwrap();
    let share = transom_core::Share::of(1);
    Backend::Redis(Arc::new(transom_core::Fallback::new(redis, LocalLimiter::default(), share)))
}

/// The listener on a limiter in process.
pub(super) fn listener() -> Router {
    super::router(front(policies(), local()))
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Sends a request from [`PROXY`].
pub(crate) async fn send(
    router: &Router,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Got {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, value.as_bytes());
    }
    let peer: SocketAddr = PROXY.parse().unwrap();
    let request = request.extension(ConnectInfo(peer)).body(body.into()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.into()).unwrap();
    Got { status: parts.status, headers: parts.headers, body }
}

/// Asks `/v1/decide`.
pub(super) async fn decide(router: &Router, body: &str) -> Got {
    send(router, "POST", "/v1/decide", &[], body.to_owned()).await
}
