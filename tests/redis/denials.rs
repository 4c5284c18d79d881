//! Denials that a worker knows: said again without asking, exactly, and never where a change may
//! have been missed.

mod changes;
mod deaf;

use std::time::{Duration, Instant};

use transom_core::{Decision, LimitedBy, Limiter, Operations, PenaltyRules, Request, Source};

use crate::setup::{Setup, request};

const CALLS: [&str; 1] = ["evalsha"];

/// A request until it is denied by Redis, and by what.
pub(crate) async fn until_denied(limiter: &impl Limiter, asked: &Request) -> Decision {
    loop {
        let decision = limiter.admit(asked).await.unwrap();
        if !decision.allowed {
            return decision;
        }
    }
}

/// A request that is denied until the worker knows it, and what it says then. A machine that held
/// the worker up makes it ask once more.
pub(crate) async fn until_known(limiter: &impl Limiter, asked: &Request) -> Decision {
    let started = Instant::now();
    loop {
        let decision = limiter.admit(asked).await.unwrap();
        if decision.source == Source::Cache {
            return decision;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "not known: {decision:?}");
    }
}

#[tokio::test]
async fn a_denial_is_said_again_without_a_call_until_a_second_has_passed() {
    let mut setup = Setup::knowing().await;
    let asked = request("a", 3, 3, 1);
    let told = until_denied(&setup.limiter, &asked).await;
    let (before, started) = (setup.calls(&CALLS).await, Instant::now());
    let mut cached = 0;
    while started.elapsed() < Duration::from_millis(2_500) {
        let again = setup.limiter.admit(&asked).await.unwrap();
        // By the second window until that is free, and then by the minute.
        assert_eq!((again.allowed, again.minute.used), (false, 3));
        let due_us = again.at_us + again.minute.wait_us;
        assert_eq!(due_us, told.at_us + told.minute.wait_us, "{again:?}");
        cached += u32::from(again.source == Source::Cache);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let calls = setup.calls(&CALLS).await - before;
    // Once a second; and when the second window changed, for each of its three units.
    assert!((2..=7).contains(&calls), "{calls} calls");
    assert!(cached > 100, "{cached} of the cache");
}

#[tokio::test]
async fn whoever_waits_as_long_as_the_cache_says_is_admitted() {
    let setup = Setup::knowing().await;
    let asked = request("a", 60, 1, 1);
    assert!(setup.limiter.admit(&asked).await.unwrap().allowed);
    for round in 0..5 {
        // What is known is not as old as the unit that denies.
        tokio::time::sleep(Duration::from_millis(200)).await;
        until_denied(&setup.limiter, &asked).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let known = until_known(&setup.limiter, &asked).await;
        tokio::time::sleep(Duration::from_micros(known.retry_after_us.unwrap())).await;
        assert!(setup.limiter.admit(&asked).await.unwrap().allowed, "round {round}");
    }
}

#[tokio::test]
async fn a_request_that_is_not_the_one_denied_is_asked() {
    let setup = Setup::knowing().await;
    let other = [
        ("a smaller cost", request("a", 3, 3, 0)),
        ("a greater cost", request("a", 3, 3, 2)),
        ("other limits", request("a", 4, 4, 1)),
        ("another identity", request("b", 3, 3, 1)),
    ];
    for (what, other) in other {
        until_denied(&setup.limiter, &request("a", 3, 3, 1)).await;
        let answer = setup.limiter.admit(&other).await.unwrap();
        assert_eq!(answer.source, Source::Redis, "{what}");
    }
    let peeked = setup.limiter.peek(&request("a", 3, 3, 1)).await.unwrap();
    assert_eq!((peeked.allowed, peeked.source), (false, Source::Redis));
}

/// Goal: what the cache denies counts as a strike like any other denial. Method: five denials are
/// borne; the first is reported with its request, and the others are the cache's.
#[tokio::test]
async fn denials_of_the_cache_are_strikes() {
    let setup = Setup::knowing().await;
    let rules = PenaltyRules {
        strikes: 5,
        within_us: 60_000_000,
        block_us: 30_000_000,
        max_us: 30_000_000,
        forget_us: 60_000_000,
    };
    let asked = Request { penalty: Some(rules), ..request("a", 1, 1, 1) };
    assert_eq!(until_denied(&setup.limiter, &asked).await.source, Source::Redis);
    for _ in 0..4 {
        let known = setup.limiter.admit(&asked).await.unwrap();
        assert_eq!((known.source, known.limited_by), (Source::Cache, LimitedBy::Minute));
    }
    let started = Instant::now();
    let strikes = async || setup.limiter.standing(&asked.identity).await.unwrap().1.penalty;
    while strikes().await.strikes < 5 {
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", strikes().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(strikes().await.block.is_none());
    // The next one to be reported is one too many.
    loop {
        let answer = setup.limiter.admit(&asked).await.unwrap();
        assert!(!answer.allowed);
        if answer.source == Source::Redis && answer.limited_by == LimitedBy::Penalty {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "no block: {answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let blocked = setup.limiter.admit(&asked).await.unwrap();
    assert_eq!(blocked.limited_by, LimitedBy::Penalty);
}
