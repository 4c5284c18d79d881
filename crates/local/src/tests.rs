use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use transom_core::{Cost, Limits, Policies, Policy};

use super::*;

mod stand_in;

#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Hand {
    fn set(&self, now_us: u64) {
        self.0.store(now_us, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now_us(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn policy() -> Arc<Policy> {
    Arc::clone(Policies::new(vec![]).unwrap().default_policy())
}

fn request(user: &str) -> Request {
    Request::new(Identity::user(user).unwrap(), policy(), Cost::ONE)
}

fn by_hand(max_identities: usize) -> (LocalLimiter<Arc<Hand>>, Arc<Hand>) {
    let hand = Arc::new(Hand::default());
    hand.set(1_800_000_000_000_000);
    (LocalLimiter::with_clock(max_identities, Arc::clone(&hand)), hand)
}

#[tokio::test]
async fn the_third_request_within_a_second_is_denied_and_another_key_is_not() {
    let (limiter, _) = by_hand(100);
    for expected in [true, true, false] {
        assert_eq!(limiter.admit(&request("a")).await.unwrap().allowed, expected);
    }
    assert!(limiter.admit(&request("b")).await.unwrap().allowed);
}

#[tokio::test]
async fn a_reset_frees_one_key_alone() {
    let (limiter, _) = by_hand(100);
    let (a, b) = (request("a"), request("b"));
    for asked in [&a, &a, &b, &b] {
        limiter.admit(asked).await.unwrap();
    }
    limiter.reset(&a.identity, &a.policy.name).await.unwrap();
    assert!(limiter.admit(&a).await.unwrap().allowed);
    assert!(!limiter.admit(&b).await.unwrap().allowed);
}

#[tokio::test]
async fn a_peek_makes_no_entry() {
    let (limiter, _) = by_hand(100);
    assert!(limiter.peek(&request("a")).await.unwrap().allowed);
    assert!(limiter.is_empty());
}

#[tokio::test]
async fn memory_is_bounded_and_an_active_key_is_never_forgotten() {
    let (limiter, hand) = by_hand(640);
    let first = request("first");
    limiter.admit(&first).await.unwrap();
    limiter.admit(&first).await.unwrap();
    let mut refused = 0;
    for n in 0..5_000 {
        match limiter.admit(&request(&format!("flood-{n}"))).await {
            Ok(decision) => assert!(decision.allowed),
            Err(Unavailable::Full) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(limiter.len() <= 640, "{} held", limiter.len());
    assert!(refused >= 5_000 - 640);
    assert!(!limiter.admit(&first).await.unwrap().allowed, "the first key was forgotten");

    hand.set(hand.now_us() + 60_000_000);
    assert!(limiter.admit(&request("late")).await.unwrap().allowed, "idle keys make room");
}

#[tokio::test]
async fn idle_keys_are_dropped_while_new_ones_come() {
    let (limiter, hand) = by_hand(1_000_000);
    for n in 0..200_000u64 {
        hand.set(1_800_000_000_000_000 + n * 60_000);
        limiter.admit(&request(&format!("user-{n}"))).await.unwrap();
    }
    assert!(limiter.len() < 20_000, "1,000 keys are active, {} held", limiter.len());
}

#[test]
fn many_threads_never_admit_more_than_the_limit() {
    let limiter = LocalLimiter::default();
    let wide = Arc::new(Policy {
        limits: Limits { minute: 1_000, second: 1_000 },
        ..Policy::clone(&policy())
    });
    let request = Request::new(Identity::user("hot").unwrap(), wide, Cost::ONE);
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    if limiter.admit_now(&request).unwrap().allowed {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 1_000, "8,000 asked within the minute");
}

#[test]
fn the_systems_clock_never_steps_back() {
    let clock = SystemClock::default();
    let mut last_us = 0;
    for _ in 0..10_000 {
        let now_us = clock.now_us();
        assert!(now_us >= last_us);
        last_us = now_us;
    }
}
