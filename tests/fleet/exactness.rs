//! Four worker processes and 64 connections: what all of them admit together is exact.

use std::time::Duration;

use transom_core::{Identity, PolicyName};
use transom_tests::RedisServer;
use transom_tests::checker::{Clock, Key, Report, Rule, check, check_members};
use transom_tests::fleet::{Ask, Fleet, Load, Setup, drive, long};
use transom_tests::windows::Windows;

const PREFIX: &str = "exactness:1";

/// The default limits; wide ones, under which many are admitted; tight ones, under which the
/// minute fills within seconds.
const CONFIG: &str = r#"
[[policy]]
name = "default"
minute = 60
second = 2

[[policy]]
name = "wide"
path = "/wide"
minute = 600
second = 20

[[policy]]
name = "tight"
path = "/tight"
minute = 30
second = 12
"#;

/// How long each number of keys is driven. In a long run the minute turns over three times.
fn lasts() -> Duration {
    if long() { Duration::from_secs(200) } else { Duration::from_secs(4) }
}

fn ask(user: &str, policy: &str, path: &'static str, cost: u32) -> Ask {
    let identity = Identity::user(user).expect("a user's name");
    let policy = PolicyName::new(policy).expect("the name of a policy");
    Ask { key: Key { identity, policy }, path, cost }
}

/// A request of one of `keys` users, under one of the policies, one in four not for a single unit.
/// Half of them come from the first hundred users, so that many users are also denied.
fn any_of(keys: usize) -> Ask {
    let busiest = if fastrand::bool() { keys.min(100) } else { keys };
    let user = format!("{keys}-{}", fastrand::usize(..busiest));
    let cost = if fastrand::u8(..4) == 0 { fastrand::u32(0..=5) } else { 1 };
    match fastrand::u8(..3) {
        0 => ask(&user, "default", "/any", cost),
        1 => ask(&user, "wide", "/wide", cost),
        _ => ask(&user, "tight", "/tight", cost),
    }
}

/// Goal: over a whole fleet, no window holds more than its limit, no denial is undue, no hint is
/// wrong, no request is charged twice or forgotten, and no window is kept too long.
/// Method: the log of all decisions and then what Redis keeps, judged by the checker.
#[tokio::test]
async fn four_workers_on_1_and_10_and_10_000_keys_admit_exactly_what_they_may() {
    let server = RedisServer::start().await;
    let mut redis = server.connect().await;
    let fleet = Fleet::start(&Setup {
        redis_url: &server.url,
        prefix: PREFIX,
        config: CONFIG,
        ..Setup::default()
    });
    for keys in [1, 10, 10_000] {
        let load = Load { connections: 64, lasts: lasts(), at_most: usize::MAX };
        let records = drive(&fleet.check_addresses(), load, move || any_of(keys)).await;
        let mut report = check(&records, Clock::REDIS);
        let windows = Windows::read(&mut redis, PREFIX).await;
        let mut kept = windows.minute_logs();
        kept.retain(|log| log.key.identity.as_str().starts_with(&format!("user:{keys}-")));
        report.violations.extend(check_members(&records, &kept, windows.read_at_us));
        holds(keys, &report);
        let kept_too_long = windows.kept_too_long();
        assert!(kept_too_long.is_empty(), "{kept_too_long:?}");
    }
}

/// A run in which next to nothing was admitted, or denied, would prove nothing.
#[track_caller]
#[expect(clippy::print_stdout, reason = "the numbers belong to the result")]
fn holds(keys: usize, report: &Report) {
    println!("{keys} keys asked: {report}");
    report.assert_clean();
    let counts = report.counts;
    assert_eq!((counts.unknown, counts.degraded), (0, 0), "not decided in Redis: {report}");
    let units = if keys == 1 { 60 } else { 500 };
    assert!(counts.units >= units && counts.denied + counts.cached >= 300, "{report}");
    // Of many keys few are asked for twice while a denial is known.
    let cached = if keys == 10_000 { 1 } else { 300 };
    assert!(counts.cached >= cached, "the workers knew nothing: {report}");
}

/// The judgement over a fleet can fail: workers that keep their windows apart admit too much.
#[tokio::test]
async fn workers_that_do_not_share_their_windows_are_caught() {
    let server = RedisServer::start().await;
    let setup = Setup { workers: 2, redis_url: &server.url, config: CONFIG, ..Setup::default() };
    let fleets = ["left:1", "right:1"].map(|prefix| Fleet::start(&Setup { prefix, ..setup }));
    let workers: Vec<_> = fleets.iter().flat_map(Fleet::check_addresses).collect();
    let load = Load { connections: 16, lasts: Duration::from_secs(1), at_most: usize::MAX };

    let report = check(&drive(&workers, load, || any_of(1)).await, Clock::REDIS);

    assert!(report.broke(Rule::S1Exact), "{report}");
    assert!(report.broke(Rule::S2RealTime), "{report}");
}
