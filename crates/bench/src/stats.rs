//! Medians and ratios in integers. A ratio is in thousandths.

use std::fmt;

/// What one system reached in each round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<u64>);

/// Thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PerMille(pub(crate) u64);

impl Series {
    pub(crate) fn push(&mut self, value: u64) {
        self.0.push(value);
    }

    pub(crate) fn median(&self) -> u64 {
        median(self.0.clone())
    }

    /// The ratios to another system in the same round, in thousandths: what slows the machine for
    /// a while slows both.
    pub(crate) fn ratios(&self, base: &Self) -> Self {
        let rounds = self.0.iter().zip(&base.0);
        rounds.map(|(value, base)| value * 1_000 / (*base).max(1)).collect()
    }

    /// The median of [these](Self::ratios).
    pub(crate) fn against(&self, base: &Self) -> PerMille {
        PerMille(self.ratios(base).median())
    }

    /// All rounds as they are shown, in their order.
    pub(crate) fn each(&self, show: impl Fn(u64) -> String) -> String {
        let shown: Vec<_> = self.0.iter().map(|value| show(*value)).collect();
        shown.join(", ")
    }

    /// The median as it is shown; a dash where nothing was measured.
    pub(crate) fn shown(&self, show: impl Fn(u64) -> String) -> String {
        if self.0.is_empty() { "-".to_owned() } else { show(self.median()) }
    }

    /// The lowest and the highest round as they are shown; a dash where nothing was measured.
    pub(crate) fn shown_range(&self, show: impl Fn(u64) -> String) -> String {
        let (lowest, highest) = self.range();
        self.shown(|_| format!("{} to {}", show(lowest), show(highest)))
    }

    /// Rounds of it.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was measured.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lowest and the highest round.
    pub(crate) fn range(&self) -> (u64, u64) {
        let lowest = self.0.iter().min().copied().unwrap_or(0);
        (lowest, self.0.iter().max().copied().unwrap_or(0))
    }
}

impl FromIterator<u64> for Series {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// The middle value, the lower one of two; 0 of none.
pub(crate) fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

/// With two places, rounded down.
impl fmt::Display for PerMille {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 1_000, self.0 % 1_000 / 10)
    }
}

/// Thousandths, as [`PerMille`] shows them.
pub(crate) fn ratio(per_mille: u64) -> String {
    PerMille(per_mille).to_string()
}

/// Thousands apart: `12,345`.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nanoseconds as microseconds with one place.
pub(crate) fn micros(ns: u64) -> String {
    format!("{}.{}", grouped(ns / 1_000), ns % 1_000 / 100)
}

/// Nanoseconds as milliseconds with two places.
pub(crate) fn millis(ns: u64) -> String {
    format!("{}.{:02}", grouped(ns / 1_000_000), ns % 1_000_000 / 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        // The second round ran on a machine at half speed.
        let (fast, slow) = (Series(vec![300, 150, 330]), Series(vec![100, 50, 110]));
        assert_eq!(fast.against(&slow), PerMille(3_000));
        assert_eq!(fast.ratios(&slow).each(ratio), "3.00, 3.00, 3.00");
        assert_eq!(fast.median(), 300);
        assert_eq!(fast.range(), (150, 330));
    }

    #[test]
    fn nothing_measured_is_nothing() {
        assert_eq!(median(vec![]), 0);
        assert_eq!(Series::default().shown(micros), "-");
        assert_eq!(Series::default().shown_range(micros), "-");
        assert_eq!(Series(vec![0]).shown(micros), "0.0");
        assert_eq!(Series::default().against(&Series::default()), PerMille(0));
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(PerMille(755).to_string(), "0.75");
        assert_eq!(["1", "999", "12,345"], [1, 999, 12_345].map(grouped)[..]);
        assert_eq!(micros(1_234_567), "1,234.5");
        assert_eq!(millis(1_234_567), "1.23");
    }
}
