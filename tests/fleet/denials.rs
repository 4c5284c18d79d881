//! What a flood of denied requests leaves in Redis: nothing.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use redis::Msg;
use transom_core::{Identity, PolicyName};
use transom_tests::RedisServer;
use transom_tests::checker::{Clock, Key, check};
use transom_tests::fleet::{Ask, Client, Fleet, Load, Setup, drive};

const PREFIX: &str = "denials:1";

/// When nothing has been announced for so long, nothing more will come.
const QUIET: Duration = Duration::from_millis(300);

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
/// Method: Redis announces every command that changes a window; the roster of the workers is not
/// looked at. The admissions show that the announcements come.
#[tokio::test]
async fn a_flood_of_denials_writes_nothing_to_any_window() {
    let server = RedisServer::start().await;
    let mut redis = server.connect().await;
    let mut configure = redis::cmd("CONFIG");
    configure.arg("SET").arg("notify-keyspace-events").arg("Kgz");
    configure.exec_async(&mut redis).await.expect("a server of the test's own");
    let client = redis::Client::open(server.url.as_str()).expect("the address of a server");
    let mut changes = client.get_async_pubsub().await.expect("a connection");
    let pattern = format!("__keyspace@*__:{PREFIX}:{{user:*");
    changes.psubscribe(&pattern).await.expect("announcements");
    let mut changes = changes.into_on_message();
    let fleet = Fleet::start(&Setup {
        redis_url: &server.url,
        prefix: PREFIX,
        config: CONFIG,
        ..Setup::default()
    });
    let client = Client::new(fleet.workers[0].check);
    for _ in 0..3 {
        assert!(client.decide(&ask()).await.expect("an answer of the worker").allowed);
    }
    let changed = announced(&mut changes).await;
    assert_eq!(changed.iter().filter(|event| *event == "zadd").count(), 2 * 3, "{changed:?}");

    let flood = Load { connections: 64, lasts: Duration::from_secs(1), at_most: usize::MAX };
    let records = drive(&fleet.check_addresses(), flood, ask).await;

    let counts = check(&records, Clock::REDIS).counts;
    assert_eq!((counts.admitted, counts.degraded, counts.unknown), (0, 0, 0));
    assert!(counts.denied > 100, "{counts:?}");
    let changed = announced(&mut changes).await;
    assert!(changed.is_empty(), "{} denials: {changed:?}", counts.denied);
}

/// The commands that changed a window since the last call.
async fn announced(changes: &mut (impl Stream<Item = Msg> + Unpin)) -> Vec<String> {
    let mut events = Vec::new();
    while let Ok(Some(change)) = tokio::time::timeout(QUIET, changes.next()).await {
        events.push(change.get_payload().expect("the name of a command"));
    }
    events
}
