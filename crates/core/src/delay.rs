//! The one place where a time is rounded, and always upward: a client that obeys a value rounded
//! down comes back early and is denied again.

/// Whole seconds that cover `us` microseconds: 0 stays 0, one microsecond is one second.
pub const fn seconds(us: u64) -> u64 {
    us.div_ceil(1_000_000)
}

/// Tenths of a second that cover `us` microseconds.
pub const fn tenths(us: u64) -> u64 {
    us.div_ceil(100_000)
}

/// Whole milliseconds that cover `us` microseconds.
pub const fn milliseconds(us: u64) -> u64 {
    us.div_ceil(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_of_one_microsecond_is_one_second_one_tenth_and_one_millisecond() {
        assert_eq!(seconds(1), 1);
        assert_eq!(tenths(1), 1);
        assert_eq!(milliseconds(1), 1);
    }

    #[test]
    fn a_whole_number_is_not_rounded_further() {
        assert_eq!(seconds(42_000_000), 42);
        assert_eq!(tenths(4_200_000), 42);
        assert_eq!(milliseconds(42_000), 42);
        assert_eq!(seconds(0), 0);
    }

    #[test]
    fn the_largest_time_does_not_overflow() {
        assert_eq!(seconds(u64::MAX), u64::MAX / 1_000_000 + 1);
    }
}
