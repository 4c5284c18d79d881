//! The decisions that workers have logged, as records for the checker.

use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use transom_core::PolicyName;

use crate::checker::{Key, Outcome, Record, Source, Told, ToldWindow};
use crate::clients::Seen;
use crate::fleet::monotonic_ns;

/// What each line of a decision has in its `target`.
const TARGET: &str = "transom::decision";
/// More than two clocks drift apart in a test.
const DRIFT_NS: u64 = 1_000_000_000;

/// A line of the log. Of others the target is enough.
#[derive(Debug, Deserialize)]
struct Line {
    target: String,
}

/// A line that says what was decided.
#[derive(Debug, Deserialize)]
struct Decision {
    identity: String,
    policy: PolicyName,
    cost: u32,
    allowed: bool,
    retry_after_us: Option<u64>,
    minute_limit: u32,
    minute_remaining: u32,
    minute_reset_us: u64,
    second_limit: u32,
    second_remaining: u32,
    second_reset_us: u64,
    at_us: u64,
    source: String,
    degraded: Option<String>,
}

/// Every decision in what a worker wrote.
///
/// # Panics
///
/// If a line of a decision lacks something; what is said without Redis does.
pub fn decisions(worker: usize, log: &str) -> Vec<Record> {
    let lines = log.lines().filter(|line| {
        // The banner is no JSON.
        serde_json::from_str::<Line>(line).is_ok_and(|line| line.target == TARGET)
    });
    lines.map(|line| record(worker, line)).collect()
}

/// How far the clock of Redis is ahead of the clients', in which every answer is a little late.
///
/// # Panics
///
/// If Redis does not tell the time.
pub async fn ahead_ns(redis: &mut MultiplexedConnection) -> u64 {
    let (seconds, micros): (u64, u64) =
        redis::cmd("TIME").query_async(redis).await.expect("the time");
    (seconds * 1_000_000 + micros) * 1_000 - monotonic_ns()
}

/// What became of a request whose worker was killed, as a record in the time of Redis: that worker
/// may have charged it without a word.
pub fn unknown(seen: &Seen, worker: usize, ahead_ns: u64) -> Record {
    Record {
        worker,
        key: seen.key.clone(),
        cost: 1,
        outcome: Outcome::Unknown("the worker was killed".to_owned()),
        sent_ns: seen.sent_ns + ahead_ns - DRIFT_NS,
        received_ns: seen.received_ns + ahead_ns + DRIFT_NS,
    }
}

fn record(worker: usize, line: &str) -> Record {
    let said: Decision =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    let identity = said.identity.parse().expect("a decision is about an identity");
    let source = match (said.source.as_str(), &said.degraded) {
        ("redis", None) => Source::Redis,
        ("cache", None) => Source::Cache,
        _ => Source::Degraded { unsure: true },
    };
    let window = |limit, remaining, reset_us| ToldWindow { limit, remaining, reset_us };
    let told = Told {
        allowed: said.allowed,
        source,
        at_us: said.at_us,
        grain_us: 1,
        retry_after_us: said.retry_after_us,
        windows: [
            window(said.minute_limit, said.minute_remaining, said.minute_reset_us),
            window(said.second_limit, said.second_remaining, said.second_reset_us),
        ],
    };
    Record {
        worker,
        key: Key { identity, policy: said.policy },
        cost: said.cost,
        outcome: Outcome::Told(told),
        // The clock of Redis stands in for that of the clients, see [`ahead_ns`].
        sent_ns: said.at_us * 1_000,
        received_ns: said.at_us * 1_000,
    }
}
