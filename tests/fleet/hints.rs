//! The wait that a client is told: who waits so long is admitted, who comes before is not.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, header};
use redis::aio::MultiplexedConnection;
use transom_core::{Cost, Decision, Identity, Limiter, Limits, Policy, PolicyName, Request};
use transom_redis::{RedisLimiter, Script, Settings};
use transom_tests::checker::{Key, Told};
use transom_tests::fleet::{Ask, Client, Fleet, Setup};
use transom_tests::{RedisServer, clock};

const START_US: u64 = 1_800_000_000_000_000;
const HISTORIES: usize = 200;

/// The limiter on a clock that the test sets, and the clock.
struct Clocked {
    limiter: RedisLimiter,
    redis: MultiplexedConnection,
    now_us: u64,
}

impl Clocked {
    async fn admit(&self, request: &Request) -> Decision {
        self.limiter.admit(request).await.expect("the test's redis decides")
    }

    async fn set(&mut self, now_us: u64) {
        self.now_us = now_us;
        clock::set(now_us).exec_async(&mut self.redis).await.expect("the test's redis");
    }

    /// Makes a random history, as dense as the limits let through, up to a denial.
    async fn until_denied(&mut self, request: impl Fn(u64) -> Request) -> (Request, Decision) {
        loop {
            let asked = request(fastrand::u64(1..=4));
            let decision = self.admit(&asked).await;
            if !decision.allowed && fastrand::bool() {
                return (asked, decision);
            }
            let pause_us = fastrand::choice([0, 1, 1_000, 70_000, 999_999]).expect("five of them");
            self.set(self.now_us + pause_us).await;
        }
    }
}

/// Goal: the wait is exact to the microsecond, whatever the history, the cost and the window.
#[tokio::test]
async fn whoever_waits_exactly_as_told_is_admitted_and_nobody_before() {
    let server = RedisServer::start().await;
    let settings = Settings {
        deadline: Duration::from_secs(5),
        // The clock of a worker does not follow the test's.
        known_denials: false,
        ..Settings::new(&server.url)
    };
    let [admit, peek] = [Script::admit(), Script::peek()].map(|script| clock::replace(&script));
    let limiter = RedisLimiter::open_with(&settings, admit, peek).expect("settings that work");
    limiter.connected().await.expect("the test's redis answers");
    let mut clocked = Clocked { limiter, redis: server.connect().await, now_us: START_US };
    clocked.set(START_US).await;
    let mut by_minute = 0;
    for history in 0..HISTORIES {
        let identity = Identity::user(&history.to_string()).expect("a user's name");
        let limits = Limits { minute: fastrand::u32(4..30), second: fastrand::u32(4..8) };
        let policy = Arc::new(Policy::new(PolicyName::default(), limits));
        let request = |cost| {
            let cost = Cost::new(cost).expect("a cost in its bounds");
            Request::new(identity.clone(), Arc::clone(&policy), cost)
        };
        let (denied, decision) = clocked.until_denied(request).await;
        let wait_us = decision.retry_after_us.expect("a denial has a wait");
        by_minute += usize::from(wait_us > 1_000_000);
        for early_us in [1_000, 1] {
            clocked.set(decision.at_us + wait_us.saturating_sub(early_us)).await;
            let early = clocked.admit(&denied).await;
            assert!(!early.allowed, "{early_us} us before {wait_us}: {early:?}");
        }
        clocked.set(decision.at_us + wait_us).await;
        let due = clocked.admit(&denied).await;
        assert!(due.allowed, "after {wait_us} us of {decision:?}: {due:?}");
    }
    assert!((20..HISTORIES - 20).contains(&by_minute), "both windows deny: {by_minute}");
}

/// Goal: the same in real time. Method: a client polls through its wait; by the time stamps of
/// the decisions, all before the due time are denied and the first one after it is admitted.
#[tokio::test]
async fn a_client_that_polls_a_worker_is_admitted_as_soon_as_it_was_told_and_not_before() {
    let server = RedisServer::start().await;
    let fleet = Fleet::start(&Setup { workers: 1, redis_url: &server.url, ..Setup::default() });
    let client = Client::new(fleet.workers[0].check);
    let key =
        Key { identity: "user:42".parse().expect("an identity"), policy: PolicyName::default() };
    let ask = Ask { key, path: "/", cost: 1 };
    let next = async || -> Told {
        let answer = client.decide(&ask).await.expect("an answer of the worker");
        answer.told().expect("a decision")
    };
    for _ in 0..2 {
        assert!(next().await.allowed);
    }
    let denied = next().await;
    let wait_us = denied.retry_after_us.expect("a denial has a wait");
    assert!((1..=1_000_000).contains(&wait_us), "{wait_us}");
    let mut last_denied = denied.clone();
    let admitted = loop {
        let told = next().await;
        if told.allowed {
            break told;
        }
        last_denied = told;
    };
    // The wait is told in milliseconds, rounded up.
    let due_us = denied.at_us + wait_us;
    assert!(admitted.at_us > due_us - 1_000, "{} too early", due_us - admitted.at_us);
    assert!(last_denied.at_us < due_us, "{} too late", last_denied.at_us - due_us);
}

#[tokio::test]
async fn a_client_that_waits_for_retry_after_passes_the_gateway() {
    let server = RedisServer::start().await;
    let fleet = Fleet::start(&Setup { workers: 1, redis_url: &server.url, ..Setup::default() });
    let client = Client::new(fleet.workers[0].gateway);
    let get = async || client.send(Method::GET, "/", String::new()).await.expect("an answer");
    for round in 0..3 {
        let refused = loop {
            let answer = get().await;
            if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                break answer;
            }
            assert_eq!(answer.status(), StatusCode::OK, "the built-in echo");
        };
        let wait_s = refused.headers()[header::RETRY_AFTER].to_str().expect("digits");
        let wait_s: u64 = wait_s.parse().expect("whole seconds");
        assert_eq!(wait_s, 1, "the second window, rounded up");
        tokio::time::sleep(Duration::from_secs(wait_s)).await;
        assert_eq!(get().await.status(), StatusCode::OK, "round {round}");
    }
}
