//! Connections: they come back by themselves, soon, and without a stampede.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;
use transom_core::Limiter as _;
use transom_redis::RedisLimiter;
use transom_tests::chaos::{Mode, Way, Which};
use transom_tests::promises::Row;

use crate::cell::ALONE;
use crate::setup::{Setup, request};

/// The rows of this file.
pub(crate) const ROWS: &[&str] = &[
    "calm::fifty_workers_come_back_without_a_stampede",
    "calm::connections_that_are_dead_are_replaced_within_two_seconds",
];

const LIMITERS: usize = 50;
/// Two lanes, the one that carries what is no decision, and the one that listens for changes.
const CONNECTIONS_EACH: usize = 4;
/// The longest pause between two attempts is a quarter of a second, and chance takes up to a half
/// of it.
const SHORTEST_PAUSE: Duration = Duration::from_millis(125);
const AWAY: Duration = Duration::from_secs(4);
/// Until all have noticed, at the latest by the check of what is idle for a second, and pauses have
/// grown to their longest.
const GROWN: usize = 20;
/// Attempts of one connection in a tenth of a second, the first of them without a pause.
const AT_FIRST: usize = 3;

/// Goal: a Redis that is away, and one that comes back, is asked for connections evenly. Method:
/// fifty limiters, and a proxy that accepts and resets; accepts are counted in tenths of a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_workers_come_back_without_a_stampede() {
    let _alone = ALONE.lock().await;
    let setup = Setup::new().await;
    let deadline = Duration::from_secs(1);
    let limiters = join_all((0..LIMITERS).map(|_| setup.limiter(deadline))).await;
    let away = Instant::now();
    setup.proxy.set(Mode::Reset, Which::All).await;
    sleep(AWAY).await;
    setup.proxy.set(Mode::Pass, Which::All).await;
    let back = Instant::now();
    let tenths = setup.proxy.accepts_since(away);
    let all_back = async {
        for limiter in &limiters {
            decides(limiter, back, Duration::from_secs(1)).await;
        }
    };
    all_back.await;
    let recovery = back.elapsed();
    sleep(Duration::from_millis(500)).await;

    let connections = LIMITERS * CONNECTIONS_EACH;
    let grown = &tenths[GROWN..tenths.len() - 1];
    let (most, sum) = (grown.iter().max().copied().unwrap_or(0), grown.iter().sum::<usize>());
    let pauses = grown.len() * 100 / usize::try_from(SHORTEST_PAUSE.as_millis()).unwrap() + 1;
    let burst = tenths.iter().max().copied().unwrap_or(0);
    assert!(burst <= connections * AT_FIRST, "{burst} attempts in a tenth: {tenths:?}");
    assert!(sum <= connections * pauses, "more than one attempt in a pause: {tenths:?}");
    assert!(sum >= connections * grown.len() / 10, "they hardly tried: {tenths:?}");
    assert!(most * grown.len() <= sum * 3, "they knock in step: {tenths:?}");
    let again: usize = setup.proxy.accepts_since(back).iter().sum();
    assert!(again <= connections * 2, "{again} connections were made for {connections}");
    assert!(setup.proxy.open() <= connections, "{} are open", setup.proxy.open());
    Row {
        times: 1,
        decisions: LIMITERS as u64,
        recovery_ms: Some(recovery.as_millis().try_into().unwrap()),
        moved: vec![format!("{connections} connections, at most {most} attempts in 100 ms")],
        ..Row::new(ROWS[0])
    }
    .write();
}

/// Goal: a connection that leads nowhere is given up, whether it is asked or not. Method: what is
/// connected becomes a black hole, what connects anew does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_dead_are_replaced_within_two_seconds() {
    let _alone = ALONE.lock().await;
    let within = Duration::from_secs(2);
    let setup = Setup::new().await;
    let limiter = setup.limiter(Duration::from_millis(50)).await;
    decides(&limiter, Instant::now(), within).await;
    let dead = Instant::now();
    setup.proxy.set(Mode::BlackHole(Way::Both), Which::Open).await;
    let asked = request("dead", 1_000_000, 1_000_000);
    assert!(limiter.admit(&asked).await.is_err(), "a black hole does not answer");
    decides(&limiter, dead, within).await;
    let recovery = dead.elapsed();

    // The other lane has not been asked, or has; in two seconds it is replaced as well.
    sleep(within.saturating_sub(dead.elapsed())).await;
    setup.proxy.set(Mode::BlackHole(Way::Both), Which::Open).await;
    sleep(within + Duration::from_millis(200)).await;
    for _ in 0..50 {
        limiter.admit(&asked).await.expect("connections that nobody used are replaced too");
    }
    Row {
        times: 2,
        decisions: 50,
        recovery_ms: Some(recovery.as_millis().try_into().unwrap()),
        moved: vec![format!(
            "{} connections were made",
            setup.proxy.accepts_since(dead).iter().sum::<usize>()
        )],
        ..Row::new(ROWS[1])
    }
    .write();
}

/// Waits for a decision, for so long at most.
async fn decides(limiter: &RedisLimiter, since: Instant, within: Duration) {
    let asked = request("again", 1_000_000, 1_000_000);
    while let Err(reason) = limiter.admit(&asked).await {
        assert!(since.elapsed() < within, "after {within:?}: {reason}");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(since.elapsed() < within, "the first decision came after {:?}", since.elapsed());
}
