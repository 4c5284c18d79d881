use proptest::prelude::*;

use super::*;

const T0: u64 = 1_800_000_000_000_000;

fn limits(minute: u32, second: u32) -> Limits {
    Limits { minute, second }
}

fn cost(units: u64) -> Cost {
    Cost::new(units).unwrap()
}

#[test]
fn a_unit_counts_until_one_microsecond_before_its_window_ends() {
    let mut logs = WindowLogs::default();
    assert!(logs.admit(T0, limits(60, 1), Cost::ONE).allowed);
    let early = logs.admit(T0 + 999_999, limits(60, 1), Cost::ONE);
    assert_eq!((early.allowed, early.retry_after_us()), (false, Some(1)));
    assert!(logs.admit(T0 + 1_000_000, limits(60, 1), Cost::ONE).allowed);
}

#[test]
fn a_denied_request_is_recorded_in_neither_window() {
    let mut logs = WindowLogs::default();
    logs.admit(T0, limits(60, 1), Cost::ONE);
    let before = logs.clone();
    assert!(!logs.admit(T0 + 1, limits(60, 1), Cost::ONE).allowed);
    assert_eq!(logs, before);
}

#[test]
fn a_cost_above_the_limit_waits_a_whole_window() {
    let mut logs = WindowLogs::default();
    let verdict = logs.admit(T0, limits(60, 2), cost(3));
    assert_eq!((verdict.allowed, verdict.second.wait_us), (false, 1_000_000));
}

#[test]
fn a_step_back_of_the_clock_locks_a_key_for_one_window_at_most() {
    let mut logs = WindowLogs::default();
    let hour_us = 3_600_000_000;
    logs.admit(T0 + hour_us, limits(1, 1), Cost::ONE);
    assert_eq!(logs.admit(T0, limits(1, 1), Cost::ONE).retry_after_us(), Some(60_000_000));
    assert!(logs.admit(T0 + 60_000_000, limits(1, 1), Cost::ONE).allowed);
}

#[test]
fn a_log_is_idle_when_its_last_unit_has_left_the_minute() {
    let mut logs = WindowLogs::default();
    assert!(logs.is_idle(T0));
    logs.admit(T0, limits(60, 2), Cost::ONE);
    assert!(!logs.is_idle(T0 + 59_999_999));
    assert!(logs.is_idle(T0 + 60_000_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Denied at every step of the promised wait, admitted exactly at its end.
    #[test]
    fn a_wait_is_exact_to_the_microsecond(
        gaps_us in prop::collection::vec(0u64..2_000_000, 1..80),
        minute in 1u32..20,
        second in 1u32..5,
        units in 1u64..5,
        steps in 1u64..6,
    ) {
        let limits = limits(minute, second);
        let mut logs = WindowLogs::default();
        let mut now_us = T0;
        for gap_us in gaps_us {
            now_us += gap_us;
            logs.admit(now_us, limits, Cost::ONE);
        }
        let asked = cost(units.min(u64::from(minute.min(second))));
        let wait_us = loop {
            if let Some(wait_us) = logs.admit(now_us, limits, asked).retry_after_us() {
                break wait_us;
            }
        };
        for step in 0..steps {
            let at_us = now_us + wait_us * step / steps;
            prop_assert!(!logs.admit(at_us, limits, asked).allowed, "early at step {step}");
        }
        prop_assert!(!logs.admit(now_us + wait_us - 1, limits, asked).allowed);
        prop_assert!(logs.admit(now_us + wait_us, limits, asked).allowed);
    }

    /// No half-open interval of a window's length holds more than its limit.
    #[test]
    fn no_window_holds_more_than_its_limit(
        calls in prop::collection::vec((0u64..700_000, 0u64..4), 1..200),
        minute in 0u32..30,
        second in 0u32..5,
    ) {
        let limits = limits(minute, second);
        let mut logs = WindowLogs::default();
        let mut now_us = T0;
        let mut admitted = Vec::new();
        for (gap_us, units) in calls {
            now_us += gap_us;
            if logs.admit(now_us, limits, cost(units)).allowed {
                admitted.push((now_us, units));
            }
        }
        for window in Window::ALL {
            for (start_us, _) in &admitted {
                let inside = admitted.iter().filter(|(t, _)| {
                    (*start_us..start_us + window.length_us()).contains(t)
                });
                let units: u64 = inside.map(|(_, units)| units).sum();
                prop_assert!(units <= u64::from(limits.of(window)));
            }
        }
    }

    /// A peek says what admit then does, and changes nothing.
    #[test]
    fn a_peek_foretells_the_admission(
        calls in prop::collection::vec((0u64..900_000, 0u64..4), 1..100),
        minute in 0u32..10,
        second in 0u32..4,
    ) {
        let limits = limits(minute, second);
        let mut logs = WindowLogs::default();
        let mut now_us = T0;
        for (gap_us, units) in calls {
            now_us += gap_us;
            let before = logs.clone();
            let peeked = logs.peek(now_us, limits, cost(units));
            prop_assert_eq!(&logs, &before);
            let decided = logs.admit(now_us, limits, cost(units));
            prop_assert_eq!(peeked.allowed, decided.allowed);
            prop_assert_eq!(peeked.retry_after_us(), decided.retry_after_us());
        }
    }
}
