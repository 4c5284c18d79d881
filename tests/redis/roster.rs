//! The roster: every worker knows how many live.

use std::time::{Duration, Instant};

use transom_core::Share;
use transom_redis::RedisLimiter;

use crate::setup::{Setup, settings};

async fn comes_to(share: &Share, workers: u32) {
    let started = Instant::now();
    while share.workers() != workers {
        let counted = share.workers();
        assert!(started.elapsed() < Duration::from_secs(10), "{counted} counted, not {workers}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn workers_count_each_other_and_forget_who_left_or_fell_silent() {
    let mut setup = Setup::new().await;
    let limiters: Vec<_> =
        (0..3).map(|_| RedisLimiter::open(&settings(&setup.url)).unwrap()).collect();
    let shares: Vec<_> = (0..3).map(|_| Share::of(1)).collect();
    let mut joined = Vec::new();
    for (limiter, share) in limiters.iter().zip(&shares) {
        let (limiter, share) = (limiter.clone(), share.clone());
        joined.push(tokio::spawn(async move { limiter.join(share).await }));
    }
    comes_to(&shares[0], 3).await;
    let ttl_ms: i64 = setup.ask(&["PTTL", "transom:1:workers"]).await;
    assert!((1..=10_000).contains(&ttl_ms), "{ttl_ms}");

    // One leaves, one falls silent: both are gone for the one that stays.
    joined[1].abort();
    limiters[1].leave().await;
    comes_to(&shares[0], 2).await;
    joined[2].abort();
    comes_to(&shares[0], 1).await;
}
