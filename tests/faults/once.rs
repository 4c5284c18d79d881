//! A request is charged once at most, whatever becomes of its answer.

use std::time::Duration;

use futures_util::future::join_all;
use transom_tests::chaos::{Mode, Which};
use transom_tests::checker::{Clock, Outcome, Record, check, check_members};
use transom_tests::fleet::long;
use transom_tests::promises::Row;
use transom_tests::windows::Windows;

use crate::cell::ALONE;
use crate::setup::{PREFIX, Setup, ask, request};

/// The rows of this file.
pub(crate) const ROWS: &[&str] = &["once::a_reply_that_is_lost_leaves_one_charge_at_most"];

/// How many replies are taken.
fn resets() -> u64 {
    if long() { 1_000 } else { 150 }
}

/// Goal: what was sent and not answered is never sent again. Method: a proxy that lets Redis
/// decide and then resets the connection in place of the reply, while eight users keep asking;
/// then every member in Redis is one that somebody was told, or one of those without an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_lost_leaves_one_charge_at_most() {
    let _alone = ALONE.lock().await;
    let setup = Setup::new().await;
    let limiters = join_all((0..4).map(|_| setup.limiter(Duration::from_secs(1)))).await;
    setup.proxy.set(Mode::ResetReply { to: b"EVAL", one_in: 3 }, Which::All).await;
    let users = (0..8).map(|user| {
        let (limiter, proxy) = (&limiters[user % limiters.len()], &setup.proxy);
        async move {
            let (asked, mut records) = (request(&user.to_string(), 100_000, 50_000), Vec::new());
            while proxy.resets() < resets() {
                records.extend(ask(limiter, &asked).await);
                // Where nothing is sent there is no wait either.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            records
        }
    });
    let records: Vec<Record> = join_all(users).await.into_iter().flatten().collect();
    setup.proxy.set(Mode::Pass, Which::All).await;
    let unknown =
        records.iter().filter(|record| matches!(record.outcome, Outcome::Unknown(_))).count();
    assert!(unknown as u64 >= resets(), "{unknown} without an answer: the proxy took more");

    let mut redis = setup.server.connect().await;
    let windows = Windows::read(&mut redis, PREFIX).await;
    let mut report = check(&records, Clock::REDIS);
    let charged = check_members(&records, &windows.minute_logs(), windows.read_at_us);
    report.violations.extend(charged);
    report.assert_clean();
    let members: usize = windows.minute_logs().iter().map(|log| log.scores_us.len()).sum();
    let told = records.len() - unknown;
    assert!(members > told, "{members} members, {told} told: no reply was taken after a charge");
    Row {
        times: setup.proxy.resets(),
        decisions: records.len() as u64,
        moved: vec![format!("{told} told, {unknown} without an answer, {members} in Redis")],
        ..Row::new(ROWS[0])
    }
    .write();
}
