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
    /// Of so many events, how many the machine made late by more than this; rounded up.
    pub fn of(&self, events: i64, by: Duration) -> i64 {
        let late = self.0.iter().filter(|late| **late > by).count();
        let sleeps = i64::try_from(self.0.len().max(1)).unwrap_or(i64::MAX);
        (events * i64::try_from(late).unwrap_or(i64::MAX) + sleeps - 1) / sleeps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_late_sleeps_is_that_of_late_events() {
        let late = Lateness([0, 1, 11, 200].map(Duration::from_millis).to_vec());
        assert_eq!(late.of(100, Duration::from_millis(10)), 50);
        assert_eq!(late.of(101, Duration::from_millis(100)), 26);
        assert_eq!(late.of(100, Duration::from_secs(1)), 0);
    }
}
