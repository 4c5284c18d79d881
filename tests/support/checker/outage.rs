//! S6: what an outage may cost.

use transom_core::Window;

use super::report::{Findings, Rule, Violation};
use super::safety::{Charge, proven};
use super::{Clock, Outcome, Record, Source, Told, records_by_key};

/// S6, over `workers` that each hold the share of a limit that they tell: in any window, the units
/// that workers admitted on their own are at most all shares together, and with those that Redis
/// admitted at most the limit and, on top, the larger of limit and number of workers. Measured by
/// the clients' clock, whoever decided. Where Redis may have lost what it kept, a key gets its limit
/// once more for each of the `losses`.
pub fn check_outage(records: &[Record], workers: u32, losses: u32) -> Vec<Violation> {
    let mut findings = Findings::default();
    for (key, log) in records_by_key(records) {
        let admitted: Vec<(&Record, &Told)> =
            log.into_iter().filter_map(|record| Some((record, admission(record)?))).collect();
        for window in Window::ALL {
            let limit = |alone: bool| {
                let of = admitted.iter().filter(|(_, told)| is_alone(told) == alone);
                of.map(|(_, told)| u64::from(told.windows[window as usize].limit)).max()
            };
            let shares = limit(true).unwrap_or(0) * u64::from(workers);
            let whole =
                limit(false).map_or(shares, |n| n + n.max(workers.into()) + n * u64::from(losses));
            for (what, alone, bound) in [("alone", true, shares), ("in all", false, whole)] {
                let counted = admitted.iter().filter(|(_, told)| !alone || is_alone(told));
                let charges: Vec<Charge> = counted.map(|(record, _)| Charge::of(record)).collect();
                let units = proven(&charges, window, Clock::REDIS).into_iter().max();
                if let Some((units, sent_ns)) = units.filter(|(units, _)| *units > bound) {
                    let name = window.as_str();
                    let found = format!("{what} {units} of {bound} a {name}, after {sent_ns} ns");
                    findings.add(Rule::S6Outage, key, found);
                }
            }
        }
    }
    findings.violations
}

fn is_alone(told: &Told) -> bool {
    matches!(told.source, Source::Degraded { .. })
}

fn admission(record: &Record) -> Option<&Told> {
    match &record.outcome {
        Outcome::Told(told) if told.allowed => Some(told),
        _ => None,
    }
}
