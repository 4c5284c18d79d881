//! What clients meet at a proxy whose worker has no Redis, is slow or is gone, or whose API is.

use transom_tests::RedisServer;

use super::api::Api;
use super::proxies::{Proxy, nginx};
use super::{CONFIG, Stand, one};
use crate::client::{Reply, get, is_decided};
use crate::process::Worker;
use crate::upstream::ClosedPort;

/// What a worker answers by itself, and a proxy for it.
fn is_unavailable(reply: &Reply) {
    assert_eq!(reply.status(), 503, "{reply:?}");
    let body = concat!(
        r#"{"message":"The rate limiter is unavailable. Try again shortly.","#,
        r#""status_code":503,"retry_after":1}"#
    );
    assert_eq!(reply.body(), body);
    assert_eq!(one(reply, "retry-after"), "1");
    assert_eq!(one(reply, "content-type"), "application/json");
    assert!(!is_decided(reply), "{reply:?}");
}

#[tokio::test]
async fn without_redis_a_policy_holds() {
    let api = Api::start().await;
    let closed = ClosedPort::new();
    let url = format!("redis://{}", closed.address);
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &url)]).await;
    for proxy in Proxy::ALL {
        let before = api.requests();
        let proxy = proxy.start(worker.check, api.address).await;
        is_unavailable(&get(proxy.address, "/deny").await);
        assert_eq!(api.requests(), before);
        let allowed = get(proxy.address, "/allow").await;
        assert_eq!((allowed.status().as_u16(), is_decided(&allowed)), (200, false), "{allowed:?}");
        assert_eq!(one(&allowed, "x-ratelimit-degraded"), "unreachable");
        let local = get(proxy.address, "/").await;
        assert!(local.status() == 200 && is_decided(&local), "{local:?}");
        assert_eq!(one(&local, "x-ratelimit-degraded"), "unreachable");
    }
}

/// Goal: nothing passes undecided, and nobody waits for long; when the worker is back, all is well.
#[tokio::test]
async fn without_a_worker_nothing_passes_until_it_is_back() {
    for proxy in Proxy::ALL {
        let mut stand = Stand::of(proxy).await;
        let address = stand.proxy.address;
        assert_eq!(get(address, "/allow").await.status(), 200);
        let before = stand.api.requests();
        stand.worker.process.signal("STOP");
        is_unavailable(&get(address, "/allow").await);
        stand.worker.process.signal("KILL");
        stand.worker.process.end().await;
        for _ in 0..3 {
            is_unavailable(&get(address, "/allow").await);
        }
        assert_eq!(stand.api.requests(), before, "{proxy:?}");
        let check = stand.worker.check.to_string();
        let url = stand.redis.url.as_str();
        let variables = [("TRANSOM__REDIS__URL", url), ("TRANSOM__LISTEN__CHECK", check.as_str())];
        stand.worker = Worker::with(CONFIG, &variables).await;
        let reply = get(address, "/allow").await;
        assert!(reply.status() == 200 && is_decided(&reply), "{proxy:?} {reply:?}");
    }
}

#[tokio::test]
async fn an_api_that_is_gone_is_no_worker_that_is_gone() {
    let redis = RedisServer::start().await;
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &redis.url)]).await;
    let closed = ClosedPort::new();
    for proxy in Proxy::ALL {
        let proxy = proxy.start(worker.check, closed.address).await;
        let reply = get(proxy.address, "/").await;
        assert_eq!(reply.status(), 502, "{reply:?}");
        assert!(is_decided(&reply), "{reply:?}");
        assert!(!reply.body().contains("rate limiter"), "{reply:?}");
    }
}

#[tokio::test]
async fn nginx_asks_another_worker_where_one_cannot_be_reached() {
    let (redis, api) = (RedisServer::start().await, Api::start().await);
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &redis.url)]).await;
    let closed = ClosedPort::new();
    let proxy = nginx(&[closed.address, worker.check], api.address).await;
    for _ in 0..20 {
        let reply = get(proxy.address, "/").await;
        assert!(reply.status() == 200 && is_decided(&reply), "{reply:?}");
    }
}

#[tokio::test]
async fn nobody_but_nginx_reaches_the_question() {
    let stand = Stand::of(Proxy::Nginx).await;
    let reply = get(stand.proxy.address, "/.transom").await;
    assert_eq!((reply.status().as_u16(), stand.api.requests()), (404, 0), "{reply:?}");
    assert!(stand.charged().await.is_empty());
}
