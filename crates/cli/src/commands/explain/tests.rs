use serde_json::{Value, json};

use super::*;

const NOW_US: u64 = 1_800_000_000_000_000;

/// An explanation with some of its fields replaced.
fn said(changes: &[(&str, Value)]) -> Explanation {
    let mut said = json!({
        "identity": "user:42", "method": "GET", "path": "/", "summary": "It would be admitted.",
        "exempt": null, "allowed": true, "shadow": false, "limited_by": "minute",
        "retry_after_ms": null, "passes_at_us": NOW_US, "limits_from": "policy",
        "minute": {"limit": 60, "used": 0, "remaining": 60, "reset_ms": 0, "wait_ms": 0},
        "second": {"limit": 2, "used": 0, "remaining": 2, "reset_ms": 0, "wait_ms": 0},
        "override": null, "block": null, "at_us": NOW_US, "source": "redis", "degraded": null,
        "strikes": {"strikes": 0, "borne": null, "since_us": null, "blocks": 0},
        "policy": {"name": "default", "methods": [], "host": null, "path": null, "minute": 60,
            "second": 2, "cost": 1, "mode": "enforce", "on_failure": "local"},
    });
    for (field, value) in changes {
        said[*field] = value.clone();
    }
    serde_json::from_value(said).unwrap()
}

#[test]
fn a_request_that_passes_is_explained() {
    let expected = "\
It would be admitted.

policy       default (it matches everything)
mode         enforce
limits       60 a minute, 2 a second, of the policy
strikes      0 (penalties are not enabled)
block        none
next passes  now
decided by   redis

 window  used  limit  remaining  wait  oldest leaves
 minute     0     60         60  none  -
 second     0      2          2  none  -";
    assert_eq!(render(&said(&[]), Paint::NONE), expected);
}

#[test]
fn a_denial_says_where_each_number_comes_from_and_when_it_ends() {
    let held = json!({"identity": "user:42", "policy": "*", "minute": 600, "second": 20,
        "until_us": NOW_US + 7_200_000_000, "at_us": NOW_US, "by": "ann", "reason": "migration"});
    let policy = json!({"name": "search", "methods": ["GET", "HEAD"], "host": "api.example.com",
        "path": "/v1/{*rest}", "minute": 30, "second": 1, "cost": 1, "mode": "enforce",
        "on_failure": "local"});
    let full =
        json!({"limit": 600, "used": 600, "remaining": 0, "reset_ms": 12_345, "wait_ms": 890});
    let denied = said(&[
        ("summary", json!("It would be denied.")),
        ("allowed", json!(false)),
        ("passes_at_us", json!(NOW_US + 890_250)),
        ("limits_from", json!("override_all")),
        ("override", held),
        ("policy", policy),
        ("minute", full),
        ("second", json!({"limit": 20, "used": 0, "remaining": 20, "reset_ms": 0, "wait_ms": 0})),
        (
            "strikes",
            json!({"strikes": 3, "borne": 100, "since_us": NOW_US - 12_000_000,
            "blocks": 1}),
        ),
    ]);
    let expected = "\
It would be denied.

policy       search (method GET, HEAD; path /v1/{*rest}; host api.example.com)
mode         enforce
limits       600 a minute, 20 a second, an override for every policy by ann until \
2027-01-15 10:00:00 UTC (in 2 h): migration (the policy: 30 a minute, 1 a second)
strikes      3 of 100 that are borne, the first 12 s ago; 1 block before
block        none
next passes  2027-01-15 08:00:00 UTC (in 0.9 s)
decided by   redis

 window  used  limit  remaining  wait   oldest leaves
 minute   600    600          0  0.9 s  in 13 s
 second     0     20         20  none   -";
    assert_eq!(render(&denied, Paint::NONE), expected);
}

#[test]
fn who_is_blocked_is_told_by_whom_and_until_when() {
    let blocked = |by: &str, until_us: Option<u64>| {
        let block = json!({"identity": "user:42", "until_us": until_us, "at_us": NOW_US, "by": by,
            "reason": "scraping"});
        let (allowed, at_us) = (json!(false), json!(NOW_US + 600_000_000));
        said(&[("block", block), ("allowed", allowed), ("passes_at_us", at_us)])
    };
    let until = blocked("ann", Some(NOW_US + 600_000_000));
    assert_eq!(block(&until), "by ann, until 2027-01-15 08:10:00 UTC (in 10 min): scraping");
    assert_eq!(next(&until), "2027-01-15 08:10:00 UTC (in 10 min)");
    let endless = blocked("penalty", None);
    assert_eq!(block(&endless), "for too many denials, for good: scraping");
    assert_eq!(next(&endless), "when the block is ended by hand");
}

#[test]
fn what_never_fits_is_not_promised() {
    let none = json!({"limit": 0, "used": 0, "remaining": 0, "reset_ms": 0, "wait_ms": 1_000});
    let never = said(&[("allowed", json!(false)), ("second", none)]);
    assert_eq!(next(&never), "never, as limits stand: it takes 1 unit");
}

#[test]
fn what_is_exempt_has_no_windows() {
    let exempt = said(&[
        ("summary", json!("It is not limited.")),
        ("exempt", json!("identity.exempt names it")),
        ("minute", Value::Null),
        ("second", Value::Null),
        ("limits_from", Value::Null),
        ("passes_at_us", Value::Null),
        ("source", Value::Null),
    ]);
    let expected = "\
It is not limited.

policy       default (it matches everything)
mode         enforce
exempt       identity.exempt names it";
    assert_eq!(render(&exempt, Paint::NONE), expected);
}

#[test]
fn an_identity_cannot_write_over_the_terminal() {
    let evil = said(&[("summary", json!("user:\u{1b}[2J"))]);
    assert!(!render(&evil, Paint::NONE).contains('\u{1b}'));
}
