//! What Redis keeps is bounded, goes by itself, and what it cannot keep is said.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;
use transom_core::{Limiter as _, Unavailable, Window};
use transom_redis::RedisLimiter;
use transom_tests::fleet::long;
use transom_tests::promises::Row;
use transom_tests::windows::Windows;

use crate::cell::ALONE;
use crate::setup::{PREFIX, Setup, info, request};
use crate::stage::{address, tell};

/// The rows of this file.
pub(crate) const ROWS: &[&str] = &[
    "memory::a_flood_of_denials_writes_nothing",
    "memory::a_flood_of_identities_leaves_nothing_behind",
    "memory::a_full_server_says_so_and_does_not_grow",
];

const DEADLINE: Duration = Duration::from_secs(5);
/// Asked at a time.
const AT_ONCE: usize = 64;
/// What a server may need beyond its bound: buffers of clients, and what it counts late.
const SMALL: u64 = 2 << 20;

/// Goal: whoever is denied costs no memory and no replication. Method: the number of changes that
/// Redis counts for its snapshots, and of each command that writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_denials_writes_nothing() {
    let _alone = ALONE.lock().await;
    let setup = Setup::new().await;
    let limiter = setup.limiter(DEADLINE).await;
    let asked = request("flood", 1, 1);
    assert!(limiter.admit(&asked).await.expect("a decision").allowed);
    let mut redis = setup.server.connect().await;
    const CHANGES: &str = "rdb_changes_since_last_save";
    let before = info(&mut redis, CHANGES).await;
    let adds = info(&mut redis, "cmdstat_zadd").await;
    let denials = if long() { 200_000 } else { 5_000 };
    for _ in 0..denials / AT_ONCE {
        for decision in join_all((0..AT_ONCE).map(|_| limiter.admit(&asked))).await {
            assert!(!decision.expect("a decision").allowed);
        }
    }
    assert_eq!(info(&mut redis, CHANGES).await, before, "a denial has written");
    assert_eq!(info(&mut redis, "cmdstat_zadd").await, adds);
    assert!(adds > 0 && before > 0, "an admission writes");
    Row {
        times: 1,
        decisions: denials as u64,
        moved: vec![format!("{CHANGES} stays at {before}")],
        ..Row::new(ROWS[0])
    }
    .write();
}

/// Admits so many identities once each.
async fn flood(limiter: &RedisLimiter, identities: usize) -> Vec<Result<bool, Unavailable>> {
    let mut answers = Vec::with_capacity(identities);
    for first in (0..identities).step_by(AT_ONCE) {
        let asked = (first..identities.min(first + AT_ONCE)).map(|user| async move {
            let answer = limiter.admit(&request(&format!("{user:09}"), 60, 2)).await;
            answer.map(|decision| decision.allowed)
        });
        answers.extend(join_all(asked).await);
    }
    answers
}

/// Goal: every window goes by itself, within twice its length. Method: every key is looked at
/// while its windows are in use, and again when they cannot be any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_identities_leaves_nothing_behind() {
    let _alone = ALONE.lock().await;
    let setup = Setup::new().await;
    let limiter = setup.limiter(DEADLINE).await;
    let mut redis = setup.server.connect().await;
    let identities = if long() { 1_000_000 } else { 5_000 };
    let admitted = flood(&limiter, identities).await;
    assert!(admitted.into_iter().all(|answer| answer == Ok(true)));
    let windows = Windows::read(&mut redis, PREFIX).await;
    let too_long = windows.kept_too_long();
    assert!(too_long.is_empty(), "{too_long:?}");
    assert_eq!(windows.minute_logs().len(), identities, "a minute is not over");

    // Twice a window, and what Redis may take to drop what has expired: a read does it at once.
    let gone = |window: Window| Duration::from_secs(2 * window.length_s() + 1);
    sleep(gone(Window::Second)).await;
    let windows = Windows::read(&mut redis, PREFIX).await;
    let seconds = windows.found.iter().filter(|found| found.window == Window::Second).count();
    assert_eq!(seconds, 0, "windows of a second are left after two");
    if long() {
        sleep(gone(Window::Minute) - gone(Window::Second)).await;
        let left: u64 = redis::cmd("DBSIZE").query_async(&mut redis).await.expect("its size");
        let windows = Windows::read(&mut redis, PREFIX).await;
        assert!(windows.found.is_empty() && left < 10, "{left} keys are left");
    }
    Row {
        times: 1,
        decisions: identities as u64,
        moved: vec![format!("{identities} identities, no window kept for longer than two")],
        ..Row::new(ROWS[1])
    }
    .write();
}

/// Goal: where there is no memory left, nobody is admitted unseen. Method: a bound just above what
/// the server uses, and more identities than fit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_says_so_and_does_not_grow() {
    let _alone = ALONE.lock().await;
    let setup = Setup::new().await;
    let limiter = setup.limiter(DEADLINE).await;
    let mut redis = setup.server.connect().await;
    let bound = info(&mut redis, "used_memory").await + (1 << 20);
    let said = tell(address(&setup.server), &format!("CONFIG SET maxmemory {bound}")).await;
    assert_eq!(said, "+OK\r\n");
    let answers = flood(&limiter, 10_000).await;
    let full = |answer: &Result<bool, Unavailable>| matches!(answer, Err(Unavailable::Refused { code, .. }) if code == "OOM");
    let (admitted, refused) = (
        answers.iter().filter(|answer| **answer == Ok(true)).count(),
        answers.iter().filter(|answer| full(answer)).count(),
    );
    assert!(admitted > 100 && refused > 100, "{admitted} admitted, {refused} refused by OOM");
    assert_eq!(admitted + refused, answers.len(), "every request was one or the other");
    let used = info(&mut redis, "used_memory").await;
    assert!(used <= bound + SMALL, "{used} bytes used of {bound}");
    let kept = Windows::read(&mut redis, PREFIX).await.minute_logs().len();
    assert_eq!(kept, admitted, "who was admitted is kept, and nobody else");
    Row {
        times: 1,
        decisions: answers.len() as u64,
        moved: vec![format!(
            "{refused} refused by OOM, {} KiB over the bound",
            used.saturating_sub(bound) >> 10
        )],
        ..Row::new(ROWS[2])
    }
    .write();
}
