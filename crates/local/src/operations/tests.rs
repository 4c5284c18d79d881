use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use transom_core::{Cost, LimitedBy, Limiter, PenaltyRules, Policy, Request};

use super::*;

const START_US: u64 = 1_800_000_000_000_000;
const SECOND_US: u64 = 1_000_000;

#[derive(Debug)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_us(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

fn limiter() -> (LocalLimiter<Arc<Hand>>, Arc<Hand>) {
    let hand = Arc::new(Hand(AtomicU64::new(START_US)));
    (LocalLimiter::with_clock(64_000, Arc::clone(&hand)), hand)
}

fn user(name: &str) -> Identity {
    Identity::user(name).unwrap()
}

fn request(name: &str, second: u32) -> Request {
    let limits = Limits { minute: 60, second };
    let policy = Arc::new(Policy::new(PolicyName::default(), limits));
    Request::new(user(name), policy, Cost::ONE)
}

fn denied(name: &str, denials: u64) -> Denied {
    Denied { identity: user(name), denials }
}

#[tokio::test]
async fn an_override_and_a_block_hold_for_the_next_request_and_end_by_themselves() {
    let (limiter, hand) = limiter();
    let (asked, note) = (request("42", 0), Note::default());
    let a_while = Some(Duration::from_secs(5));
    assert!(!limiter.admit(&asked).await.unwrap().allowed);
    let limits = Limits { minute: 9, second: 9 };
    limiter.set_override(&user("42"), &Scope::All, limits, a_while, &note).await.unwrap();
    assert_eq!(limiter.admit(&asked).await.unwrap().second.limit, 9);
    limiter.block(&user("42"), a_while, &note).await.unwrap();
    let blocked = limiter.admit(&asked).await.unwrap();
    assert_eq!(blocked.limited_by, LimitedBy::Penalty);
    assert_eq!(blocked.retry_after_us, Some(5 * SECOND_US));
    assert!(limiter.admit(&request("43", 1)).await.unwrap().allowed, "nobody else is");
    assert_eq!(limiter.standings(Held::Block, 9).await.unwrap().held.len(), 1);

    hand.0.fetch_add(5 * SECOND_US, Ordering::SeqCst);
    assert_eq!(limiter.admit(&asked).await.unwrap().limited_by, LimitedBy::Second);
    assert!(limiter.standings(Held::Override, 9).await.unwrap().held.is_empty());
    assert!(!limiter.delete_override(&user("42"), &Scope::All).await.unwrap());
    assert!(!limiter.unblock(&user("42")).await.unwrap());
}

#[tokio::test]
async fn strikes_are_kept_within_bounds() {
    let (limiter, hand) = limiter();
    let rules = PenaltyRules {
        strikes: 1,
        within_us: SECOND_US,
        block_us: SECOND_US,
        max_us: SECOND_US,
        forget_us: 2 * SECOND_US,
    };
    let strike = async |name: String| {
        let request = Request { penalty: Some(rules), ..request(&name, 0) };
        limiter.admit(&request).await
    };
    for n in 0..600 {
        strike(n.to_string()).await.unwrap();
    }
    assert_eq!(limiter.standings.len(), 600);
    hand.0.fetch_add(120 * SECOND_US, Ordering::SeqCst);
    for n in 600..2_000 {
        strike(n.to_string()).await.unwrap();
    }
    assert!(limiter.standings.len() < 1_500, "what is forgotten goes as more comes");
    assert_eq!(strike("900".into()).await.unwrap().limited_by, LimitedBy::Penalty);
}

#[tokio::test]
async fn counts_stand_in_their_buckets_and_old_ones_go() {
    let (limiter, hand) = limiter();
    let counts = Counts { admitted: 1, ..Counts::default() };
    for _ in 0..3 {
        limiter.report(&counts, &[]).await.unwrap();
    }
    hand.0.fetch_add(10 * SECOND_US, Ordering::SeqCst);
    limiter.report(&counts, &[]).await.unwrap();
    let buckets = limiter.traffic().await.unwrap().buckets;
    let admitted: Vec<_> = buckets.iter().map(|bucket| bucket.counts.admitted).collect();
    assert_eq!(admitted, [3, 1]);
    assert_eq!(buckets[1].at_s - buckets[0].at_s, Traffic::BUCKET_S);
    for _ in 0..2 * Traffic::BUCKETS {
        hand.0.fetch_add(10 * SECOND_US, Ordering::SeqCst);
        limiter.report(&counts, &[]).await.unwrap();
    }
    let kept = limiter.traffic().await.unwrap().buckets.len();
    assert_eq!(u64::try_from(kept), Ok(Traffic::BUCKETS));
}

#[tokio::test]
async fn the_most_denied_are_those_of_this_span_and_the_one_before() {
    let (limiter, hand) = limiter();
    let none = Counts::default();
    limiter.report(&none, &[denied("a", 2), denied("b", 3)]).await.unwrap();
    hand.0.fetch_add(Traffic::SPAN_S * SECOND_US, Ordering::SeqCst);
    limiter.report(&none, &[denied("a", 2)]).await.unwrap();
    assert_eq!(limiter.denied(9).await.unwrap(), [denied("a", 4), denied("b", 3)]);
    hand.0.fetch_add(Traffic::SPAN_S * SECOND_US, Ordering::SeqCst);
    assert_eq!(limiter.denied(9).await.unwrap(), [denied("a", 2)]);
    hand.0.fetch_add(2 * Traffic::SPAN_S * SECOND_US, Ordering::SeqCst);
    assert_eq!(limiter.denied(9).await.unwrap(), []);

    let many: Vec<_> = (0..3_000).map(|n| denied(&n.to_string(), n)).collect();
    limiter.report(&none, &many).await.unwrap();
    let kept = limiter.denied(9_999).await.unwrap();
    assert_eq!(kept.len(), Traffic::DENIED_MAX);
    assert_eq!(kept[0], denied("2999", 2_999));
}

#[tokio::test]
async fn changes_are_kept_newest_first() {
    let (limiter, _) = limiter();
    for action in ["one", "two"] {
        let change = Change { action: action.into(), ..Change::default() };
        limiter.record(&change).await.unwrap();
    }
    let changes = limiter.changes(9).await.unwrap();
    let actions: Vec<_> = changes.iter().map(|change| change.action.as_str()).collect();
    assert_eq!(actions, ["two", "one"]);
    assert_eq!(changes[0].at_ms, START_US / 1_000);
}
