//! Random traces: the script and the in-process limiter against the model. Failing traces shrink.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use transom_core::{Decision, Limits};
use transom_tests::oracle::{Oracle, Said};

use crate::engines::{Call, Scripts, run_local};

const START_US: u64 = 1_800_000_000_000_000;
const TRACES: u32 = 2_500;

/// A step before its time is known.
#[derive(Debug, Clone)]
enum Move {
    /// Time passes (or steps back) and a request comes.
    Ask {
        gap_us: i64,
        cost: u32,
        peek: bool,
    },
    SetLimits(Limits),
    Reset,
}

/// Gaps that matter: none, a microsecond, around each window's end, and anything between.
fn gap_us() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => Just(0),
        2 => 1..3i64,
        6 => 0..400_000i64,
        2 => 999_998..1_000_003i64,
        1 => 1_000_000..20_000_000i64,
        1 => 59_999_998..60_000_003i64,
        1 => -1_000..0i64,
        1 => -2_000_000..0i64,
        1 => -100_000_000..0i64,
    ]
}

/// Small ones, which are soon used up, and such that a second holds more entries than the script
/// reads of it at once.
fn limits() -> impl Strategy<Value = Limits> {
    prop_oneof![3 => (0..12u32, 0..5u32), 1 => (12..40u32, 6..20u32)]
        .prop_map(|(minute, second)| Limits { minute, second })
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let cost = prop_oneof![8 => Just(1u32), 2 => 0..6u32, 1 => 6..12u32];
    let ask = (gap_us(), cost, prop::bool::weighted(0.2))
        .prop_map(|(gap_us, cost, peek)| Move::Ask { gap_us, cost, peek });
    let step =
        prop_oneof![30 => ask, 2 => limits().prop_map(Move::SetLimits), 1 => Just(Move::Reset)];
    prop::collection::vec(step, 1..60)
}

fn unfold(mut limits: Limits, moves: &[Move]) -> Vec<Call> {
    let mut at_us = START_US;
    let mut calls = Vec::new();
    for step in moves {
        match *step {
            Move::SetLimits(new) => limits = new,
            Move::Reset => calls.push(Call::Reset),
            Move::Ask { gap_us, cost, peek } => {
                at_us = at_us.checked_add_signed(gap_us).unwrap();
                calls.push(if peek {
                    Call::Peek { at_us, limits, cost }
                } else {
                    Call::Admit { at_us, limits, cost }
                });
            }
        }
    }
    calls
}

fn model(calls: &[Call]) -> Vec<Said> {
    let mut oracle = Oracle::default();
    let mut said = Vec::new();
    for call in calls {
        match *call {
            Call::Admit { at_us, limits, cost } => said.push(oracle.admit(at_us, limits, cost)),
            Call::Peek { at_us, limits, cost } => said.push(oracle.peek(at_us, limits, cost)),
            Call::Reset => oracle.reset(),
        }
    }
    said
}

fn agree(
    engine: &str,
    calls: &[Call],
    expected: &[Said],
    got: &[Decision],
) -> Result<(), TestCaseError> {
    let got: Vec<Said> = got.iter().map(Said::from).collect();
    prop_assert_eq!(expected, &got[..], "{} differs from the model on {:#?}", engine, calls);
    Ok(())
}

#[test]
fn random_traces_agree_with_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let scripts = std::cell::RefCell::new(runtime.block_on(Scripts::start()));
    let config = Config { cases: TRACES, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&(limits(), moves()), |(limits, moves)| {
        let calls = unfold(limits, &moves);
        let expected = model(&calls);
        let in_redis = runtime.block_on(scripts.borrow_mut().run(&calls));
        agree("redis", &calls, &expected, &in_redis)?;
        agree("local", &calls, &expected, &runtime.block_on(run_local(&calls)))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
