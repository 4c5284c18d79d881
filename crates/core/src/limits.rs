//! Windows, limits and costs: the numbers a decision starts from.

use serde::{Deserialize, Serialize};

/// One of the two sliding windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// One second.
    Second,
}

impl Window {
    /// Both windows, in the order in which keys and replies name them.
    pub const ALL: [Self; 2] = [Self::Minute, Self::Second];

    /// How long a unit counts, in microseconds.
    pub const fn length_us(self) -> u64 {
        match self {
            Self::Minute => 60_000_000,
            Self::Second => 1_000_000,
        }
    }

    /// How long a unit counts, in seconds.
    pub const fn length_s(self) -> u64 {
        self.length_us() / 1_000_000
    }

    /// `minute` or `second`, as in headers, key names and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Second => "second",
        }
    }
}

/// How many units each window takes. 0 denies every cost above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Units in any 60 seconds.
    pub minute: u32,
    /// Units in any second.
    pub second: u32,
}

impl Limits {
    /// What a caller may do where nothing else is configured: 60 a minute and 2 a second.
    pub const DEFAULT: Self = Self { minute: 60, second: 2 };

    /// The limit of one window.
    pub const fn of(self, window: Window) -> u32 {
        match window {
            Window::Minute => self.minute,
            Window::Second => self.second,
        }
    }

    /// The part of these limits that one of `workers` workers may give away on its own: the
    /// limit divided by the workers, rounded down, and at least 1 where the limit is not 0.
    pub const fn share(self, workers: u32) -> Self {
        Self { minute: share_of(self.minute, workers), second: share_of(self.second, workers) }
    }
}

const fn share_of(limit: u32, workers: u32) -> u32 {
    let workers = if workers == 0 { 1 } else { workers };
    if limit == 0 {
        0
    } else if limit < workers {
        1
    } else {
        limit / workers
    }
}

/// How many units a request asks for: 0 to 1,000. A cost of 0 is decided and not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Cost(u16);

/// A cost above [`Cost::MAX`]: a bad request, not a denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cost is 0 to {max}, not {0}", max = Cost::MAX)]
pub struct CostError(u64);

impl Cost {
    /// What a request costs unless its policy says otherwise.
    pub const ONE: Self = Self(1);
    /// Decided, and charged nothing.
    pub const NOTHING: Self = Self(0);
    /// The highest cost.
    pub const MAX: u16 = 1_000;

    /// A cost of `units`.
    ///
    /// # Errors
    ///
    /// [`CostError`] above [`Cost::MAX`].
    pub fn new(units: u64) -> Result<Self, CostError> {
        match u16::try_from(units) {
            Ok(units) if units <= Self::MAX => Ok(Self(units)),
            _ => Err(CostError(units)),
        }
    }

    /// The units asked for.
    pub const fn units(self) -> u32 {
        self.0 as u32
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self::ONE
    }
}

impl TryFrom<u64> for Cost {
    type Error = CostError;

    fn try_from(units: u64) -> Result<Self, CostError> {
        Self::new(units)
    }
}

impl From<Cost> for u64 {
    fn from(cost: Cost) -> Self {
        Self::from(cost.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_above_a_thousand_is_refused_by_its_value() {
        assert_eq!(Cost::new(1_000).map(Cost::units), Ok(1_000));
        let error = Cost::new(1_001).unwrap_err();
        assert_eq!(error.to_string(), "a cost is 0 to 1000, not 1001");
        assert!(serde_json::from_str::<Cost>("70000").is_err());
    }

    #[test]
    fn a_share_is_rounded_down_but_never_to_nothing() {
        let limits = Limits { minute: 60, second: 2 };
        assert_eq!(limits.share(1), limits);
        assert_eq!(limits.share(0), limits);
        assert_eq!(limits.share(7), Limits { minute: 8, second: 1 });
        assert_eq!(limits.share(100), Limits { minute: 1, second: 1 });
        assert_eq!(Limits { minute: 0, second: 0 }.share(3), Limits { minute: 0, second: 0 });
    }
}
