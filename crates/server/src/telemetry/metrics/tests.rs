use std::collections::BTreeSet;
use std::sync::Arc;

use transom_core::{Decision, LimitedBy, LimitsFrom, Mode, PathPattern, WindowState};
use transom_core::{Limits, Outcome, Policy, PolicyName, Source, Unavailable};

use super::*;

/// A policy of a name that no other test counts under: the recorder is that of the process.
fn policy(name: &str) -> Arc<Policy> {
    let limits = Limits { minute: 60, second: 2 };
    let mut policy = Policy::new(PolicyName::new(name).unwrap(), limits);
    policy.path = Some(PathPattern::parse(&format!("/{name}")).unwrap());
    Arc::new(policy)
}

fn started(policy: &Policy) {
    start(&Policies::new(vec![policy.clone()]).unwrap(), Duration::from_millis(50));
}

/// The value of a series, written as it is served.
fn written(series: &str) -> Option<String> {
    let text = render(Mode::Enforce, None);
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.to_owned())
}

fn value(series: &str) -> Option<u64> {
    Some(written(series)?.parse().unwrap())
}

fn window(limit: u32, remaining: u32) -> WindowState {
    WindowState { limit, used: limit - remaining, remaining, reset_us: 1, wait_us: 0 }
}

fn decision(allowed: bool, limited_by: LimitedBy, remaining: [u32; 2]) -> Decision {
    let [minute, second] = remaining;
    Decision {
        limits_from: LimitsFrom::Policy,
        allowed,
        limited_by,
        retry_after_us: (!allowed).then_some(1),
        minute: window(60, minute),
        second: window(2, second),
        at_us: 1,
        source: Source::Redis,
        degraded: None,
    }
}

fn count(policy: &Arc<Policy>, outcome: Outcome) {
    decided(&Answer { policy: Arc::clone(policy), outcome }, Duration::from_micros(1_500));
}

#[test]
fn what_is_known_in_advance_is_there_at_zero() {
    started(&policy("fresh"));
    for (outcome, window) in
        [("admitted", "minute"), ("denied", "second"), ("shadow_denied", "minute")]
    {
        for source in ["redis", "cache", "local"] {
            let labels = format!(
                r#"policy="fresh",outcome="{outcome}",window="{window}",source="{source}""#
            );
            assert_eq!(value(&format!("transom_decisions_total{{{labels}}}")), Some(0));
        }
    }
    assert_eq!(value(r#"transom_exempt_total{policy="fresh"}"#), Some(0));
    let near = r#"transom_near_limit_total{policy="fresh",window="second"}"#;
    assert_eq!(value(near), Some(0));
    for reason in Unavailable::LABELS {
        for handling in ["local", "allow", "deny"] {
            let labels = format!(r#"reason="{reason}",policy_outcome="{handling}""#);
            let series = format!("transom_degraded_total{{{labels}}}");
            assert!(value(&series).is_some(), "{series}");
        }
    }
}

#[test]
fn a_decision_is_counted_under_what_became_of_it() {
    let policy = policy("counted");
    started(&policy);
    let window = LimitedBy::Second;
    for (allowed, pass) in [(true, true), (false, false), (false, true), (false, true)] {
        let decision = decision(allowed, window, [30, 0]);
        count(&policy, Outcome::Decided { decision, pass });
    }
    count(&policy, Outcome::Exempt);
    for (outcome, times) in [("admitted", 1), ("denied", 1), ("shadow_denied", 2)] {
        let labels =
            format!(r#"policy="counted",outcome="{outcome}",window="second",source="redis""#);
        assert_eq!(value(&format!("transom_decisions_total{{{labels}}}")), Some(times));
    }
    let near = |window| {
        value(&format!(r#"transom_near_limit_total{{policy="counted",window="{window}"}}"#))
    };
    assert_eq!((near("minute"), near("second")), (Some(0), Some(1)), "of the one admitted");
    assert_eq!(value(r#"transom_exempt_total{policy="counted"}"#), Some(1));
}

#[test]
fn what_the_store_did_not_decide_is_counted_by_reason_and_by_what_was_done() {
    let policy = policy("degraded");
    started(&policy);
    let series = |handling| {
        format!(r#"transom_degraded_total{{reason="reply",policy_outcome="{handling}"}}"#)
    };
    let before = ["local", "allow", "deny"].map(|handling| value(&series(handling)).unwrap());
    let stand_in = Decision {
        source: Source::Local,
        degraded: Some("reply"),
        ..decision(true, LimitedBy::Minute, [30, 2])
    };
    count(&policy, Outcome::Decided { decision: stand_in, pass: true });
    for pass in [true, true, false] {
        count(&policy, Outcome::Unknown { reason: Unavailable::Reply(String::new()), pass });
    }
    let after = ["local", "allow", "deny"].map(|handling| value(&series(handling)).unwrap());
    assert_eq!(after, [before[0] + 1, before[1] + 2, before[2] + 1]);
}

#[test]
fn a_duration_falls_into_the_bucket_that_it_fits() {
    let policy = policy("timed");
    started(&policy);
    let bucket = |edge| {
        let labels = format!(r#"source="redis",le="{edge}""#);
        value(&format!("transom_decision_duration_seconds_bucket{{{labels}}}")).unwrap()
    };
    // Where the promises are.
    for edge in ["0.01", "0.05", "0.06", "0.15"] {
        bucket(edge);
    }
    let decision = decision(true, LimitedBy::Minute, [30, 2]);
    count(&policy, Outcome::Decided { decision, pass: true });
    // Every duration of these tests is 1.5 ms.
    assert!(bucket("0.001") == 0 && bucket("0.002") >= 1);
}

#[test]
fn the_promises_of_any_deadline_have_edges_and_every_edge_is_there_once() {
    let metric = METRICS.iter().find(|metric| metric.name == list::DECISION_DURATION).unwrap();
    for (deadline_ms, expected) in [(50, [0.05, 0.06, 0.15]), (7, [0.007, 0.017, 0.107])] {
        let edges = list::buckets(metric, Duration::from_millis(deadline_ms)).unwrap();
        assert!(expected.iter().all(|edge| edges.contains(edge)), "{edges:?}");
        assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{edges:?}");
    }
}

#[test]
fn a_refused_configuration_leaves_the_time_of_the_one_in_force() {
    started(&policy("configured"));
    let now = || {
        ["version", "last_reload_successful", "last_reload_timestamp_seconds"]
            .map(|name| written(&format!("transom_config_{name}")).unwrap())
    };
    config_applied(1, true);
    let first = now();
    assert_eq!(first[..2], ["1", "1"]);
    assert!(first[2].parse::<f64>().unwrap() > 1_700_000_000.0);
    config_applied(1, false);
    assert_eq!(now(), ["1", "0", first[2].as_str()]);
    config_applied(2, true);
    assert_eq!(now()[..2], ["2", "1"]);
}

#[test]
fn starting_twice_keeps_what_was_counted() {
    let policy = policy("twice");
    started(&policy);
    count(&policy, Outcome::Exempt);
    started(&policy);
    assert_eq!(value(r#"transom_exempt_total{policy="twice"}"#), Some(1));
}

#[test]
fn every_name_is_there_once_with_the_labels_and_a_help() {
    started(&policy("listed"));
    let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len());
    for metric in METRICS {
        let total = metric.name.ends_with("_total");
        assert_eq!(total, matches!(metric.kind, Kind::Counter), "{}", metric.name);
        assert!(metric.name.starts_with("transom_") && metric.help.ends_with('.'));
        for label in metric.labels {
            let private = ["identity", "user", "address", "ip", "key", "path"];
            assert!(!private.contains(label), "{}: {label}", metric.name);
        }
    }
}
