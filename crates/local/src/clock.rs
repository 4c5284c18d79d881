//! The clock of the in-process limiter.

use std::time::{Duration, Instant, SystemTime};

/// Where the in-process limiter gets its time from.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970.
    fn now_us(&self) -> u64;
}

/// Starts at the system's time and then only moves forward, whatever happens to the system's
/// clock: nobody but this process compares its times.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started_at_us: u64,
    started: Instant,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the in-process limiter has no other clock")]
    fn default() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self { started_at_us: us(since_1970.unwrap_or_default()), started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_us(&self) -> u64 {
        self.started_at_us + us(self.started.elapsed())
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now_us(&self) -> u64 {
        C::now_us(self)
    }
}

pub(crate) fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
