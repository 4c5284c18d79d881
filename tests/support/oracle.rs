//! A model of the limiter that is slow and obvious: one number for each admitted unit, and the
//! rules written out. It shares no code with what it judges.

use transom_core::{Decision, Limits, Window, WindowState};

/// What the model says of one request, in the terms of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether the request fitted both windows.
    pub allowed: bool,
    /// Limit, remaining units and microseconds until the oldest unit leaves: minute, then second.
    pub windows: [(u32, u32, u64); 2],
    /// `minute` or `second`.
    pub limited_by: &'static str,
    /// Microseconds until the request would be admitted.
    pub retry_after_us: Option<u64>,
}

/// What a limiter has decided, in the terms of the model.
impl From<&Decision> for Said {
    fn from(decision: &Decision) -> Self {
        let window = |state: &WindowState| (state.limit, state.remaining, state.reset_us);
        Self {
            allowed: decision.allowed,
            windows: [window(&decision.minute), window(&decision.second)],
            limited_by: decision.limited_by.as_str(),
            retry_after_us: decision.retry_after_us,
        }
    }
}

/// The admission time of every unit, for each window.
#[derive(Debug, Default)]
pub struct Oracle {
    admitted: [Vec<u64>; 2],
}

impl Oracle {
    /// Decides a request and records it if it fits.
    pub fn admit(&mut self, now_us: u64, limits: Limits, cost: u32) -> Said {
        for log in &mut self.admitted {
            for at_us in log.iter_mut() {
                *at_us = (*at_us).min(now_us);
            }
        }
        let allowed = self.fits(now_us, limits, cost);
        let waits = self.waits(now_us, limits, cost);
        if allowed && cost > 0 {
            for (log, window) in self.admitted.iter_mut().zip(Window::ALL) {
                log.retain(|at_us| now_us - at_us < window.length_us());
                log.extend(std::iter::repeat_n(now_us, cost as usize));
            }
        }
        self.say(now_us, limits, allowed, waits)
    }

    /// Says what `admit` would do, with the numbers as they are.
    pub fn peek(&self, now_us: u64, limits: Limits, cost: u32) -> Said {
        let waits = self.waits(now_us, limits, cost);
        self.say(now_us, limits, self.fits(now_us, limits, cost), waits)
    }

    /// Empties both logs.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The admission times that count, oldest first, none later than now.
    fn counted(&self, window: Window, now_us: u64) -> Vec<u64> {
        let log = &self.admitted[window as usize];
        let mut times: Vec<u64> = log.iter().map(|at_us| (*at_us).min(now_us)).collect();
        times.retain(|at_us| now_us - at_us < window.length_us());
        times.sort_unstable();
        times
    }

    fn used(&self, window: Window, now_us: u64) -> u32 {
        u32::try_from(self.counted(window, now_us).len()).unwrap()
    }

    fn fits(&self, now_us: u64, limits: Limits, cost: u32) -> bool {
        Window::ALL.iter().all(|w| self.used(*w, now_us) + cost <= limits.of(*w))
    }

    fn waits(&self, now_us: u64, limits: Limits, cost: u32) -> [u64; 2] {
        Window::ALL.map(|window| self.wait(window, now_us, limits.of(window), cost))
    }

    /// Lets time pass unit by unit until the cost fits.
    fn wait(&self, window: Window, now_us: u64, limit: u32, cost: u32) -> u64 {
        if cost > limit {
            let fits_now = self.used(window, now_us) + cost <= limit;
            return if fits_now { 0 } else { window.length_us() };
        }
        let times = self.counted(window, now_us);
        let mut at_us = now_us;
        for leaving in &times {
            let left = times.iter().filter(|t| at_us - **t < window.length_us()).count();
            if u32::try_from(left).unwrap() + cost <= limit {
                break;
            }
            at_us = leaving + window.length_us();
        }
        at_us - now_us
    }

    fn say(&self, now_us: u64, limits: Limits, allowed: bool, waits: [u64; 2]) -> Said {
        let next = self.waits(now_us, limits, 1);
        let [minute, second] = if allowed { next } else { waits };
        Said {
            allowed,
            windows: Window::ALL.map(|window| {
                let limit = limits.of(window);
                let oldest = self.counted(window, now_us).first().copied();
                let reset_us = oldest.map_or(0, |t| t + window.length_us() - now_us);
                (limit, limit.saturating_sub(self.used(window, now_us)), reset_us)
            }),
            limited_by: if second > minute { "second" } else { "minute" },
            retry_after_us: (!allowed).then(|| waits[0].max(waits[1])),
        }
    }
}
