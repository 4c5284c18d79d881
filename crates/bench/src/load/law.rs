//! The limiter's own law, held against what clients saw: no window holds more than its limit.

use std::time::{Duration, Instant};

use transom_core::{Limits, Window};

/// A decision is stamped with the time of Redis, rounded down to a multiple of this: two of them
/// may be so much closer together than a window is long, and yet in two windows.
const TICK: Duration = Duration::from_micros(1);

/// A request that was admitted somewhere between the two times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission {
    /// The number of the caller.
    pub(super) caller: usize,
    pub(super) sent: Instant,
    pub(super) answered: Instant,
}

/// Admissions above the limits: each that was, with others of its caller that were not above them,
/// within less than a window, and one more than the window holds. `admissions` are in the order
/// in which they were answered.
pub(super) fn above(admissions: &[Admission], limits: impl Fn(usize) -> Limits) -> u64 {
    let mut sorted = admissions.to_vec();
    // A stable sort: those of one caller stay in their order.
    sorted.sort_by_key(|admission| admission.caller);
    let callers = sorted.chunk_by(|a, b| a.caller == b.caller);
    callers.map(|own| above_of_one(own, limits(own[0].caller))).sum()
}

fn above_of_one(admissions: &[Admission], limits: Limits) -> u64 {
    if admissions.len() <= limits.minute.min(limits.second) as usize {
        return 0;
    }
    let mut above = 0;
    // When those were sent that may still be in a window.
    let mut held = Window::ALL.map(|_| Vec::new());
    for Admission { sent, answered, .. } in admissions {
        let full = Window::ALL.into_iter().zip(&mut held).any(|(window, held)| {
            let proves = |sent: &Instant| *answered - *sent < length(window) - TICK;
            held.retain(proves);
            proves(sent) && held.len() >= limits.of(window) as usize
        });
        if full {
            above += 1;
        } else {
            held.iter_mut().for_each(|held| held.push(*sent));
        }
    }
    above
}

const fn length(window: Window) -> Duration {
    Duration::from_micros(window.length_us())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { minute: 5, second: 2 };

    /// Of one caller, by when each was sent and answered, in milliseconds.
    fn above_at(times: &[(u64, u64)]) -> u64 {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let admission = |(sent, answered): &(u64, u64)| {
            [7, 8].map(|caller| Admission { caller, sent: at(*sent), answered: at(*answered) })
        };
        let admissions: Vec<_> = times.iter().flat_map(admission).collect();
        // Another caller does the same.
        above(&admissions, |_| LIMITS) / 2
    }

    #[test]
    fn a_window_holds_its_limit_wherever_it_begins() {
        assert_eq!(above_at(&[(0, 1), (900, 901), (1_001, 1_002), (1_901, 1_902)]), 0);
        assert_eq!(above_at(&[(0, 1), (900, 901), (950, 951)]), 1, "three in a second");
        assert_eq!(above_at(&[(900, 901), (1_000, 1_001), (1_100, 1_101)]), 1, "no whole second");
        let slow = [0, 2_000, 4_000, 6_000, 59_000, 59_500, 60_002].map(|ms| (ms, ms + 1));
        assert_eq!(above_at(&slow), 1, "the sixth in a minute, and no more than that");
    }

    #[test]
    fn every_admission_above_is_counted_once() {
        let all: Vec<_> = (0..40).map(|number| (number * 50, number * 50 + 1)).collect();
        // 20 in each of two seconds, of which two are due.
        assert_eq!(above_at(&all), 36);
    }

    #[test]
    fn what_may_have_been_in_two_windows_proves_nothing() {
        assert_eq!(above_at(&[(0, 1), (500, 501), (900, 1_000)]), 0);
        assert_eq!(above_at(&[(0, 1), (500, 501), (100, 1_101), (900, 1_102)]), 0);
        assert_eq!(above_at(&[(1, 2), (500, 501), (900, 1_000)]), 1);
    }

    #[test]
    fn each_caller_has_limits_of_its_own() {
        let now = Instant::now();
        let of = |caller| Admission { caller, sent: now, answered: now };
        let limits = |caller| Limits { minute: 3, second: if caller == 0 { 1 } else { 3 } };
        assert_eq!(above(&[of(0), of(1), of(0), of(1), of(0), of(1)], limits), 2);
    }
}
