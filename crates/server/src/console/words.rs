//! Numbers, times and addresses as they stand on a page.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use transom_core::LimitsFrom;

pub(super) use crate::operator::wait;

/// A moment as a person reads it: `2026-11-24 08:30:00 UTC`.
pub(super) fn moment(at_us: u64) -> String {
    plain(&rfc3339(at_us))
}

/// A moment in RFC 3339 as a person reads it.
pub(super) fn plain(rfc3339: &str) -> String {
    format!("{} UTC", rfc3339.trim_end_matches('Z').replace('T', " "))
}

/// A moment as a machine reads it, for `datetime`.
pub(super) fn rfc3339(at_us: u64) -> String {
    // The last second that can be written: the end of the year 9999.
    let at_s = (at_us / 1_000_000).min(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at_s)).to_string()
}

/// The time of day, to the millisecond: `08:30:00.125`.
pub(super) fn time_of_day(at_us: u64) -> String {
    let (s, ms) = (at_us / 1_000_000 % 86_400, at_us / 1_000 % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)
}

/// A short time ago, to the millisecond.
pub(super) fn ago(age_us: u64) -> String {
    format!("{}.{:03} s ago", age_us / 1_000_000, age_us / 1_000 % 1_000)
}

/// A number with its thousands apart: `12 345`, with spaces that do not break.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number of units: `1 unit`, `2 units`.
pub(super) fn units(count: u64) -> String {
    format!("{} {}", number(count), if count == 1 { "unit" } else { "units" })
}

/// When something ends, or that it does not.
pub(super) fn until(until_us: Option<u64>) -> String {
    until_us.map_or_else(|| "no end".to_owned(), moment)
}

/// Who did something, or that nobody said.
pub(super) fn by(by: &str) -> &str {
    if by.is_empty() { "somebody" } else { by }
}

/// Where the limits come from.
pub(super) const fn source_of(limits: LimitsFrom) -> &'static str {
    match limits {
        LimitsFrom::Policy => "the policy",
        LimitsFrom::Override => "an override for this policy",
        LimitsFrom::OverrideAll => "an override for all policies",
    }
}

/// The page of an identity.
pub(super) fn identity_page(identity: &str) -> String {
    format!("/identities/{}", encoded(identity))
}

/// Text as one segment of a path, or as one value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_by_people_and_never_panic() {
        assert_eq!(moment(1_800_000_000_999_999), "2027-01-15 08:00:00 UTC");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(u64::MAX), "9999-12-31 23:59:59 UTC");
        assert_eq!(time_of_day(1_800_000_000_125_000), "08:00:00.125");
    }

    #[test]
    fn waits_are_rounded_up() {
        let shown = [0, 1, 100_000, 100_001, 59_900_000, 59_900_001, 3_600_000_000].map(wait);
        assert_eq!(shown, ["0.0 s", "0.1 s", "0.1 s", "0.2 s", "59.9 s", "1m", "1h"]);
    }

    #[test]
    fn thousands_stand_apart() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567].map(number);
        assert_eq!(shown, ["0", "999", "1\u{202f}000", "12\u{202f}345", "1\u{202f}234\u{202f}567"]);
    }

    #[test]
    fn what_is_encoded_stays_one_segment() {
        assert_eq!(identity_page("user:42"), "/identities/user:42");
        assert_eq!(encoded("user:a/b?c#d&e=f g\"<ä"), "user:a%2Fb%3Fc%23d%26e%3Df%20g%22%3C%C3%A4");
    }
}
