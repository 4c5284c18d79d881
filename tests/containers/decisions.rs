//! The decisions that workers have logged, as records for the checker.

use serde::Deserialize;
use transom_core::PolicyName;
use transom_tests::checker::{Key, Outcome, Record, Source, Told, ToldWindow};

/// What each line of a decision has in its `target`.
const TARGET: &str = "transom::decision";

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
pub(crate) fn decisions(worker: usize, log: &str) -> Vec<Record> {
    let lines = log.lines().filter(|line| {
        // The banner is no JSON.
        serde_json::from_str::<Line>(line).is_ok_and(|line| line.target == TARGET)
    });
    lines.map(|line| record(worker, line)).collect()
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
        // The clock of Redis stands in for that of the clients, see `Timeline`.
        sent_ns: said.at_us * 1_000,
        received_ns: said.at_us * 1_000,
    }
}
