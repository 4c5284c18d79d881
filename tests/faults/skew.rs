//! Workers whose clocks are wrong.

use std::time::Duration;

use transom_core::{Identity, PolicyName};
use transom_tests::RedisServer;
use transom_tests::checker::{Clock, Key, check, check_members};
use transom_tests::fleet::{Ask, Fleet, Load, Metrics, Setup, drive, long};
use transom_tests::promises::Row;
use transom_tests::stepped_clock::SteppedClock;
use transom_tests::windows::Windows;

use crate::cell::ALONE;

/// The rows of this file.
pub(crate) const ROWS: &[&str] = &["skew::workers_an_hour_apart_decide_as_one"];

const HOUR_US: i64 = 3_600_000_000;
const PREFIX: &str = "skew:1";
const STARTED_AT: &str = "transom_config_last_reload_timestamp_seconds";

/// Goal: nothing is decided by a worker's clock. Method: one worker an hour behind and one an hour
/// ahead on the same few keys, and the checker over both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_an_hour_apart_decide_as_one() {
    let _alone = ALONE.lock().await;
    let server = RedisServer::start().await;
    let clocks = [-HOUR_US, HOUR_US].map(|us| {
        let clock = SteppedClock::new();
        clock.step(us);
        clock
    });
    let fleets = clocks.each_ref().map(|clock| {
        let variables = clock.variables();
        let variables = variables.each_ref().map(|(name, of)| (*name, of.as_str()));
        let setup =
            Setup { workers: 1, redis_url: &server.url, prefix: PREFIX, ..Setup::default() };
        Fleet::start(&Setup { variables: &variables, ..setup })
    });
    let mut started = Vec::new();
    for fleet in &fleets {
        started.push(Metrics::of(fleet).await.sum(STARTED_AT, &[]));
    }
    assert!(started[1] - started[0] > 7_000, "the clocks are not apart: {started:?}");
    let workers: Vec<_> = fleets.iter().flat_map(Fleet::check_addresses).collect();
    let lasts = Duration::from_secs(if long() { 130 } else { 3 });
    let load = Load { connections: 16, lasts, at_most: usize::MAX };
    let records = drive(&workers, load, || {
        let user = fastrand::u8(..20).to_string();
        let identity = Identity::user(&user).expect("a user's name");
        Ask { key: Key { identity, policy: PolicyName::default() }, path: "/", cost: 1 }
    })
    .await;
    let mut report = check(&records, Clock::REDIS);
    let windows = Windows::read(&mut server.connect().await, PREFIX).await;
    let charged = check_members(&records, &windows.minute_logs(), windows.read_at_us);
    report.violations.extend(charged);
    report.assert_clean();
    let counts = report.counts;
    assert!(counts.admitted > 100 && counts.denied + counts.cached > 100, "{report}");
    assert_eq!((counts.degraded, counts.unknown), (0, 0), "{report}");
    Row {
        times: 1,
        decisions: records.len() as u64,
        moved: vec![format!("{} admitted, {} denied", counts.admitted, counts.denied)],
        ..Row::new(ROWS[0])
    }
    .write();
}
