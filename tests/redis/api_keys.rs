//! API keys: looked up once, remembered, and gone within a second of their revocation.

use std::time::{Duration, Instant};

use transom_redis::{Digest, RedisLimiter};
use transom_tests::RedisServer;

use crate::setup::{Setup, WITHIN, settings};

const KEY: &[u8] = b"tk_marked-secret-of-the-test";

#[tokio::test]
async fn a_known_key_costs_no_second_round_trip() {
    let mut setup = Setup::new().await;
    let keys = setup.limiter.api_keys();
    keys.add(Digest::of(KEY), "42", "test").await.unwrap();
    assert_eq!(keys.user_of(Digest::of(KEY), WITHIN).await.unwrap().as_deref(), Some("42"));
    let before = setup.calls(&["hget"]).await;
    for _ in 0..100 {
        assert_eq!(keys.user_of(Digest::of(KEY), WITHIN).await.unwrap().as_deref(), Some("42"));
    }
    let looked_up = setup.calls(&["hget"]).await - before;
    assert!(looked_up <= 1, "{looked_up} lookups of a known key");
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_another_worker_within_a_second() {
    let setup = Setup::new().await;
    let keys = setup.limiter.api_keys();
    let other = RedisLimiter::open(&settings(&setup.url)).unwrap().api_keys();
    let digest = Digest::of(KEY);
    keys.add(digest, "42", "test").await.unwrap();
    assert_eq!(other.user_of(digest, WITHIN).await.unwrap().as_deref(), Some("42"));

    assert!(keys.revoke(digest).await.unwrap());
    let revoked = Instant::now();
    while other.user_of(digest, WITHIN).await.unwrap().is_some() {
        assert!(revoked.elapsed() < Duration::from_secs(1), "still valid after a second");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!keys.revoke(digest).await.unwrap(), "there is no such key any more");
}

#[tokio::test]
async fn a_key_that_was_unknown_works_within_a_second_of_its_creation() {
    let setup = Setup::new().await;
    let keys = setup.limiter.api_keys();
    let other = RedisLimiter::open(&settings(&setup.url)).unwrap().api_keys();
    let digest = Digest::of(KEY);
    assert_eq!(other.user_of(digest, WITHIN).await.unwrap(), None);
    keys.add(digest, "42", "test").await.unwrap();
    let created = Instant::now();
    while other.user_of(digest, WITHIN).await.unwrap().is_none() {
        assert!(created.elapsed() < Duration::from_secs(1), "still unknown after a second");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_known_key_keeps_its_user_while_redis_is_gone_and_an_unknown_one_has_none() {
    let mut server = RedisServer::process(&[]).await;
    let keys = RedisLimiter::open(&settings(&server.url)).unwrap().api_keys();
    keys.add(Digest::of(KEY), "42", "test").await.unwrap();
    assert!(keys.user_of(Digest::of(KEY), WITHIN).await.unwrap().is_some());
    server.stop();
    assert_eq!(keys.user_of(Digest::of(KEY), WITHIN).await.unwrap().as_deref(), Some("42"));
    assert!(keys.user_of(Digest::of(b"another"), WITHIN).await.is_err());
}

#[tokio::test]
async fn redis_holds_the_digest_and_never_the_key() {
    let mut setup = Setup::new().await;
    setup.limiter.api_keys().add(Digest::of(KEY), "42", "test").await.unwrap();
    let names: Vec<String> = setup.ask(&["KEYS", "*"]).await;
    assert!(names.contains(&format!("transom:1:key:{}", Digest::of(KEY))), "{names:?}");
    let secret = String::from_utf8_lossy(KEY).into_owned();
    assert!(names.iter().all(|name| !name.contains(&secret)));
    for name in names.iter().filter(|name| name.contains(":key:")) {
        let fields: Vec<String> = setup.ask(&["HGETALL", name]).await;
        assert!(fields.iter().all(|field| !field.contains(&secret)));
    }
}

#[tokio::test]
async fn keys_are_listed_by_user_and_no_more_than_asked_for() {
    let setup = Setup::new().await;
    let keys = setup.limiter.api_keys();
    for n in 0..30_u32 {
        let user = format!("{}", n % 3);
        keys.add(Digest::of(&n.to_le_bytes()), &user, "test").await.unwrap();
    }
    let all = keys.list(None, 100).await.unwrap();
    assert_eq!(all.len(), 30);
    assert!(all.is_sorted_by_key(|one| (one.user.clone(), one.digest)), "{all:?}");
    assert_eq!(keys.list(None, 7).await.unwrap(), all[..7]);
    assert_eq!(keys.list(Some("2"), 100).await.unwrap(), all[20..]);
    assert_eq!(keys.list(Some("1"), 4).await.unwrap(), all[10..14]);
}
