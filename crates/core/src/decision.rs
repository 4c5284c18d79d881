//! What a limiter answers. The script and the in-process log report the same raw numbers, a
//! [`Verdict`]; everything a client is told is derived from them here, once.

use serde::{Deserialize, Serialize};

use crate::limits::Window;

/// One window as the limiter found it: after the charge when the request was admitted, as it
/// stands when it was denied or only asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The limit in force for this decision.
    pub limit: u32,
    /// Units that count now. Above `limit` where a limit was lowered.
    pub used: u32,
    /// Microseconds until the oldest unit leaves; 0 if there is none.
    pub reset_us: u64,
    /// Microseconds until this request would fit the window: 0 if it fits, and the whole window
    /// if its cost is above the limit.
    pub wait_us: u64,
}

impl Reading {
    /// Microseconds until a request of cost 1 would fit, for a window in which the present
    /// request fitted. At most one unit has to leave then, so the oldest one tells.
    fn wait_for_one_us(&self, window: Window) -> u64 {
        if self.used < self.limit {
            0
        } else if self.limit == 0 {
            window.length_us()
        } else {
            self.reset_us
        }
    }

    fn state(&self) -> WindowState {
        let Self { limit, used, reset_us, wait_us } = *self;
        WindowState { limit, used, remaining: limit.saturating_sub(used), reset_us, wait_us }
    }
}

/// The raw answer of a decision: two windows, and whether the request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request fitted both windows and no block stood in its way.
    pub allowed: bool,
    /// The minute window.
    pub minute: Reading,
    /// The second window.
    pub second: Reading,
    /// Where the limits of both windows come from.
    pub limits_from: LimitsFrom,
    /// Microseconds until the block ends that denied the request; 0 if none did.
    pub blocked_us: u64,
    /// The time of the decision by the clock that decided, in microseconds since the epoch.
    pub at_us: u64,
}

impl Verdict {
    /// What the client is told about. Denied: the block, else the window with the longer wait.
    /// Admitted: the window that would deny the next request of cost 1 for longer. A tie, or
    /// neither: minute.
    pub fn limited_by(&self) -> LimitedBy {
        if self.blocked_us > 0 {
            return LimitedBy::Penalty;
        }
        let (minute, second) = if self.allowed {
            (
                self.minute.wait_for_one_us(Window::Minute),
                self.second.wait_for_one_us(Window::Second),
            )
        } else {
            (self.minute.wait_us, self.second.wait_us)
        };
        if second > minute { LimitedBy::Second } else { LimitedBy::Minute }
    }

    /// When to come back, in microseconds: the longest wait of all. `None` when admitted. A block
    /// outlasts the windows as a rule; where it does not, its own end would be too early a time.
    pub fn retry_after_us(&self) -> Option<u64> {
        let waits = [self.minute.wait_us, self.second.wait_us, self.blocked_us];
        (!self.allowed).then(|| waits.into_iter().fold(0, u64::max))
    }
}

/// What denied a request, or what would deny the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitedBy {
    /// The window of 60 seconds.
    Minute,
    /// The window of one second.
    Second,
    /// A block, by an operator or for too many denials. Only a denial says so.
    Penalty,
}

impl LimitedBy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Second, Self::Penalty];

    /// As in the header `X-RateLimit-Limited-By` and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Second => "second",
            Self::Penalty => "penalty",
        }
    }
}

/// Where limits come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitsFrom {
    /// The policy that matched.
    #[default]
    Policy,
    /// An override of the identity's for this policy.
    Override,
    /// An override of the identity's for every policy.
    OverrideAll,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The script in Redis: exact over the whole fleet.
    Redis,
    /// A worker that knows what the script would say: a denial that it said less than a second
    /// ago, and that holds.
    Cache,
    /// The in-process limiter: exact for this worker.
    Local,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Redis, Self::Cache, Self::Local];

    /// As in JSON and in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Cache => "cache",
            Self::Local => "local",
        }
    }
}

/// Where one window stands, as clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowState {
    /// The limit in force.
    pub limit: u32,
    /// Units that count now; above the limit where that was lowered.
    pub used: u32,
    /// Units left after this request; never negative.
    pub remaining: u32,
    /// Microseconds until the oldest unit leaves; 0 if there is none.
    pub reset_us: u64,
    /// Microseconds until this request fits the window; 0 if it does.
    pub wait_us: u64,
}

/// A decision: what every face of Transom renders.
///
/// A denial is a decision. Where none could be had there is an
/// [`Unavailable`](crate::Unavailable) instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may pass.
    pub allowed: bool,
    /// What the client is told about.
    pub limited_by: LimitedBy,
    /// Microseconds until this request would be admitted; `None` when it was.
    pub retry_after_us: Option<u64>,
    /// The minute window after this request.
    pub minute: WindowState,
    /// The second window after this request.
    pub second: WindowState,
    /// The time of the decision by the clock that decided, in microseconds since the epoch.
    pub at_us: u64,
    /// Where the limits come from.
    pub limits_from: LimitsFrom,
    /// Who decided.
    pub source: Source,
    /// Why another limiter than the configured one decided; a stable label.
    pub degraded: Option<&'static str>,
}

impl Decision {
    /// Derives what clients are told from the raw numbers.
    pub fn new(verdict: &Verdict, source: Source) -> Self {
        Self {
            allowed: verdict.allowed,
            limited_by: verdict.limited_by(),
            retry_after_us: verdict.retry_after_us(),
            minute: verdict.minute.state(),
            second: verdict.second.state(),
            at_us: verdict.at_us,
            limits_from: verdict.limits_from,
            source,
            degraded: None,
        }
    }

    /// Microseconds until the limited-by window gets better, as the header says it. Denied: the
    /// wait. Admitted: until the oldest unit of that window leaves, 0 if it is empty.
    pub fn reset_us(&self) -> u64 {
        self.retry_after_us.unwrap_or(match self.limited_by {
            LimitedBy::Minute => self.minute.reset_us,
            LimitedBy::Second => self.second.reset_us,
            LimitedBy::Penalty => 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(limit: u32, used: u32, reset_us: u64, wait_us: u64) -> Reading {
        Reading { limit, used, reset_us, wait_us }
    }

    fn verdict(allowed: bool, minute: Reading, second: Reading) -> Verdict {
        let limits_from = LimitsFrom::Policy;
        Verdict { allowed, minute, second, limits_from, blocked_us: 0, at_us: 0 }
    }

    #[test]
    fn a_block_denies_with_true_numbers_of_the_windows() {
        let open = verdict(false, reading(60, 3, 50_000_000, 0), reading(2, 0, 0, 0));
        let blocked = Verdict { blocked_us: 300_000_000, ..open };
        let decision = Decision::new(&blocked, Source::Redis);
        assert_eq!(decision.limited_by, LimitedBy::Penalty);
        assert_eq!(decision.retry_after_us, Some(300_000_000));
        assert_eq!(decision.reset_us(), 300_000_000);
        assert_eq!((decision.minute.remaining, decision.second.remaining), (57, 2));
    }

    #[test]
    fn a_block_that_ends_before_the_window_opens_does_not_promise_too_much() {
        let full = verdict(false, reading(2, 2, 40, 40_000_000), reading(2, 0, 0, 0));
        let blocked = Verdict { blocked_us: 1_000_000, ..full };
        assert_eq!(blocked.limited_by(), LimitedBy::Penalty);
        assert_eq!(blocked.retry_after_us(), Some(40_000_000));
    }

    #[test]
    fn neither_window_full_says_minute() {
        let decision = Decision::new(
            &verdict(true, reading(60, 15, 50_000_000, 0), reading(2, 1, 900_000, 0)),
            Source::Redis,
        );
        assert_eq!(decision.limited_by, LimitedBy::Minute);
        assert_eq!(decision.reset_us(), 50_000_000);
        assert_eq!((decision.minute.remaining, decision.second.remaining), (45, 1));
    }

    #[test]
    fn a_full_second_window_is_named_though_the_request_was_admitted() {
        let verdict = verdict(true, reading(60, 2, 60_000_000, 0), reading(2, 2, 999_999, 0));
        assert_eq!(verdict.limited_by(), LimitedBy::Second);
        assert_eq!(Decision::new(&verdict, Source::Local).reset_us(), 999_999);
    }

    #[test]
    fn two_waits_alike_say_minute() {
        let verdict = verdict(false, reading(2, 2, 7, 7), reading(2, 2, 7, 7));
        assert_eq!(verdict.limited_by(), LimitedBy::Minute);
        assert_eq!(verdict.retry_after_us(), Some(7));
    }

    #[test]
    fn a_limit_below_use_leaves_nothing_and_never_less() {
        let verdict = verdict(false, reading(2, 6, 1, 5), reading(2, 0, 0, 0));
        assert_eq!(Decision::new(&verdict, Source::Redis).minute.remaining, 0);
    }

    #[test]
    fn a_limit_of_zero_would_deny_the_next_request_for_the_whole_window() {
        let verdict = verdict(true, reading(0, 0, 0, 0), reading(0, 0, 0, 0));
        assert_eq!(verdict.limited_by(), LimitedBy::Minute);
    }
}
