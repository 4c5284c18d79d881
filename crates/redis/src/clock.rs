//! Whether the clock of Redis steps. Windows follow it: after a step forward a key may get its
//! limit once more, after a step back it is denied for a window at most. Nothing inside Redis can
//! tell a step from time that has passed, but a clock beside it can.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::ClockMetrics;

/// Steps of less are not told from clocks that are being slewed.
const STEP_US: i64 = 250_000;
/// Two readings farther apart are not compared: clocks drift.
const COMPARED_WITHIN: Duration = Duration::from_secs(60);

/// Compares the clock of a server with that of this process, answer by answer.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    started: Instant,
    last: Mutex<Option<Reading>>,
    metrics: ClockMetrics,
}

/// How far the server's clock was ahead of this process's: between two bounds, since it was read
/// at some time between question and answer.
#[derive(Clone, Copy, Debug)]
struct Reading {
    read: Instant,
    least_us: i64,
    most_us: i64,
}

impl ClockWatch {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), last: Mutex::new(None), metrics: ClockMetrics::new() }
    }

    /// Takes note of an answer: the server's time in it, and when it was asked for and came.
    pub(crate) fn read(&self, at_us: u64, sent: Instant, came: Instant) {
        let ahead_of = |at: Instant| {
            let here_us = at.saturating_duration_since(self.started).as_micros();
            at_us.cast_signed().saturating_sub(i64::try_from(here_us).unwrap_or(i64::MAX))
        };
        let now = Reading { read: came, least_us: ahead_of(came), most_us: ahead_of(sent) };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two answers that overtake each other the later one stays.
        if last.is_some_and(|last| last.read > now.read) {
            return;
        }
        let step_us = last.replace(now).and_then(|last| step(last, now));
        drop(last);
        if let Some(step_us) = step_us {
            self.metrics.stepped(step_us > 0);
            tracing::warn!(step_ms = step_us / 1_000, "the clock of redis has stepped");
        }
    }
}

/// By how much the server's clock has stepped at least, forward if positive.
fn step(before: Reading, now: Reading) -> Option<i64> {
    if now.read.saturating_duration_since(before.read) > COMPARED_WITHIN {
        return None;
    }
    let forward = now.least_us - before.most_us;
    let back = before.least_us - now.most_us;
    if forward > STEP_US {
        Some(forward)
    } else if back > STEP_US {
        Some(-back)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: u64 = 1_800_000_000_000_000;

    /// Answers that came `ms` after the start, asked for 5 ms before, with the server's time.
    fn steps(answers: &[(u64, u64)]) -> Vec<Option<i64>> {
        let watch = ClockWatch::new();
        let mut steps = Vec::new();
        for (ms, server_ms) in answers {
            let came = watch.started + Duration::from_millis(*ms);
            let before = *watch.last.lock().unwrap();
            watch.read(T0 + server_ms * 1_000, came - Duration::from_millis(5), came);
            let now = watch.last.lock().unwrap().unwrap();
            steps.push(before.and_then(|before| step(before, now)));
        }
        steps
    }

    #[test]
    fn time_that_passes_is_no_step() {
        assert_eq!(steps(&[(10, 10), (1_000, 1_003), (30_000, 29_900)]), [None; 3]);
    }

    #[test]
    fn a_step_is_told_by_its_direction_and_least_size() {
        let hour = 3_600_000;
        let found = steps(&[(10, hour), (20, 2 * hour), (30, 2 * hour + 10), (40, 0)]);
        assert_eq!(found[0], None);
        assert!(found[1].is_some_and(|us| (3_599_000_000..3_600_000_000).contains(&us)));
        assert_eq!(found[2], None);
        assert!(found[3].is_some_and(|us| us < -7_199_000_000));
        assert_eq!(steps(&[(10, 10), (20, 270)]), [None; 2], "less than a quarter of a second");
    }

    #[test]
    fn a_slow_answer_is_not_taken_for_a_step() {
        let watch = ClockWatch::new();
        let at = |ms| watch.started + Duration::from_millis(ms);
        watch.read(T0, at(0), at(0));
        watch.read(T0 + 10_000, at(10), at(900));
        let slow = watch.last.lock().unwrap().unwrap();
        watch.read(T0 + 910_000, at(910), at(911));
        let next = watch.last.lock().unwrap().unwrap();
        assert_eq!(step(slow, next), None);
    }

    #[test]
    fn what_lies_far_apart_is_not_compared() {
        assert_eq!(steps(&[(0, 0), (61_000, 62_000)]), [None; 2]);
    }
}
