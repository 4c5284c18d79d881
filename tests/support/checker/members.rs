//! S4: what Redis keeps is what clients were told.

use std::collections::{HashMap, HashSet};

use transom_core::Window;

use super::report::{Findings, Rule, Violation};
use super::{Key, KeyLog, Record, by_key};

/// The minute's log of a key as Redis keeps it: the score of every member.
#[derive(Debug, Clone)]
pub struct MinuteLog {
    /// Whose.
    pub key: Key,
    /// Scores in the order of Redis, lowest first.
    pub scores_us: Vec<u64>,
}

/// S4, with what was read from Redis just after the last decision: every member of the last minute
/// is one admitted unit, stamped with the time that the client was told, and the other way round.
/// Older members may be there or not. Requests without an answer may have left members.
pub fn check_members(records: &[Record], kept: &[MinuteLog], read_at_us: u64) -> Vec<Violation> {
    let mut findings = Findings::default();
    let kept_of: HashMap<&Key, &[u64]> =
        kept.iter().map(|log| (&log.key, log.scores_us.as_slice())).collect();
    let told_of = by_key(records);
    let keys: HashSet<&Key> = kept_of.keys().chain(told_of.keys()).copied().collect();
    let since_us = read_at_us - Window::Minute.length_us();
    for key in keys {
        let scores = kept_of.get(key).copied().unwrap_or_default();
        compare(key, told_of.get(key), scores, since_us, &mut findings);
    }
    findings.violations
}

fn compare(
    key: &Key,
    log: Option<&KeyLog<'_>>,
    scores_us: &[u64],
    since_us: u64,
    findings: &mut Findings,
) {
    // Members less units told, for every time stamp.
    let mut surplus: HashMap<u64, i64> = HashMap::new();
    for score_us in scores_us.iter().filter(|score_us| **score_us > since_us) {
        *surplus.entry(*score_us).or_default() += 1;
    }
    for entry in log.into_iter().flat_map(KeyLog::charged) {
        if entry.told.at_us > since_us {
            *surplus.entry(entry.told.at_us).or_default() -= i64::from(entry.charged());
        }
    }
    let unseen = log.map_or(0, |log| log.unseen(u64::MAX));
    let missing: u64 = surplus.values().filter(|n| **n < 0).map(|n| n.unsigned_abs()).sum();
    let extra: u64 = surplus.values().filter(|n| **n > 0).map(|n| n.unsigned_abs()).sum();
    if missing > 0 || extra > unseen {
        let what = format!(
            "{missing} units admitted and not in Redis; {extra} in Redis and not admitted, \
             {unseen} unknown"
        );
        findings.add(Rule::S4ChargedOnce, key, what);
    }
}
