//! S5.

use super::honest::log_of;
use super::*;

const LIMITS: Limits = Limits { minute: 10, second: 4 };

/// A little of everything: two in one microsecond, a cost of 3, denials by either window, and one
/// that can never fit.
fn log() -> Vec<Record> {
    let requests =
        [(0, 1), (0, 1), (9, 3), (0, 1), (400_000, 1), (600_000, 1), (SECOND, 4), (0, 1), (7, 11)];
    log_of(&requests, LIMITS, 1)
}

/// The honest log with one answer changed.
fn with(position: usize, change: impl FnOnce(&mut Told)) -> Vec<Record> {
    let mut log = log();
    let Outcome::Told(told) = &mut log[position].outcome else { unreachable!() };
    change(told);
    log
}

#[test]
fn the_honest_log_holds_both_answers_and_is_clean() {
    let report = check(&log(), Clock::REDIS);
    report.assert_clean();
    assert_eq!((report.counts.admitted, report.counts.denied), (6, 3));
}

#[test]
fn any_wrong_number_in_any_answer_breaks_s5() {
    for position in 0..log().len() {
        for window in 0..2 {
            let units = with(position, |told| told.windows[window].remaining ^= 1);
            assert!(breaks(Rule::S5Hints, &units), "remaining of {position}");
            let late = with(position, |told| told.windows[window].reset_us += 1);
            assert!(breaks(Rule::S5Hints, &late), "reset of {position}");
        }
        let wait = with(position, |told| {
            told.retry_after_us = told.retry_after_us.map_or(Some(1), |us| Some(us - 1));
        });
        assert!(breaks(Rule::S5Hints, &wait), "wait of {position}");
    }
}

#[test]
fn answers_of_one_microsecond_must_name_one_after_the_other() {
    // Both say that three are left of the second: one unit is not accounted for.
    let twice = with(1, |told| {
        told.windows[0].remaining += 1;
        told.windows[1].remaining += 1;
    });
    assert!(breaks(Rule::S5Hints, &twice));
}

#[test]
fn a_denial_may_stand_anywhere_within_its_microsecond() {
    // Asked for 5 of 4 between the two admissions, and told so.
    let log = log_of(&[(0, 1), (0, 5), (0, 1)], LIMITS, 1);
    check(&log, Clock::REDIS).assert_clean();
}

#[test]
fn times_in_milliseconds_are_rounded_up() {
    let requests = [(0, 4), (300, 1), (699_900, 2), (299_799, 1)];
    let rounded = log_of(&requests, LIMITS, 1_000);
    check(&rounded, Clock::REDIS).assert_clean();
    let Outcome::Told(last) = &rounded[3].outcome else { unreachable!() };
    assert_eq!(last.retry_after_us, Some(1_000), "one microsecond, rounded up");
    let mut down = rounded;
    let Outcome::Told(told) = &mut down[3].outcome else { unreachable!() };
    told.retry_after_us = Some(0);
    assert!(breaks(Rule::S5Hints, &down));
}

#[test]
fn after_a_request_without_an_answer_no_number_is_judged() {
    let mut log = with(4, |told| told.windows[0].remaining -= 1);
    assert!(breaks(Rule::S5Hints, &log));
    log.push(unknown(5, 1));
    assert!(!breaks(Rule::S5Hints, &log));
}
