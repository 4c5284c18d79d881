//! The header fields of a [`Decision`]: rendered, never decided, here.
//!
//! | field | number |
//! | --- | --- |
//! | `X-RateLimit-Limit`, `X-RateLimit-Remaining` | units a minute, units left |
//! | `X-RateLimit-Limit-Second`, `X-RateLimit-Remaining-Second` | units a second, units left |
//! | `X-RateLimit-Reset` | seconds from now, or [`Reset::Epoch`] |
//! | `X-RateLimit-Limited-By` | `minute`, `second` or `penalty` |
//! | `Retry-After` | seconds; on a denial only |
//! | `X-RateLimit-Degraded` | why the configured store did not decide |
//! | `RateLimit-Policy`, `RateLimit` | draft-ietf-httpapi-ratelimit-headers-11, where asked for |
//! | `X-RateLimit-Limit-Minute`, `X-RateLimit-Remaining-Minute` | as Kong calls the first two |
//! | `Access-Control-Expose-Headers` | the names of these, where asked for |

use http::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use serde::{Deserialize, Serialize};

use crate::decision::{Decision, LimitedBy};
use crate::{Window, delay};

/// `X-RateLimit-Limit`: units a minute.
pub const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// `X-RateLimit-Remaining`: units left in the minute window.
pub const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// `X-RateLimit-Limit-Second`: units a second.
pub const LIMIT_SECOND: HeaderName = HeaderName::from_static("x-ratelimit-limit-second");
/// `X-RateLimit-Remaining-Second`: units left in the second window.
pub const REMAINING_SECOND: HeaderName = HeaderName::from_static("x-ratelimit-remaining-second");
/// `X-RateLimit-Reset`: until the limited-by window gets better.
pub const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// `X-RateLimit-Limited-By`: which window the client is told about.
pub const LIMITED_BY: HeaderName = HeaderName::from_static("x-ratelimit-limited-by");
/// `X-RateLimit-Degraded`: a stable reason, see [`Unavailable::label`](crate::Unavailable::label).
pub const DEGRADED: HeaderName = HeaderName::from_static("x-ratelimit-degraded");
/// `RateLimit-Policy` of the IETF draft.
pub const IETF_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// `RateLimit` of the IETF draft.
pub const IETF: HeaderName = HeaderName::from_static("ratelimit");
/// `X-RateLimit-Limit-Minute`: another name of [`LIMIT`].
pub const LIMIT_MINUTE: HeaderName = HeaderName::from_static("x-ratelimit-limit-minute");
/// `X-RateLimit-Remaining-Minute`: another name of [`REMAINING`].
pub const REMAINING_MINUTE: HeaderName = HeaderName::from_static("x-ratelimit-remaining-minute");

/// Every field that is a decision's own: [`write()`] may set it, and [`remove`] takes it away.
pub const ALL: [HeaderName; 11] = [
    LIMIT,
    REMAINING,
    LIMIT_SECOND,
    REMAINING_SECOND,
    RESET,
    LIMITED_BY,
    DEGRADED,
    IETF_POLICY,
    IETF,
    LIMIT_MINUTE,
    REMAINING_MINUTE,
];

/// How `X-RateLimit-Reset` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reset {
    /// Seconds from now.
    #[default]
    Seconds,
    /// Seconds since 1970, by the clock that decided.
    Epoch,
}

/// Which fields are written, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Style {
    /// How `X-RateLimit-Reset` counts.
    pub reset: Reset,
    /// Whether the fields of the IETF draft are written too.
    pub ietf: bool,
    /// Whether the minute's fields are written under Kong's names too.
    pub aliases: bool,
    /// Whether scripts of other origins may read the fields: they are then named in
    /// `Access-Control-Expose-Headers`, behind what is named there already.
    pub expose: bool,
}

/// Writes the fields of a decision, in place of any of the same name.
///
/// `Retry-After` is not among them: it belongs to a refusal, see
/// [`Answer::refusal`](crate::Answer::refusal), and a denial in shadow mode passes.
pub fn write(decision: &Decision, style: Style, headers: &mut HeaderMap) {
    headers.insert(LIMIT, decision.minute.limit.into());
    headers.insert(REMAINING, decision.minute.remaining.into());
    headers.insert(LIMIT_SECOND, decision.second.limit.into());
    headers.insert(REMAINING_SECOND, decision.second.remaining.into());
    headers.insert(RESET, reset(decision, style.reset).into());
    headers.insert(LIMITED_BY, HeaderValue::from_static(decision.limited_by.as_str()));
    if let Some(reason) = decision.degraded {
        headers.insert(DEGRADED, HeaderValue::from_static(reason));
    }
    if style.ietf {
        insert_text(headers, IETF_POLICY, &ietf_policy(decision));
        insert_text(headers, IETF, &ietf(decision));
    }
    if style.aliases {
        headers.insert(LIMIT_MINUTE, decision.minute.limit.into());
        headers.insert(REMAINING_MINUTE, decision.minute.remaining.into());
    }
    if style.expose {
        expose(headers);
    }
}

/// Writes `Retry-After`: whole seconds, rounded up, so at least 1 where there is any wait.
pub fn write_retry_after(wait_us: u64, headers: &mut HeaderMap) {
    headers.insert(RETRY_AFTER, delay::seconds(wait_us).into());
}

/// Takes away every field that [`write()`] may set: what an upstream sends under these names
/// would contradict what Transom says, or claim a decision where there was none.
pub fn remove(headers: &mut HeaderMap) {
    for name in ALL {
        headers.remove(name);
    }
}

/// Names the fields that are there, and `Retry-After`, which comes with a refusal. The list may be
/// spread over lines (RFC 9110, section 5.3), so that a line of its own leaves others as they are.
fn expose(headers: &mut HeaderMap) {
    let mut list = String::new();
    for name in ALL.into_iter().filter(|name| headers.contains_key(name)) {
        list.push_str(name.as_str());
        list.push_str(", ");
    }
    list.push_str(RETRY_AFTER.as_str());
    if let Ok(value) = HeaderValue::from_str(&list) {
        headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, value);
    }
}

fn reset(decision: &Decision, style: Reset) -> u64 {
    match style {
        Reset::Seconds => delay::seconds(decision.reset_us()),
        Reset::Epoch => delay::seconds(decision.at_us.saturating_add(decision.reset_us())),
    }
}

/// Both windows; and a block that denies, as a window with a quota of nothing.
fn ietf_policy(decision: &Decision) -> String {
    let [minute, second] = Window::ALL;
    let mut policy = format!(
        "\"minute\";q={};w={}, \"second\";q={};w={}",
        decision.minute.limit,
        minute.length_s(),
        decision.second.limit,
        second.length_s(),
    );
    if let (Some(wait_us), LimitedBy::Penalty) = (decision.retry_after_us, decision.limited_by) {
        policy.push_str(&format!(", \"penalty\";q=0;w={}", delay::seconds(wait_us)));
    }
    policy
}

/// Both windows where the request was admitted; where it was denied what denied it, since
/// `Retry-After` may not be earlier than a time named here.
fn ietf(decision: &Decision) -> String {
    let item = |name: &str, remaining: u32, t_us: u64| {
        format!("\"{name}\";r={remaining};t={}", delay::seconds(t_us))
    };
    let Decision { minute, second, limited_by, .. } = decision;
    let Some(wait_us) = decision.retry_after_us else {
        return format!(
            "{}, {}",
            item("minute", minute.remaining, minute.reset_us),
            item("second", second.remaining, second.reset_us)
        );
    };
    let remaining = match limited_by {
        LimitedBy::Minute => minute.remaining,
        LimitedBy::Second => second.remaining,
        LimitedBy::Penalty => 0,
    };
    item(limited_by.as_str(), remaining, wait_us)
}

fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cost, Limits, Source, WindowLogs};

    const AT_US: u64 = 1_800_000_000_000_000;

    fn decisions() -> [Decision; 3] {
        let mut logs = WindowLogs::default();
        std::array::from_fn(|_| {
            Decision::new(&logs.admit(AT_US, Limits::DEFAULT, Cost::ONE), Source::Redis)
        })
    }

    fn written(decision: &Decision, style: Style) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        write(decision, style, &mut headers);
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn an_admitted_request_carries_six_fields() {
        let [first, ..] = decisions();
        let expected = pairs(&[
            ("x-ratelimit-limit", "60"),
            ("x-ratelimit-remaining", "59"),
            ("x-ratelimit-limit-second", "2"),
            ("x-ratelimit-remaining-second", "1"),
            ("x-ratelimit-reset", "60"),
            ("x-ratelimit-limited-by", "minute"),
        ]);
        assert_eq!(written(&first, Style::default()), expected);
    }

    #[test]
    fn epoch_counts_from_the_clock_that_decided_and_rounds_up() {
        let [first, ..] = decisions();
        let style = Style { reset: Reset::Epoch, ..Style::default() };
        let fields = written(&first, style);
        assert!(fields.contains(&("x-ratelimit-reset".into(), "1800000060".into())));
        let late = Decision { at_us: AT_US + 1, ..first };
        let fields = written(&late, style);
        assert!(fields.contains(&("x-ratelimit-reset".into(), "1800000061".into())));
    }

    #[test]
    fn the_ietf_fields_name_both_windows_and_on_a_denial_the_denying_one() {
        let [first, _, denied] = decisions();
        let style = Style { ietf: true, ..Style::default() };
        let policy = ("ratelimit-policy".into(), "\"minute\";q=60;w=60, \"second\";q=2;w=1".into());
        let fields = written(&first, style);
        assert!(fields.contains(&policy));
        let both = "\"minute\";r=59;t=60, \"second\";r=1;t=1";
        assert!(fields.contains(&("ratelimit".into(), both.into())));
        assert!(!denied.allowed);
        let fields = written(&denied, style);
        assert!(fields.contains(&policy));
        assert!(fields.contains(&("ratelimit".into(), "\"second\";r=0;t=1".into())));
    }

    #[test]
    fn the_aliases_say_what_the_fields_of_the_minute_say() {
        let [_, second, _] = decisions();
        let fields = written(&second, Style { aliases: true, ..Style::default() });
        let aliases = [("x-ratelimit-limit-minute", "60"), ("x-ratelimit-remaining-minute", "58")];
        assert_eq!(fields[6..], pairs(&aliases));
    }

    #[test]
    fn the_fields_that_are_there_are_exposed_behind_what_was_exposed_before() {
        let [first, ..] = decisions();
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag"));
        write(&first, Style { expose: true, ..Style::default() }, &mut headers);
        let exposed: Vec<_> = headers.get_all(ACCESS_CONTROL_EXPOSE_HEADERS).iter().collect();
        let own = "x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-limit-second, \
                   x-ratelimit-remaining-second, x-ratelimit-reset, x-ratelimit-limited-by, \
                   retry-after";
        assert_eq!(exposed, ["etag", own]);
    }

    #[test]
    fn a_block_is_a_window_with_a_quota_of_nothing() {
        let [first, ..] = decisions();
        let blocked = Decision {
            allowed: false,
            limited_by: LimitedBy::Penalty,
            retry_after_us: Some(299_000_001),
            ..first
        };
        let fields = written(&blocked, Style { ietf: true, ..Style::default() });
        let policy = "\"minute\";q=60;w=60, \"second\";q=2;w=1, \"penalty\";q=0;w=300";
        for (name, value) in [
            ("x-ratelimit-limited-by", "penalty"),
            ("x-ratelimit-reset", "300"),
            ("x-ratelimit-remaining", "59"),
            ("ratelimit-policy", policy),
            ("ratelimit", "\"penalty\";r=0;t=300"),
        ] {
            assert!(fields.contains(&(name.into(), value.into())), "{name}: {fields:?}");
        }
    }

    #[test]
    fn every_field_that_is_written_is_removed() {
        let [first, ..] = decisions();
        let degraded = Decision { degraded: Some("deadline"), ..first };
        let mut headers = HeaderMap::new();
        write(&degraded, Style { ietf: true, aliases: true, ..Style::default() }, &mut headers);
        assert_eq!(headers.len(), ALL.len());
        remove(&mut headers);
        assert!(headers.is_empty());
    }
}
