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
    assert!(counts.denied + counts.cached > 100, "{counts:?}");
    let changed = announced(&mut changes).await;
    assert!(changed.is_empty(), "{counts:?}: {changed:?}");
}

/// Goal: who is denied all the time costs Redis next to nothing, and others are not held up; every
/// denial is due, and says what Redis would (P26, P27). Method: one key is asked for on 60 of 64
/// connections; the answers tell how many calls it took.
#[tokio::test]
async fn one_hot_key_is_denied_without_redis_and_holds_nobody_up() {
    let server = RedisServer::start().await;
    let setup =
        Setup { redis_url: &server.url, prefix: PREFIX, config: CONFIG, ..Setup::default() };
    let fleet = Fleet::start(&setup);
    let lasts = Duration::from_secs(4);
    let of_others = || {
        let user = fastrand::u32(..).to_string();
        Ask {
            key: Key { identity: Identity::user(&user).expect("a user's name"), ..ask().key },
            ..ask()
        }
    };
    let (workers, load) =
        (fleet.check_addresses(), Load { connections: 60, lasts, at_most: usize::MAX });
    let few = Load { connections: 4, ..load };
    let (hot, others) = tokio::join!(drive(&workers, load, ask), drive(&workers, few, of_others));
    let hot = check(&hot, Clock::REDIS);
    hot.assert_clean();
    let mut took_us: Vec<_> =
        others.iter().map(|one| (one.received_ns - one.sent_ns) / 1_000).collect();
    took_us.sort_unstable();
    let p99_us = took_us[took_us.len() * 99 / 100];
    println!("hot: {hot}; {} others, p99 {p99_us} us", took_us.len());
    let others = check(&others, Clock::REDIS);
    others.assert_clean();
    assert_eq!((hot.counts.admitted, hot.counts.degraded + hot.counts.unknown), (3, 0));
    assert_eq!(others.counts.admitted, took_us.len() as u64, "{others}");
    assert!(hot.counts.cached > 1_000, "{hot}");
    // Once a second for each worker, and when the second window changed; each time as many as ask
    // at the same moment, which are 15 for each worker.
    assert!(hot.counts.denied <= 4 * 15 * (4 + 3 + 1), "{hot}");
}

/// The commands that changed a window since the last call.
async fn announced(changes: &mut (impl Stream<Item = Msg> + Unpin)) -> Vec<String> {
    let mut events = Vec::new();
    while let Ok(Some(change)) = tokio::time::timeout(QUIET, changes.next()).await {
        events.push(change.get_payload().expect("the name of a command"));
    }
    events
}
