//! What Envoy is told of what was decided.
//!
//! | of the descriptors                 | the answer                                             |
//! |------------------------------------|--------------------------------------------------------|
//! | one is denied                      | `OVER_LIMIT`, the fields and the body of a 429         |
//! | else one has no decision, `deny`   | the error `UNAVAILABLE`: a client over no limit that is known of gets no 429 |
//! | else                               | `OK`, and the rate-limit fields                        |
//!
//! There is one answer to the client, so of several descriptors one gives the fields: of those
//! denied the one with the longest wait, else the one that has the fewest units left. A status has
//! room for one window: the one in `X-RateLimit-Limited-By`, the minute for a block.

use bytes::Bytes;
use http::HeaderMap;
use tonic::Status;
use transom_core::{LimitedBy, Outcome};

use super::wire::{
    Code, DescriptorStatus, Duration, HeaderValue, RateLimit, RateLimitResponse, Unit,
};
use crate::front::{Decided, Front};

/// The answer, and which descriptor it tells about.
pub(super) fn of(front: &Front, decided: &[Decided]) -> Result<(RateLimitResponse, usize), Status> {
    let statuses = decided.iter().map(status).collect();
    if let Some(place) = longest_denied(decided) {
        let refusal = decided.get(place).and_then(|decided| front.refusal(decided));
        let (parts, body) = refusal.unwrap_or_default().into_parts();
        return Ok((response(Code::OverLimit, statuses, &parts.headers, &body), place));
    }
    for (place, Decided { answer, .. }) in decided.iter().enumerate() {
        if let Outcome::Unknown { reason, pass: false } = &answer.outcome {
            let reason = reason.label();
            return Err(Status::unavailable(format!(
                "descriptors[{place}]: no decision: {reason}"
            )));
        }
    }
    let place = fewest_left(decided);
    let mut fields = HeaderMap::new();
    if let Some(decided) = decided.get(place) {
        front.write_headers(decided, &mut fields);
    }
    Ok((response(Code::Ok, statuses, &fields, &Bytes::new()), place))
}

fn response(
    code: Code,
    statuses: Vec<DescriptorStatus>,
    fields: &HeaderMap,
    body: &Bytes,
) -> RateLimitResponse {
    // What the limiter writes is visible ASCII.
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some(HeaderValue { key: name.as_str().to_owned(), value: value.to_str().ok()?.to_owned() })
    };
    RateLimitResponse {
        overall_code: code.into(),
        statuses,
        response_headers_to_add: fields.iter().filter_map(field).collect(),
        raw_body: body.to_vec(),
    }
}

fn longest_denied(decided: &[Decided]) -> Option<usize> {
    let wait = |(place, decided): (usize, &Decided)| match &decided.answer.outcome {
        Outcome::Decided { decision, pass: false } => {
            Some((decision.retry_after_us, std::cmp::Reverse(place)))
        }
        _ => None,
    };
    decided.iter().enumerate().filter_map(wait).max().map(|(_, std::cmp::Reverse(place))| place)
}

/// Of those with a decision; the first that says why it has none, or the first, where none has one.
fn fewest_left(decided: &[Decided]) -> usize {
    let rank = |(place, decided): (usize, &Decided)| match &decided.answer.outcome {
        Outcome::Decided { decision, .. } => {
            (0, decision.minute.remaining.min(decision.second.remaining), place)
        }
        Outcome::Unknown { .. } => (1, 0, place),
        Outcome::Exempt => (2, 0, place),
    };
    decided.iter().enumerate().map(rank).min().map_or(0, |(.., place)| place)
}

fn status(decided: &Decided) -> DescriptorStatus {
    let answer = &decided.answer;
    let code = match &answer.outcome {
        Outcome::Unknown { .. } => Code::Unknown,
        _ if answer.passes() => Code::Ok,
        _ => Code::OverLimit,
    };
    let mut status = DescriptorStatus { code: code.into(), ..DescriptorStatus::default() };
    if let Some(decision) = answer.decision() {
        let (window, unit) = match decision.limited_by {
            LimitedBy::Second => (decision.second, Unit::Second),
            LimitedBy::Minute | LimitedBy::Penalty => (decision.minute, Unit::Minute),
        };
        status.current_limit = Some(RateLimit {
            requests_per_unit: window.limit,
            unit: unit.into(),
            name: answer.policy.name.as_str().to_owned(),
        });
        status.limit_remaining = window.remaining;
        status.duration_until_reset = Some(duration(decision.reset_us()));
    }
    status
}

fn duration(us: u64) -> Duration {
    let length = std::time::Duration::from_micros(us);
    Duration {
        seconds: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(length.subsec_nanos()).unwrap_or(0),
    }
}
