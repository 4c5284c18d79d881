//! What Redis keeps of the windows: every key under a prefix, its members and its expiry.

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, cmd};
use transom_core::{PolicyName, Window};

use crate::checker::{Key, MinuteLog};

/// Keys asked for in one round trip.
const AT_ONCE: usize = 500;

/// Every window under a prefix, as it was found.
#[derive(Debug)]
pub struct Windows {
    /// The time of Redis just before.
    pub read_at_us: u64,
    /// The windows that were still there when their turn came.
    pub found: Vec<Found>,
}

/// One window.
#[derive(Debug)]
pub struct Found {
    /// Whose.
    pub key: Key,
    /// Which of the two.
    pub window: Window,
    /// Until it expires; -1 is never.
    pub pttl_ms: i64,
    /// The scores of its members, lowest first.
    pub scores_us: Vec<u64>,
}

impl Windows {
    /// Reads all of them. Anything else under the prefix is left alone.
    ///
    /// # Panics
    ///
    /// If Redis does not answer, or keeps something else under such a name.
    pub async fn read(connection: &mut MultiplexedConnection, prefix: &str) -> Self {
        let (seconds, micros): (u64, u64) =
            cmd("TIME").query_async(connection).await.expect("the time of redis");
        let mut names = names(connection, &format!("{prefix}:{{*")).await;
        names.retain(|name| Window::ALL.iter().any(|window| name.ends_with(window.as_str())));
        let mut found = Vec::new();
        for names in names.chunks(AT_ONCE) {
            let mut asked = Pipeline::new();
            for name in names {
                asked.cmd("PTTL").arg(name);
                asked.cmd("ZRANGE").arg(name).arg(0).arg(-1).arg("WITHSCORES");
            }
            let said: Vec<redis::Value> =
                asked.query_async(connection).await.expect("expiry and members of every window");
            for (name, said) in names.iter().zip(said.chunks_exact(2)) {
                found.extend(read_one(prefix, name, said));
            }
        }
        Self { read_at_us: seconds * 1_000_000 + micros, found }
    }

    /// The logs of the minute, for [`check_members`](crate::checker::check_members).
    pub fn minute_logs(&self) -> Vec<MinuteLog> {
        let minutes = self.found.iter().filter(|found| found.window == Window::Minute);
        minutes
            .map(|found| MinuteLog { key: found.key.clone(), scores_us: found.scores_us.clone() })
            .collect()
    }

    /// Windows that would stay for ever, or for more than two of their lengths.
    pub fn kept_too_long(&self) -> Vec<&Found> {
        let too_long = |found: &&Found| {
            let most_ms = i64::try_from(2 * found.window.length_s() * 1_000).unwrap_or(i64::MAX);
            !(0..=most_ms).contains(&found.pttl_ms)
        };
        self.found.iter().filter(too_long).collect()
    }
}

async fn names(connection: &mut MultiplexedConnection, pattern: &str) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), 0u64);
    loop {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(AT_ONCE);
        let (next, some): (u64, Vec<String>) =
            scan.query_async(connection).await.expect("the names of keys");
        names.extend(some);
        cursor = next;
        if cursor == 0 {
            // SCAN may name a key twice.
            names.sort_unstable();
            names.dedup();
            return names;
        }
    }
}

/// `PREFIX:{IDENTITY}:POLICY:WINDOW`, unless it is gone or no window.
fn read_one(prefix: &str, name: &str, said: &[redis::Value]) -> Option<Found> {
    let (identity, rest) = name.strip_prefix(prefix)?.strip_prefix(":{")?.split_once("}:")?;
    let (policy, window) = rest.rsplit_once(':')?;
    let window = Window::ALL.into_iter().find(|known| known.as_str() == window)?;
    let key = Key {
        identity: identity.parse().expect("an identity without encoded bytes"),
        policy: PolicyName::new(policy).expect("the name of a policy"),
    };
    let pttl_ms = redis::from_redis_value(said[0].clone()).expect("an expiry");
    let members: Vec<(String, u64)> =
        redis::from_redis_value(said[1].clone()).expect("members and scores");
    let scores_us: Vec<u64> = members.into_iter().map(|(_, score_us)| score_us).collect();
    // An empty set is none: the key went between SCAN and now.
    (!scores_us.is_empty()).then_some(Found { key, window, pttl_ms, scores_us })
}
