//! When requests are due.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How requests follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Each connection asks again as soon as it is answered.
    Closed,
    /// So many are due every second, over all connections.
    PerSecond(u64),
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("a closed loop"),
            Self::PerSecond(rate) => write!(f, "{rate} a second"),
        }
    }
}

/// A pace that has begun.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    started: Instant,
    until: Instant,
    open: Option<Arc<Open>>,
}

/// Requests that are due are let go so often. A wake-up for each one would take more of the cores
/// that all share than the request does.
const STEP: Duration = Duration::from_micros(250);

/// Requests at a constant rate. A thread of its own lets them go when they are due, in steps of
/// [`STEP`], since the timers of the runtime are no finer than a millisecond. It ends when nobody
/// waits any more.
#[derive(Debug)]
struct Open {
    period: Duration,
    requests: u64,
    taken: AtomicU64,
    due: Semaphore,
}

impl Schedule {
    /// Begins; `connections` will ask for times until there are no more.
    pub(crate) fn start(pace: Pace, started: Instant, until: Instant, connections: usize) -> Self {
        let open = match pace {
            Pace::Closed => None,
            Pace::PerSecond(rate) => {
                let period = Duration::from_nanos(1_000_000_000 / rate.max(1));
                let whole = (until - started).as_nanos() / period.as_nanos().max(1);
                let requests = u64::try_from(whole).unwrap_or(u64::MAX);
                let (taken, due) = (AtomicU64::new(0), Semaphore::new(0));
                let open = Arc::new(Open { period, requests, taken, due });
                let pacer = Arc::downgrade(&open);
                std::thread::spawn(move || Open::let_go(&pacer, started, connections));
                Some(open)
            }
        };
        Self { started, until, open }
    }

    /// Waits until the next request is due, and says when that was; `None` at the end.
    pub(crate) async fn next(&self) -> Option<Instant> {
        let Some(open) = &self.open else {
            return Some(Instant::now()).filter(|now| *now < self.until);
        };
        open.due.acquire().await.ok()?.forget();
        let number = open.taken.fetch_add(1, Ordering::Relaxed);
        (number < open.requests).then(|| self.started + open.after(number))
    }

    /// Whether a request that was due, and is answered now, is inside what is measured from a time
    /// on. At a constant rate every request that was due is, however late its answer; in a closed
    /// loop every one that is answered, whenever it was sent.
    pub(crate) fn counts(&self, from: Instant, due: Instant, answered: Instant) -> bool {
        let counted_at = if self.open.is_some() { due } else { answered };
        (from..self.until).contains(&counted_at)
    }
}

impl Open {
    fn after(&self, number: u64) -> Duration {
        let period = u64::try_from(self.period.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(period.saturating_mul(number))
    }

    /// The thread: one permit for each request that is due, and one more for each connection,
    /// so that all of them learn of the end. `None` where all of them are gone before.
    fn let_go(open: &Weak<Self>, started: Instant, connections: usize) -> Option<()> {
        let (requests, mut number) = (open.upgrade()?.requests, 0);
        let mut woke = started;
        while number < requests {
            let due = started + open.upgrade()?.after(number);
            std::thread::sleep(due.max(woke + STEP).saturating_duration_since(Instant::now()));
            woke = Instant::now();
            let open = open.upgrade()?;
            let before = number;
            while number < requests && started + open.after(number) <= woke {
                number += 1;
            }
            open.due.add_permits(usize::try_from(number - before).unwrap_or(usize::MAX));
        }
        open.upgrade()?.due.add_permits(connections);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_ends_with_those_who_wait() {
        let (period, requests) = (Duration::from_millis(1), 600_000);
        let (taken, due) = (AtomicU64::new(0), Semaphore::new(0));
        let open = Arc::new(Open { period, requests, taken, due });
        let pacer = Arc::downgrade(&open);
        let thread = std::thread::spawn(move || Open::let_go(&pacer, Instant::now(), 1));
        while open.due.available_permits() == 0 {
            std::thread::yield_now();
        }
        drop(open);
        let until = Instant::now() + Duration::from_secs(20);
        while !thread.is_finished() {
            assert!(Instant::now() < until, "it would go on for ten minutes");
            std::thread::sleep(period);
        }
        assert_eq!(thread.join().unwrap(), None);
    }
}
