//! A violation is found, and a clean log is not accused.

mod hints;
mod honest;
mod once;
mod outage;
mod safe;

use transom_core::{Identity, Limits, PolicyName};

use super::*;

const START_US: u64 = 1_800_000_000_000_000;
const SECOND: u64 = 1_000_000;

fn key(user: &str) -> Key {
    Key { identity: Identity::user(user).unwrap(), policy: PolicyName::default() }
}

/// A decision at a time after the start, sent 40 us before and received 30 us after it. The
/// numbers of the windows fit nothing: for rules that do not read them.
fn told(at_us: u64, cost: u32, allowed: bool, limits: Limits) -> Record {
    let window = |limit| ToldWindow { limit, remaining: 0, reset_us: 0 };
    let outcome = Outcome::Told(Told {
        allowed,
        source: Source::Redis,
        at_us: START_US + at_us,
        grain_us: 1,
        retry_after_us: None,
        windows: [window(limits.minute), window(limits.second)],
    });
    Record {
        worker: 0,
        key: key("42"),
        cost,
        outcome,
        sent_ns: (SECOND + at_us - 40) * 1_000,
        received_ns: (SECOND + at_us + 30) * 1_000,
    }
}

fn admitted(at_us: u64, cost: u32, limits: Limits) -> Record {
    told(at_us, cost, true, limits)
}

fn denied(at_us: u64, cost: u32, limits: Limits) -> Record {
    told(at_us, cost, false, limits)
}

fn unknown(at_us: u64, cost: u32) -> Record {
    Record {
        outcome: Outcome::Unknown("broken off".to_owned()),
        ..admitted(at_us, cost, Limits::DEFAULT)
    }
}

/// Whether a log breaks a rule, the others aside.
fn breaks(rule: Rule, records: &[Record]) -> bool {
    check(records, Clock::REDIS).broke(rule)
}
