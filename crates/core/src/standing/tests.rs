use std::sync::Arc;

use super::*;
use crate::{Cost, Identity, LimitedBy, Policy};

const NOW_US: u64 = 1_800_000_000_000_000;
const SECOND_US: u64 = 1_000_000;
const RULES: PenaltyRules = PenaltyRules {
    strikes: 2,
    within_us: 60 * SECOND_US,
    block_us: 10 * SECOND_US,
    max_us: 30 * SECOND_US,
    forget_us: 100 * SECOND_US,
};

fn request(minute: u32, second: u32) -> Request {
    let limits = Limits { minute, second };
    let policy = Arc::new(Policy::new(PolicyName::default(), limits));
    let identity = Identity::user("42").unwrap();
    Request { penalty: Some(RULES), ..Request::new(identity, policy, Cost::ONE) }
}

fn held(minute: u32, until_us: Option<u64>) -> Override {
    let limits = Limits { minute, second: 9 };
    Override { limits, until_us, at_us: NOW_US, note: Note::default() }
}

fn policy(name: &str) -> Scope {
    Scope::Policy(PolicyName::new(name).unwrap())
}

#[test]
fn an_override_for_a_policy_goes_before_one_for_all() {
    let (name, own) = (PolicyName::default(), Limits::DEFAULT);
    let mut standing = Standing::default();
    assert_eq!(standing.limits(&name, own, NOW_US), (own, LimitsFrom::Policy));
    standing.overrides.insert(Scope::All, held(100, None));
    let (limits, from) = standing.limits(&name, own, NOW_US);
    assert_eq!((limits.minute, from), (100, LimitsFrom::OverrideAll));
    standing.overrides.insert(policy("default"), held(200, None));
    let (limits, from) = standing.limits(&name, own, NOW_US);
    assert_eq!((limits.minute, from), (200, LimitsFrom::Override));
    standing.overrides.insert(policy("search"), held(300, None));
    assert_eq!(standing.limits(&name, own, NOW_US).0.minute, 200);
}

#[test]
fn an_override_ends_by_itself_and_the_next_one_holds() {
    let (name, own) = (PolicyName::default(), Limits::DEFAULT);
    let mut standing = Standing::default();
    standing.overrides.insert(policy("default"), held(200, Some(NOW_US + 1)));
    standing.overrides.insert(Scope::All, held(100, Some(NOW_US + 2)));
    let at = |now_us| standing.limits(&name, own, now_us).0.minute;
    assert_eq!([at(NOW_US), at(NOW_US + 1), at(NOW_US + 2)], [200, 100, 60]);
    assert!(!standing.settle(NOW_US + 1));
    assert_eq!(standing.overrides.len(), 1);
    assert!(standing.settle(NOW_US + 2));
}

#[test]
fn one_denial_more_than_is_borne_is_a_block() {
    let (mut standing, mut logs) = (Standing::default(), WindowLogs::default());
    let request = request(60, 1);
    let mut admit = || standing.admit(&mut logs, NOW_US, &request, 0);
    assert!(admit().allowed);
    for _ in 0..RULES.strikes {
        assert_eq!(admit().limited_by(), LimitedBy::Second);
    }
    let blocked = admit();
    assert_eq!(blocked.limited_by(), LimitedBy::Penalty);
    assert_eq!(blocked.retry_after_us(), Some(RULES.block_us));
    let later = NOW_US + 4 * SECOND_US;
    let denied = standing.admit(&mut logs, later, &request, 0);
    assert_eq!(denied.blocked_us, 6 * SECOND_US);
    assert!(!denied.allowed);
    assert_eq!((denied.minute.used, denied.second.used), (1, 0), "the numbers are true");
    assert!(standing.admit(&mut logs, NOW_US + RULES.block_us, &request, 0).allowed);
}

#[test]
fn each_block_is_twice_as_long_up_to_the_longest_and_all_is_forgotten() {
    let mut penalty = Penalty::default();
    let mut now_us = NOW_US;
    for seconds in [10, 20, 30, 30] {
        let lengths = [(); 3].map(|()| penalty.strike(now_us, 1, &RULES));
        assert_eq!(lengths, [0, 0, seconds * SECOND_US]);
        now_us += seconds * SECOND_US;
    }
    assert!(!penalty.is_forgotten(now_us + RULES.forget_us - 1));
    now_us += RULES.forget_us;
    assert!(penalty.is_forgotten(now_us));
    let lengths = [(); 3].map(|()| penalty.strike(now_us, 1, &RULES));
    assert_eq!(lengths, [0, 0, RULES.block_us]);
}

#[test]
fn strikes_count_from_the_first_of_them() {
    let mut penalty = Penalty::default();
    let second_last = NOW_US + RULES.within_us - 1;
    assert_eq!([NOW_US, second_last].map(|at| penalty.strike(at, 1, &RULES)), [0, 0]);
    assert_eq!(penalty.strike(NOW_US + RULES.within_us, 1, &RULES), 0, "a span of its own");
    assert_eq!((penalty.strikes, penalty.since_us), (1, NOW_US + RULES.within_us));
}

#[test]
fn a_step_back_of_the_clock_makes_no_block_longer() {
    let (mut standing, mut logs) = (Standing::default(), WindowLogs::default());
    while standing.penalty.strike(NOW_US, 1, &RULES) == 0 {}
    let open = request(60, 2);
    let mut now_us = NOW_US - 3_600 * SECOND_US;
    assert_eq!(standing.peek(&logs, now_us, &open).blocked_us, RULES.block_us);
    assert_eq!(standing.admit(&mut logs, now_us, &open, 0).blocked_us, RULES.block_us);
    now_us += RULES.block_us - 1;
    assert_eq!(standing.admit(&mut logs, now_us, &open, 0).blocked_us, 1);
    assert!(standing.admit(&mut logs, now_us + 1, &open, 0).allowed);
}

#[test]
fn denials_of_before_may_block_a_request_that_fits() {
    let (mut standing, mut logs) = (Standing::default(), WindowLogs::default());
    let open = request(60, 2);
    assert!(standing.admit(&mut logs, NOW_US, &open, RULES.strikes).allowed);
    let blocked = standing.admit(&mut logs, NOW_US, &open, 1);
    assert_eq!(blocked.limited_by(), LimitedBy::Penalty);
    assert_eq!((blocked.allowed, blocked.minute.used), (false, 1));
}

#[test]
fn where_denials_are_not_enforced_no_block_stands_and_none_is_earned() {
    let (mut standing, mut logs) = (Standing::default(), WindowLogs::default());
    let shadow = Request { enforced: false, ..request(0, 0) };
    for _ in 0..5 {
        assert_eq!(standing.admit(&mut logs, NOW_US, &shadow, 0).blocked_us, 0);
    }
    assert_eq!(standing, Standing::default());
    let block = Block { until_us: None, at_us: NOW_US, note: Note::default() };
    standing.penalty.block = Some(block);
    let open = Request { enforced: false, ..request(60, 2) };
    assert!(standing.admit(&mut logs, NOW_US, &open, 0).allowed);
    let enforced = request(60, 2);
    let denied = standing.peek(&logs, NOW_US, &enforced);
    assert_eq!(denied.retry_after_us(), Some(ENDLESS_WAIT_US));
}

#[test]
fn lengths_do_not_overflow() {
    let rules = PenaltyRules { block_us: u64::MAX / 2, max_us: u64::MAX, ..RULES };
    assert_eq!(rules.length_us(0), u64::MAX / 2);
    assert_eq!(rules.length_us(40), u64::MAX);
    assert_eq!(RULES.length_us(u32::MAX), RULES.max_us);
}
