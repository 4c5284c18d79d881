//! The reply of a script: the time of the decision, then a text for each request: eleven integers, or
//! an error. A reply that does not fit is refused, not repaired: it would mean that the script on
//! the server and this program are of different versions.

use redis::Value;
use transom_core::{LimitsFrom, Reading, Unavailable, Verdict};

/// Integers for each request.
const FIELDS: usize = 11;

/// What one request got.
pub type Answer = Result<Verdict, Unavailable>;

/// Reads the answers to `expected` requests.
///
/// # Errors
///
/// [`Unavailable::Reply`] where the reply as a whole is not of this form.
pub fn decode(reply: &Value, expected: usize) -> Result<Vec<Answer>, Unavailable> {
    let Value::Array(values) = reply else {
        return Err(unexpected("not an array"));
    };
    let Some((Value::Int(at_us), items)) = values.split_first() else {
        return Err(unexpected("no time"));
    };
    if items.len() != expected {
        return Err(unexpected(&format!("{} answers to {expected} requests", items.len())));
    }
    let at_us = u64::try_from(*at_us).map_err(|_| unexpected("a negative time"))?;
    Ok(items.iter().map(|item| answer(item, at_us)).collect())
}

fn answer(item: &Value, at_us: u64) -> Answer {
    let Value::BulkString(text) = item else {
        return Err(unexpected("an answer that is no text"));
    };
    if text.first().is_some_and(u8::is_ascii_digit) {
        return verdict(text, at_us);
    }
    let text = String::from_utf8_lossy(text);
    let text = without_place(&text);
    let (code, detail) = text.split_once(' ').unwrap_or((text, ""));
    // The script reads before it writes, and only its first write can be refused.
    Err(Unavailable::Refused { code: code.to_owned(), detail: detail.to_owned() })
}

/// Redis 6.2 puts the place in the script in front of some errors:
/// `@user_script: 1: -READONLY You can't write against a read only replica.`
fn without_place(text: &str) -> &str {
    match text.strip_prefix("@user_script").and_then(|rest| rest.split_once(": -")) {
        Some((_place, error)) => error,
        None => text,
    }
}

fn verdict(text: &[u8], at_us: u64) -> Answer {
    let (mut numbers, mut fields) = ([0; FIELDS], text.split(|byte| *byte == b' '));
    for number in &mut numbers {
        let field = fields.next().ok_or_else(|| unexpected("too few numbers"))?;
        *number = natural(field).ok_or_else(|| unexpected("what is no number"))?;
    }
    if fields.next().is_some() {
        return Err(unexpected("too many numbers"));
    }
    let [allowed, minute @ .., s_limit, s_used, s_reset_us, s_wait_us, from, blocked_us] = numbers;
    Ok(Verdict {
        allowed: match (allowed, blocked_us) {
            (0, _) => false,
            (1, 0) => true,
            (1, _) => return Err(unexpected("an admission in spite of a block")),
            _ => return Err(unexpected("neither a denial nor an admission")),
        },
        minute: reading(minute)?,
        second: reading([s_limit, s_used, s_reset_us, s_wait_us])?,
        limits_from: match from {
            0 => LimitsFrom::Policy,
            1 => LimitsFrom::Override,
            2 => LimitsFrom::OverrideAll,
            _ => return Err(unexpected("limits of another origin")),
        },
        blocked_us,
        at_us,
    })
}

fn reading([limit, used, reset_us, wait_us]: [u64; 4]) -> Result<Reading, Unavailable> {
    let units = |value| u32::try_from(value).map_err(|_| unexpected("more units than there are"));
    Ok(Reading { limit: units(limit)?, used: units(used)?, reset_us, wait_us })
}

/// Digits and nothing else.
fn natural(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| match byte.wrapping_sub(b'0') {
        digit @ 0..=9 => number.checked_mul(10)?.checked_add(u64::from(digit)),
        _ => None,
    })
}

fn unexpected(what: &str) -> Unavailable {
    Unavailable::Reply(what.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn reply(items: Vec<Value>) -> Value {
        Value::Array(std::iter::once(Value::Int(1_800_000_000_000_000)).chain(items).collect())
    }

    #[test]
    fn eleven_integers_are_a_verdict() {
        let value = reply(vec![text("1 60 3 59000000 0 2 1 900000 0 2 0")]);
        let verdict = decode(&value, 1).unwrap().remove(0).unwrap();
        assert!(verdict.allowed);
        assert_eq!(
            verdict.minute,
            Reading { limit: 60, used: 3, reset_us: 59_000_000, wait_us: 0 }
        );
        assert_eq!(verdict.second, Reading { limit: 2, used: 1, reset_us: 900_000, wait_us: 0 });
        assert_eq!((verdict.limits_from, verdict.blocked_us), (LimitsFrom::OverrideAll, 0));
        assert_eq!(verdict.at_us, 1_800_000_000_000_000);
    }

    #[test]
    fn an_error_fails_its_own_request_alone() {
        let wrong = text("WRONGTYPE Operation against a key");
        let value = reply(vec![wrong, text("0 60 3 1 0 2 2 1 1 0 0")]);
        let answers = decode(&value, 2).unwrap();
        assert_eq!(
            answers[0],
            Err(Unavailable::Refused {
                code: "WRONGTYPE".into(),
                detail: "Operation against a key".into()
            })
        );
        assert!(answers[1].is_ok());
    }

    #[test]
    fn an_error_of_redis_6_is_read_without_its_place() {
        let old = "@user_script: 1: -READONLY You can't write against a read only replica.";
        let answers = decode(&reply(vec![text(old)]), 1).unwrap();
        let Err(Unavailable::Refused { code, .. }) = &answers[0] else { panic!("{answers:?}") };
        assert_eq!(code, "READONLY");
    }

    #[test]
    fn a_reply_of_another_version_is_refused() {
        for bad in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![Value::Int(-1), text("1 60 3 0 0 2 1 0 0 0 0")]),
            reply(vec![text("1 2 3")]),
            reply(vec![text("1 60 3 0 0 2 1 0 0 0 0 0")]),
            reply(vec![text("1 60 3 0 0 2 1 0 0 0 0 ")]),
            reply(vec![text("1 60  3 0 0 2 1 0 0 0")]),
            reply(vec![text("1 60 -3 0 0 2 1 0 0 0 0")]),
            reply(vec![text("1 60 +3 0 0 2 1 0 0 0 0")]),
            reply(vec![text("1 60 3.5 0 0 2 1 0 0 0 0")]),
            reply(vec![text("1 60 1099511627776 0 0 2 1 0 0 0 0")]),
            reply(vec![text("1 60 3 0 0 2 1 0 0 3 0")]),
            reply(vec![text("2 60 3 0 0 2 1 0 0 0 0")]),
            reply(vec![text("1 60 3 0 0 2 1 0 0 0 9")]),
            reply(vec![Value::Nil]),
            reply(vec![Value::Array(vec![Value::Int(1)])]),
        ] {
            let answers = decode(&bad, 1);
            let refused = match &answers {
                Ok(answers) => answers[0].is_err(),
                Err(reason) => matches!(reason, Unavailable::Reply(_)),
            };
            assert!(refused, "{bad:?} gave {answers:?}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_panics(said in "([0-9]{1,21}[ +a-]?){0,14}|.*", n in 0usize..4) {
            let _ = decode(&reply(vec![text(&said); n]), 1);
        }
    }
}
