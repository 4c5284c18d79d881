//! The reply of the script: any RESP, of protocol 2 or 3, read as a decision.

use redis::{Value, parse_redis_value};
use transom_core::{Decision, Source};
use transom_redis::decode;
use transom_tests::oracle::Said;

use crate::decisions::check_fields;
use crate::runner::run;

#[test]
fn replies() {
    run("replies", check);
}

/// A digit, the number of requests that the reply is for, then RESP.
pub(crate) fn check(input: &[u8]) {
    let [digit @ b'0'..=b'9', resp @ ..] = input else { return };
    let Ok(value) = parse_redis_value(resp) else { return };
    let expected = usize::from(digit - b'0');
    let (decoded, slow) = (decode(&value, expected), decode_slowly(&value, expected));
    assert_eq!(decoded.is_ok(), slow.is_some(), "{value:?} as {expected}: {decoded:?}");
    let (Ok(answers), Some(slow)) = (decoded, slow) else { return };
    assert_eq!(answers.len(), expected);
    for (answer, numbers) in answers.iter().zip(slow) {
        assert_eq!(answer.is_ok(), numbers.is_some(), "{value:?}: {answer:?}");
        let (Ok(verdict), Some([at_us, numbers @ ..])) = (answer, numbers) else { continue };
        let [allowed, minute, m_used, m_reset, m_wait, second, s_used, s_reset, s_wait, _, block] =
            numbers;
        let waits = [m_wait, s_wait, block];
        let said = Said {
            allowed: allowed == 1,
            windows: [window(minute, m_used, m_reset), window(second, s_used, s_reset)],
            limited_by: limited_by(numbers),
            retry_after_us: (allowed != 1).then(|| *waits.iter().max().unwrap()),
        };
        assert_eq!(verdict.at_us, at_us);
        let decision = Decision::new(verdict, Source::Redis);
        assert_eq!(Said::from(&decision), said);
        check_fields(&decision, &said);
    }
}

fn window(limit: u64, used: u64, reset_us: u64) -> (u32, u32, u64) {
    let remaining = limit.max(used) - used;
    (u32::try_from(limit).unwrap(), u32::try_from(remaining).unwrap(), reset_us)
}

fn limited_by(numbers: [u64; 11]) -> &'static str {
    let [allowed, minute, m_used, m_reset, m_wait, second, s_used, s_reset, s_wait, _, block] =
        numbers;
    let wait_for_one = |limit, used, reset_us, length_us| match (limit, used) {
        (0, _) => length_us,
        (limit, used) if used < limit => 0,
        _ => reset_us,
    };
    let (minute_us, second_us) = if allowed == 1 {
        (
            wait_for_one(minute, m_used, m_reset, 60_000_000),
            wait_for_one(second, s_used, s_reset, 1_000_000),
        )
    } else {
        (m_wait, s_wait)
    };
    match block {
        0 if second_us > minute_us => "second",
        0 => "minute",
        _ => "penalty",
    }
}

/// The time and the eleven numbers of each answer, `None` for one that is no decision; `None`
/// for a reply that is none.
fn decode_slowly(value: &Value, expected: usize) -> Option<Vec<Option<[u64; 12]>>> {
    let Value::Array(items) = value else { return None };
    let Value::Int(at_us) = items.first()? else { return None };
    let at_us = u64::try_from(*at_us).ok()?;
    if items.len() != 1 + expected {
        return None;
    }
    Some(items[1..].iter().map(|item| numbers(at_us, item)).collect())
}

fn numbers(at_us: u64, item: &Value) -> Option<[u64; 12]> {
    let Value::BulkString(bytes) = item else { return None };
    let mut numbers = vec![at_us];
    for field in bytes.split(|byte| *byte == b' ') {
        let digits = field.iter().map(|byte| char::from(*byte).to_digit(10));
        let digits: Vec<_> =
            digits.collect::<Option<_>>().filter(|some: &Vec<_>| !some.is_empty())?;
        let number = digits.iter().try_fold(0_u64, |number, digit| {
            number.checked_mul(10)?.checked_add(u64::from(*digit))
        });
        numbers.push(number?);
    }
    let numbers: [u64; 12] = numbers.try_into().ok()?;
    let is_units = |place: usize| numbers[place] <= u64::from(u32::MAX);
    let units = [2, 3, 6, 7].into_iter().all(is_units);
    let block_denies = numbers[11] == 0 || numbers[1] == 0;
    (units && numbers[1] <= 1 && numbers[10] <= 2 && block_denies).then_some(numbers)
}
