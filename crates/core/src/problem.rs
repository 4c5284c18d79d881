//! A refusal as a problem (RFC 9457), for a client that asks for `application/problem+json`.
//!
//! | member | value |
//! | --- | --- |
//! | `type` | of a denial, what draft-ietf-httpapi-ratelimit-headers-11, section 5, names; else `about:blank` |
//! | `title` | what goes with the type; else the reason phrase of the status |
//! | `status` | that of the response |
//! | `detail` | the `message` of the plain body |
//! | `retry_after` | that of the plain body, and of `Retry-After` |
//! | `violated-policies` | of a denial, the window that denied, as `RateLimit-Policy` names it, or `penalty` |

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use serde::{Deserialize, Serialize};

use crate::{Decision, LimitedBy};

/// The media type.
const PROBLEM: &str = "application/problem+json";
/// That of the plain body, in place of which a problem may be asked for.
const PLAIN: &str = "application/json";

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    retry_after: u64,
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated: Option<[&'static str; 1]>,
}

/// What is taken over from the plain body.
#[derive(Deserialize)]
struct Plain<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
    retry_after: u64,
}

/// Whether a client names `application/problem+json` in `Accept`, and does not like
/// `application/json` better. `*/*` and `application/*` do not name it: whoever sends them expects
/// the plain body.
pub fn is_asked_for(request: &HeaderMap) -> bool {
    let problem = weight(request, PROBLEM);
    problem > 0 && problem >= weight(request, PLAIN)
}

/// The refusal with a problem for its body: of a denial, where there is a decision; else of what
/// its status says. A body that is not the plain one stays.
pub fn of(mut refusal: Response<Bytes>, decision: Option<&Decision>) -> Response<Bytes> {
    let plain = refusal.body().clone();
    let Ok(Plain { message, retry_after }) = serde_json::from_slice(&plain) else {
        return refusal;
    };
    let (kind, title) = match decision {
        Some(Decision { limited_by: LimitedBy::Penalty, .. }) => (
            "https://iana.org/assignments/http-problem-types#abnormal-usage-detected",
            "Request not satisfied due to detection of abnormal request pattern",
        ),
        Some(_) => (
            "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "Request cannot be satisfied as assigned quota has been exceeded",
        ),
        None => ("about:blank", refusal.status().canonical_reason().unwrap_or_default()),
    };
    let problem = Problem {
        kind,
        title,
        status: refusal.status().as_u16(),
        detail: &message,
        retry_after,
        violated: decision.map(|decision| [decision.limited_by.as_str()]),
    };
    if let Ok(json) = serde_json::to_vec(&problem) {
        *refusal.body_mut() = json.into();
        refusal.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
    }
    refusal
}

/// How much a client likes a media type that it names, in thousandths; 0 where it names it not.
fn weight(request: &HeaderMap, media_type: &str) -> u16 {
    let lines = request.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let ranges = lines.flat_map(|line| line.split(','));
    let named = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it = parts.next()?.eq_ignore_ascii_case(media_type);
        is_it.then(|| parts.find_map(quality).unwrap_or(1_000))
    });
    named.max().unwrap_or(0)
}

/// The weight in `q=0.5`, in thousandths (RFC 9110, section 12.4.2); 0 where it is malformed.
fn quality(parameter: &str) -> Option<u16> {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = match whole {
        "1" => 1_000,
        "0" if digits => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    };
    Some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Refusal;
    use crate::{Cost, Limits, Source, Verdict, WindowLogs};
    use http::StatusCode;

    fn asked(lines: &[&str]) -> bool {
        let mut request = HeaderMap::new();
        for line in lines {
            request.append(ACCEPT, HeaderValue::from_str(line).unwrap());
        }
        is_asked_for(&request)
    }

    #[test]
    fn a_problem_is_for_clients_that_name_it() {
        for lines in [
            &["application/problem+json"][..],
            &["Application/Problem+JSON"],
            &["application/json, application/problem+json"],
            &["text/html", "application/problem+json;q=0.1"],
            &["application/problem+json; charset=utf-8; q=0.500, application/json;q=0.5"],
            &["*/*, application/problem+json;Q=0.3"],
        ] {
            assert!(asked(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["*/*"],
            &["application/*"],
            &["application/json"],
            &["application/problem+json;q=0"],
            &["application/problem+json;q=0.000"],
            &["application/problem+json;q=2"],
            &["application/problem+json;q=x, application/json;q=0.1"],
            &["application/problem+json;q=0.5, application/json"],
            &["application/problem+xml"],
            &["application/problem+jsonx, xapplication/problem+json"],
        ] {
            assert!(!asked(lines), "{lines:?}");
        }
    }

    fn refusal(status: StatusCode) -> Response<Bytes> {
        let body = Refusal::new("No \"more\".", status, 42).json();
        Response::builder().status(status).body(body).unwrap()
    }

    #[test]
    fn a_denial_names_the_window_that_denied() {
        let limits = Limits { minute: 60, second: 0 };
        let denied = WindowLogs::default().admit(1_800_000_000_000_000, limits, Cost::ONE);
        let decision = Decision::new(&denied, Source::Redis);
        let problem = of(refusal(StatusCode::TOO_MANY_REQUESTS), Some(&decision));
        assert_eq!(problem.headers()[CONTENT_TYPE], PROBLEM);
        assert_eq!(
            problem.body(),
            "{\"type\":\"https://iana.org/assignments/http-problem-types#quota-exceeded\",\
             \"title\":\"Request cannot be satisfied as assigned quota has been exceeded\",\
             \"status\":429,\"detail\":\"No \\\"more\\\".\",\"retry_after\":42,\
             \"violated-policies\":[\"second\"]}"
        );
    }

    #[test]
    fn a_block_is_told_apart_from_a_quota() {
        let open = WindowLogs::default().peek(1_000_000, Limits::DEFAULT, Cost::ONE);
        let blocked = Verdict { allowed: false, blocked_us: 1_000_000, ..open };
        let decision = Decision::new(&blocked, Source::Redis);
        let problem = of(refusal(StatusCode::TOO_MANY_REQUESTS), Some(&decision));
        let body = String::from_utf8_lossy(problem.body());
        assert!(body.contains("#abnormal-usage-detected\""), "{body}");
        assert!(body.contains("\"violated-policies\":[\"penalty\"]"), "{body}");
    }

    #[test]
    fn without_a_decision_the_status_says_it_all() {
        let problem = of(refusal(StatusCode::SERVICE_UNAVAILABLE), None);
        assert_eq!(
            problem.body(),
            "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
             \"detail\":\"No \\\"more\\\".\",\"retry_after\":42}"
        );
    }
}
