//! How late the machine is: a thread that does nothing but sleep says how often it was woken too
//! late. What a test measures of others on the same machine is as late as that, for no fault of
//! theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What it sleeps each time.
const SLEEP: Duration = Duration::from_millis(5);

/// A thread that sleeps and looks at the clock.
#[derive(Debug)]
pub struct Sleeper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

/// By how much each sleep was too long.
#[derive(Debug, Clone)]
pub struct Lateness(Vec<Duration>);

impl Sleeper {
    /// Lies down.
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut late = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let lay_down = Instant::now();
                std::thread::sleep(SLEEP);
                late.push(lay_down.elapsed().saturating_sub(SLEEP));
            }
            late
        });
        Self { stop, thread }
    }

    /// Wakes it for good.
    ///
    /// # Panics
    ///
    /// If the thread did.
    pub fn end(self) -> Lateness {
        self.stop.store(true, Ordering::Relaxed);
        Lateness(self.thread.join().expect("a thread that only sleeps"))
    }
}

impl Lateness {
    /// Of so many events, how many the machine made late by more than this; rounded up. When it
    /// stands still all that is due stands still: what counts is the share of the time.
    pub fn of(&self, events: i64, by: Duration) -> i64 {
        let us = |sleeps: &mut dyn Iterator<Item = &Duration>| -> i64 {
            sleeps.map(|late| i64::try_from((*late + SLEEP).as_micros()).unwrap_or(i64::MAX)).sum()
        };
        let late_us = us(&mut self.0.iter().filter(|late| **late > by));
        let all_us = us(&mut self.0.iter()).max(1);
        (events * late_us + all_us - 1) / all_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_time_in_late_sleeps_is_that_of_late_events() {
        let late = Lateness([0, 0, 15, 70].map(Duration::from_millis).to_vec());
        assert_eq!(late.of(21, Duration::from_millis(10)), 19);
        assert_eq!(late.of(105, Duration::from_millis(20)), 75);
        assert_eq!(late.of(100, Duration::from_secs(1)), 0);
    }
}
