//! The decision: `core`'s logs against the model, and the header fields against its words.

use http::HeaderMap;
use http::header::RETRY_AFTER;
use transom_core::headers::{self, Reset, Style};
use transom_core::{Cost, Decision, Limits, Source, WindowLogs};
use transom_tests::oracle::{Oracle, Said};

use crate::runner::run;

const START_US: u64 = 1_800_000_000_000_000;

/// The most units admitted in one trace, since the model looks at each of them all the time.
const STEPS_MAX: usize = 64;

/// How far time goes before a step; the step's second byte adds to it, or where the gap is
/// negative takes from it.
const GAPS_US: [i64; 12] = [
    0,
    0,
    1_000,
    250_000,
    999_900,
    999_999,
    1_000_000,
    20_000_000,
    59_999_999,
    60_000_000,
    -1_000,
    -61_000_000,
];

#[test]
fn decisions() {
    run("decisions", check);
}

/// Two bytes of limits, then four for each step: what, how much later (two), and the cost.
pub(crate) fn check(input: &[u8]) {
    let [minute, second, steps @ ..] = input else { return };
    let mut limits = Limits { minute: u32::from(minute % 64), second: u32::from(second % 16) };
    let (mut logs, mut oracle, mut now_us) = (WindowLogs::default(), Oracle::default(), START_US);
    for step in steps.chunks_exact(4).take(STEPS_MAX) {
        let gap_us = GAPS_US[usize::from(step[1]) % GAPS_US.len()];
        let more_us = i64::from(step[2]) * gap_us.signum();
        now_us = now_us.checked_add_signed(gap_us + more_us).unwrap();
        let cost = match step[3] {
            units @ 0..=15 => u32::from(units),
            _ => 1,
        };
        let units = Cost::new(cost.into()).unwrap();
        let (verdict, said) = match step[0] % 16 {
            0 => {
                limits =
                    Limits { minute: u32::from(step[2] % 64), second: u32::from(step[3] % 16) };
                continue;
            }
            1 => {
                logs.reset();
                oracle.reset();
                continue;
            }
            2 | 3 => (logs.peek(now_us, limits, units), oracle.peek(now_us, limits, cost)),
            _ => (logs.admit(now_us, limits, units), oracle.admit(now_us, limits, cost)),
        };
        let decision = Decision::new(&verdict, Source::Local);
        assert_eq!(Said::from(&decision), said, "at {now_us}, cost {cost}, {limits:?}");
        check_fields(&decision, &said);
    }
}

/// The fields say in whole seconds, rounded up, what the model says.
pub(crate) fn check_fields(decision: &Decision, said: &Said) {
    let [(minute, minute_left, minute_us), (second, second_left, second_us)] = said.windows;
    let better_us = said.retry_after_us.unwrap_or(match said.limited_by {
        "second" => second_us,
        _ => minute_us,
    });
    let mut fields = HeaderMap::new();
    headers::write(decision, Style::default(), &mut fields);
    headers::write_retry_after(decision.retry_after_us.unwrap_or(0), &mut fields);
    let seconds = |us: u64| (us / 1_000_000) + u64::from(!us.is_multiple_of(1_000_000));
    for (name, number) in [
        (headers::LIMIT, minute.into()),
        (headers::REMAINING, minute_left.into()),
        (headers::LIMIT_SECOND, second.into()),
        (headers::REMAINING_SECOND, second_left.into()),
        (headers::RESET, seconds(better_us)),
        (RETRY_AFTER, seconds(said.retry_after_us.unwrap_or(0))),
    ] {
        assert_eq!(fields[&name].to_str().unwrap(), number.to_string(), "{name}");
    }
    assert_eq!(fields[headers::LIMITED_BY], said.limited_by);
    let style = Style { reset: Reset::Epoch, ietf: true, aliases: true, expose: true };
    headers::write(decision, style, &mut fields);
    let epoch = seconds(decision.at_us.saturating_add(better_us));
    assert_eq!(fields[headers::RESET].to_str().unwrap(), epoch.to_string());
    assert!(fields.contains_key(headers::IETF) && fields.contains_key(headers::IETF_POLICY));
}
