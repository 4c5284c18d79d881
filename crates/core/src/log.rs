//! The log of admissions in process: the same rules as the script, on a `VecDeque`.

use std::collections::VecDeque;

use crate::decision::{LimitsFrom, Reading, Verdict};
use crate::limits::{Cost, Limits, Window};
use crate::operations::Mark;

/// Units admitted at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    at_us: u64,
    units: u32,
}

/// The admissions of one window, oldest first.
///
/// Times never fall along the log: an entry stamped later than `now` is set to `now` by the first
/// [`WindowLogs::admit`] that sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowLog {
    entries: VecDeque<Entry>,
    /// The units of all entries, those that have left and were not dropped yet included.
    units: u32,
}

impl WindowLog {
    /// The window as it stands at `now_us` for a request of `cost`, without any change.
    fn read(&self, window: Window, now_us: u64, limit: u32, cost: Cost) -> Reading {
        let length_us = window.length_us();
        let leaves_in_us = |entry: &Entry| length_us - (now_us - entry.at_us.min(now_us));
        let gone = self.entries.partition_point(|entry| !counts(length_us, entry.at_us, now_us));
        let units_gone: u32 = self.entries.range(..gone).map(|entry| entry.units).sum();
        let used = self.units - units_gone;
        let reset_us = self.entries.get(gone).map_or(0, leaves_in_us);

        let over = (used + cost.units()).saturating_sub(limit);
        let wait_us = if over == 0 {
            0
        } else if cost.units() > limit {
            length_us
        } else {
            let mut left = 0;
            self.entries
                .range(gone..)
                .find(|entry| {
                    left += entry.units;
                    left >= over
                })
                .map_or(length_us, leaves_in_us)
        };
        Reading { limit, used, reset_us, wait_us }
    }

    /// Stamps what lies in the future of `now_us` with `now_us`, for good.
    fn clamp(&mut self, now_us: u64) {
        for entry in self.entries.iter_mut().rev().take_while(|entry| entry.at_us > now_us) {
            entry.at_us = now_us;
        }
    }

    /// Records `units` at `now_us` and drops what no longer counts.
    fn record(&mut self, window: Window, now_us: u64, units: u32) {
        while let Some(oldest) = self.entries.front() {
            if counts(window.length_us(), oldest.at_us, now_us) {
                break;
            }
            self.units -= oldest.units;
            self.entries.pop_front();
        }
        self.units += units;
        match self.entries.back_mut() {
            Some(newest) if newest.at_us == now_us => newest.units += units,
            _ => self.entries.push_back(Entry { at_us: now_us, units }),
        }
    }
}

/// Whether a unit admitted at `at_us` counts at `now_us`: at exactly one window later, no more.
const fn counts(length_us: u64, at_us: u64, now_us: u64) -> bool {
    now_us.saturating_sub(at_us) < length_us
}

/// Both logs of one key: an identity under a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowLogs {
    minute: WindowLog,
    second: WindowLog,
}

impl WindowLogs {
    /// Admits a request if it fits both windows, and records it in both; else changes nothing,
    /// but that an entry from the future is stamped `now_us`.
    pub fn admit(&mut self, now_us: u64, limits: Limits, cost: Cost) -> Verdict {
        self.minute.clamp(now_us);
        self.second.clamp(now_us);
        let verdict = self.peek(now_us, limits, cost);
        if !verdict.allowed || cost.units() == 0 {
            return verdict;
        }
        self.record(now_us, cost);
        Verdict {
            minute: after_charge(verdict.minute, Window::Minute, cost),
            second: after_charge(verdict.second, Window::Second, cost),
            ..verdict
        }
    }

    /// Records a request in both windows that was admitted elsewhere, whether it fits or not.
    pub fn count_admitted(&mut self, now_us: u64, cost: Cost) {
        self.minute.clamp(now_us);
        self.second.clamp(now_us);
        if cost.units() > 0 {
            self.record(now_us, cost);
        }
    }

    fn record(&mut self, now_us: u64, cost: Cost) {
        self.minute.record(Window::Minute, now_us, cost.units());
        self.second.record(Window::Second, now_us, cost.units());
    }

    /// Denies a request for a reason that is not in the logs, and says how they stand.
    pub(crate) fn deny(&mut self, now_us: u64, limits: Limits, cost: Cost) -> Verdict {
        self.minute.clamp(now_us);
        self.second.clamp(now_us);
        Verdict { allowed: false, ..self.peek(now_us, limits, cost) }
    }

    /// Whether and when [`admit`](Self::admit) would pass, with the numbers as they are before
    /// any charge. Changes nothing.
    pub fn peek(&self, now_us: u64, limits: Limits, cost: Cost) -> Verdict {
        let minute = self.minute.read(Window::Minute, now_us, limits.minute, cost);
        let second = self.second.read(Window::Second, now_us, limits.second, cost);
        let fits = |reading: &Reading| reading.used + cost.units() <= reading.limit;
        Verdict {
            allowed: fits(&minute) && fits(&second),
            minute,
            second,
            limits_from: LimitsFrom::Policy,
            blocked_us: 0,
            at_us: now_us,
        }
    }

    /// The newest admissions that count at `now_us`, at most `max` entries of each window, oldest
    /// first: minute, then second.
    pub fn marks(&self, now_us: u64, max: usize) -> [Vec<Mark>; 2] {
        let of = |log: &WindowLog, window: Window| {
            let counted = |entry: &&Entry| counts(window.length_us(), entry.at_us, now_us);
            let newest = log.entries.iter().rev().take_while(counted).take(max);
            let mark = |entry: &Entry| Mark { at_us: entry.at_us.min(now_us), units: entry.units };
            let mut marks: Vec<Mark> = newest.map(mark).collect();
            marks.reverse();
            marks
        };
        [of(&self.minute, Window::Minute), of(&self.second, Window::Second)]
    }

    /// Empties both logs.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether nothing in the logs counts at `now_us`, so that they may be forgotten.
    pub fn is_idle(&self, now_us: u64) -> bool {
        let length_us = Window::Minute.length_us();
        self.minute.entries.back().is_none_or(|newest| !counts(length_us, newest.at_us, now_us))
    }
}

/// A reading that fitted, with the charge added: an empty window's first unit leaves after one
/// whole window.
fn after_charge(before: Reading, window: Window, cost: Cost) -> Reading {
    let reset_us = if before.used == 0 { window.length_us() } else { before.reset_us };
    Reading { used: before.used + cost.units(), reset_us, ..before }
}

#[cfg(test)]
mod tests;
