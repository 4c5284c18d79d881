//! S4.

use super::*;

/// A log of five units and what Redis keeps of it.
fn run() -> (Vec<Record>, MinuteLog) {
    let costs = [(0, 1), (0, 1), (5, 3), (900_000, 0)];
    let mut log: Vec<Record> =
        costs.map(|(at_us, cost)| admitted(at_us, cost, Limits::DEFAULT)).to_vec();
    log.push(denied(7, 1, Limits::DEFAULT));
    let scores_us = [0, 0, 5, 5, 5].map(|at_us| START_US + at_us).to_vec();
    (log, MinuteLog { key: key("42"), scores_us })
}

/// Whether the members contradict the log, read two seconds after the start.
fn contradicts(records: &[Record], kept: &[MinuteLog]) -> bool {
    !check_members(records, kept, START_US + 2 * SECOND).is_empty()
}

#[test]
fn a_member_for_every_unit_is_clean() {
    let (log, kept) = run();
    assert!(!contradicts(&log, &[kept]));
    assert!(!contradicts(&[], &[]));
}

#[test]
fn a_unit_charged_twice_is_found() {
    let (log, mut kept) = run();
    kept.scores_us.push(START_US + 5);
    assert!(contradicts(&log, &[kept]));
}

#[test]
fn a_charged_denial_is_found() {
    let (log, mut kept) = run();
    kept.scores_us.push(START_US + 7);
    assert!(contradicts(&log, &[kept]));
}

#[test]
fn a_lost_unit_is_found() {
    let (log, mut kept) = run();
    kept.scores_us.pop();
    assert!(contradicts(&log, &[kept]));
    assert!(contradicts(&log, &[]), "and so is a lost log");
}

#[test]
fn another_time_stamp_is_found_though_the_number_is_right() {
    let (log, mut kept) = run();
    kept.scores_us[4] += 1;
    assert!(contradicts(&log, &[kept]));
}

#[test]
fn a_log_of_nobody_is_found() {
    let (log, kept) = run();
    let stray = MinuteLog { key: key("43"), ..kept.clone() };
    assert!(contradicts(&log, &[kept, stray]));
}

#[test]
fn what_has_left_the_minute_may_be_kept_or_not() {
    let (log, kept) = run();
    let read_at_us = START_US + 60 * SECOND;
    assert!(check_members(&log, std::slice::from_ref(&kept), read_at_us).is_empty());
    let trimmed = MinuteLog { scores_us: kept.scores_us[2..].to_vec(), ..kept };
    assert!(check_members(&log, &[trimmed], read_at_us).is_empty());
}

#[test]
fn a_request_without_an_answer_may_have_left_its_units_once() {
    let (mut log, mut kept) = run();
    log.push(unknown(20, 2));
    assert!(!contradicts(&log, std::slice::from_ref(&kept)));
    kept.scores_us.extend([START_US + 20; 2]);
    assert!(!contradicts(&log, std::slice::from_ref(&kept)));
    kept.scores_us.push(START_US + 21);
    assert!(contradicts(&log, &[kept]));
}
