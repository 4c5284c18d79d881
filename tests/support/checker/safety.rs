//! S1 and S2: no window holds more than its limit.

use transom_core::Window;

use super::record::{Decided, Record};
use super::report::{Findings, Rule};
use super::{Clock, KeyLog};

/// S1. Two pointers over the charged requests. Within one microsecond the order is not used: what
/// counts is where the last one left the window, against the highest limit that any of them saw.
pub(super) fn exact(log: &KeyLog<'_>, findings: &mut Findings) {
    let charged: Vec<&Decided<'_>> = log.charged().collect();
    for window in Window::ALL {
        let (mut oldest, mut units, mut limit) = (0, 0, 0);
        for (newest, entry) in charged.iter().enumerate() {
            let at_us = entry.told.at_us;
            let first_of_instant = newest == 0 || charged[newest - 1].told.at_us != at_us;
            limit = if first_of_instant { 0 } else { limit }.max(entry.limit(window));
            units += u64::from(entry.charged());
            while at_us - charged[oldest].told.at_us >= window.length_us() {
                units -= u64::from(charged[oldest].charged());
                oldest += 1;
            }
            let last_of_instant =
                charged.get(newest + 1).is_none_or(|next| next.told.at_us != at_us);
            if last_of_instant && units > limit {
                let (name, from_us) = (window.as_str(), charged[oldest].told.at_us);
                let what = format!("{units} of {limit} a {name} from {from_us} to {at_us} us");
                findings.add(Rule::S1Exact, log.key, what);
            }
        }
    }
}

/// S2. Where more units than the limit were charged in less than a window by the clients' clock, no
/// reading of the clock of Redis can excuse it.
pub(super) fn in_real_time(log: &KeyLog<'_>, clock: Clock, findings: &mut Findings) {
    let charges: Vec<Charge> = log.charged().map(|entry| Charge::of(entry.record)).collect();
    for window in Window::ALL {
        let limit = log.charged().map(|entry| entry.limit(window)).max().unwrap_or(0);
        for (units, sent_ns) in proven(&charges, window, clock) {
            if units > limit {
                let name = window.as_str();
                let what = format!("{units} of {limit} a {name}, all after {sent_ns} ns");
                findings.add(Rule::S2RealTime, log.key, what);
            }
        }
    }
}

/// Units that were charged somewhere between `sent` and `received`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charge {
    sent_ns: u64,
    received_ns: u64,
    units: u64,
}

impl Charge {
    pub(super) fn of(record: &Record) -> Self {
        let Record { sent_ns, received_ns, cost, .. } = *record;
        Self { sent_ns, received_ns, units: cost.into() }
    }
}

/// For each charge, how many units fit between when it was sent and the last `received` of a set
/// less than a window later: these were charged in one window. With the units, when it was sent.
pub(super) fn proven(charges: &[Charge], window: Window, clock: Clock) -> Vec<(u64, u64)> {
    let mut by_sent = charges.to_vec();
    by_sent.sort_unstable_by_key(|charge| charge.sent_ns);
    let mut received: Vec<u64> = by_sent.iter().map(|charge| charge.received_ns).collect();
    received.sort_unstable();
    let length_ns = (window.length_us() - clock.tick_us) * 1_000;
    let mut sums = PrefixSums::new(received.len());
    let later = by_sent.iter().rev().map(|first| {
        let rank = received.partition_point(|at_ns| *at_ns < first.received_ns);
        sums.add(rank, first.units);
        let end_ns = first.sent_ns + length_ns;
        (sums.before(received.partition_point(|at_ns| *at_ns < end_ns)), first.sent_ns)
    });
    later.collect()
}

/// Sums of what was added at the lowest ranks, each in logarithmic time (a Fenwick tree).
struct PrefixSums(Vec<u64>);

impl PrefixSums {
    fn new(ranks: usize) -> Self {
        Self(vec![0; ranks + 1])
    }

    fn add(&mut self, rank: usize, units: u64) {
        let mut node = rank + 1;
        while node < self.0.len() {
            self.0[node] += units;
            node += node & node.wrapping_neg();
        }
    }

    /// The sum over all ranks below this one.
    fn before(&self, rank: usize) -> u64 {
        let (mut node, mut sum) = (rank, 0);
        while node > 0 {
            sum += self.0[node];
            node -= node & node.wrapping_neg();
        }
        sum
    }
}
