//! The traces in files: every field and header of every step.

use transom_core::Decision;
use transom_tests::trace::{self, Expected, Op, Trace};

use crate::engines::{Call, Scripts, run_local};

/// The calls of a trace, and what must come back from those that are answered.
fn unfold(trace: &Trace) -> (Vec<Call>, Vec<(usize, &Expected)>) {
    let mut limits = trace.limits;
    let (mut calls, mut expected) = (Vec::new(), Vec::new());
    for (number, step) in trace.steps.iter().enumerate() {
        let at_us = trace.start_us + step.at_us;
        match &step.op {
            Op::Admit(asked) => {
                calls.push(Call::Admit { at_us, limits, cost: asked.cost });
                expected.push((number, &asked.expect));
            }
            Op::Peek(asked) => {
                calls.push(Call::Peek { at_us, limits, cost: asked.cost });
                expected.push((number, &asked.expect));
            }
            Op::SetLimits(new) => limits = *new,
            Op::Reset => calls.push(Call::Reset),
        }
    }
    (calls, expected)
}

fn compare(trace: &Trace, engine: &str, expected: &[(usize, &Expected)], got: &[Decision]) {
    assert_eq!(expected.len(), got.len(), "{}: answers of {engine}", trace.name);
    for ((number, expected), decision) in expected.iter().zip(got) {
        let step = &trace.steps[*number];
        assert_eq!(
            Expected::from(decision),
            **expected,
            "{engine}, trace {}, step {number}: {step:?}",
            trace.name
        );
    }
}

#[tokio::test]
async fn every_trace_comes_out_as_written_in_redis_and_in_process() {
    let folder = trace::folder();
    let traces = trace::load(&folder).unwrap();
    let mut scripts = Scripts::start().await;
    let mut steps = 0;
    for trace in &traces {
        let (calls, expected) = unfold(trace);
        compare(trace, "redis", &expected, &scripts.run(&calls).await);
        compare(trace, "local", &expected, &run_local(&calls).await);
        steps += expected.len();
    }
    println!("{} traces, {steps} answers, each twice, from {}", traces.len(), folder.display());
}
