//! What a flood of denied requests leaves in Redis: nothing.

use std::time::Duration;

use futures_util::StreamExt;
use transom_core::{Identity, PolicyName};
use transom_tests::RedisServer;
use transom_tests::checker::{Clock, Key, check};
use transom_tests::fleet::{Ask, Fleet, Load, Setup, drive};
use transom_tests::windows::Windows;

const PREFIX: &str = "denials:1";

/// Nobody gets past three within a minute.
const CONFIG: &str = r#"
[[policy]]
name = "default"
minute = 3
second = 3
"#;

fn ask() -> Ask {
    let identity = Identity::user("42").expect("a user's name");
    Ask { key: Key { identity, policy: PolicyName::default() }, path: "/", cost: 1 }
}

/// Goal: a denial changes no window, not even its expiry. (SPEC 5.4)
/// Method: Redis announces every change of a key under the prefix; the roster of the workers has
/// no braces in its name and is not announced. The admissions show that the announcements come.
#[tokio::test]
async fn a_flood_of_denials_writes_nothing_to_any_window() {
    let server = RedisServer::start().await;
    let mut redis = server.connect().await;
    let mut configure = redis::cmd("CONFIG");
    configure.arg("SET").arg("notify-keyspace-events").arg("KA");
    configure.exec_async(&mut redis).await.expect("a server of the test's own");
    let client = redis::Client::open(server.url.as_str()).expect("the address of a server");
    let mut changes = client.get_async_pubsub().await.expect("a connection");
    let pattern = format!("__keyspace@*__:{PREFIX}:{{*");
    changes.psubscribe(&pattern).await.expect("announcements");
    let mut changes = changes.into_on_message();
    let fleet = Fleet::start(&Setup {
        redis_url: &server.url,
        prefix: PREFIX,
        config: CONFIG,
        ..Setup::default()
    });
    let flood = Load { connections: 64, lasts: Duration::from_secs(1), at_most: usize::MAX };

    let records = drive(&fleet.check_addresses(), flood, ask).await;

    let report = check(&records, Clock::REDIS);
    report.assert_clean();
    assert!(report.counts.denied > 100, "{report}");
    let windows = Windows::read(&mut redis, PREFIX).await;
    let mut announced = Vec::new();
    while let Ok(Some(change)) =
        tokio::time::timeout(Duration::from_millis(200), changes.next()).await
    {
        let event: String = change.get_payload().expect("the name of a command");
        announced.push(event);
    }
    announced.sort_unstable();
    // Three units in two windows, and one expiry for each window; nothing for any denial.
    assert_eq!(announced, ["expire", "expire", "zadd", "zadd", "zadd", "zadd", "zadd", "zadd"]);
    assert_eq!(windows.minute_logs()[0].scores_us.len(), 3);
}
