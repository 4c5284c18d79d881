//! The tests that are said to show the promises.

use transom_tests::promises::PROMISES;
use transom_tests::redis_server::repository;

use crate::source::read;

#[test]
fn every_promise_is_listed_and_every_test_that_shows_one_is_there() {
    let numbers: Vec<_> = PROMISES.iter().map(|promise| promise.number).collect();
    assert_eq!(numbers, (1..=28).collect::<Vec<_>>());
    for promise in PROMISES {
        assert!(!promise.tests.is_empty() || !promise.remark.is_empty(), "{promise:?}");
        for test in promise.tests {
            let (file, name) = test.split_once("::").unwrap();
            let text = read(&repository().join(file));
            // A test, or a cell that a macro makes a test of.
            let is_there = text.contains(&format!("fn {name}("))
                || text.lines().any(|line| {
                    line.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(' '))
                });
            assert!(is_there, "P{}: there is no {test}", promise.number);
        }
    }
}
