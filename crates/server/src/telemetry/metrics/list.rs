//! Every metric that a worker serves, beside those of the process (`process_*`), which the crate
//! `metrics-process` names.
//!
//! A label takes few values, all of them known: names of policies from the configuration, words of
//! this program, status codes. No identity, key, address or path ever is one.

use std::time::Duration;

use metrics::{describe_counter, describe_gauge, describe_histogram};
use transom_redis::metrics::{
    BATCH_SIZE, BREAKER_OPEN, BREAKER_OPENED, CALL_DURATION, CHANGES_HEARD, CLOCK_STEPS,
    CLUSTER_REFUSALS, CONNECTED_LANES, ERRORS, EVICTED_KEYS, EVICTS, RECONNECTS,
};

/// Decisions.
pub(super) const DECISIONS: &str = "transom_decisions_total";
/// Requests that no limit concerns.
pub(super) const EXEMPT: &str = "transom_exempt_total";
/// Decisions that the configured store did not make.
pub(super) const DEGRADED: &str = "transom_degraded_total";
/// Admissions that left little.
pub(super) const NEAR_LIMIT: &str = "transom_near_limit_total";
/// How long a decision takes.
pub(super) const DECISION_DURATION: &str = "transom_decision_duration_seconds";
/// How long it takes to find out who asks.
pub(super) const IDENTITY_DURATION: &str = "transom_identity_duration_seconds";
/// Requests that wait for Redis.
pub(super) const REDIS_WAITING: &str = "transom_redis_waiting";
/// Requests that were answered.
pub(super) const HTTP_REQUESTS: &str = "transom_http_requests_total";
/// How long an answer takes.
pub(super) const HTTP_DURATION: &str = "transom_http_request_duration_seconds";
/// Open connections.
pub(super) const CONNECTIONS: &str = "transom_connections";
/// Connections and requests that were cut short.
pub(super) const CUT: &str = "transom_connections_cut_total";
/// The mode of everything.
pub(super) const MODE: &str = "transom_mode";
/// The configuration in force.
pub(super) const CONFIG_VERSION: &str = "transom_config_version";
/// How the last attempt to take up a configuration ended.
pub(super) const CONFIG_SUCCESSFUL: &str = "transom_config_last_reload_successful";
/// When the configuration in force was taken up.
pub(super) const CONFIG_TIMESTAMP: &str = "transom_config_last_reload_timestamp_seconds";
/// What the runtime has to do.
pub(super) const TASKS: &str = "transom_tasks";
/// What was built.
pub(super) const BUILD_INFO: &str = "transom_build_info";

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name; a counter's ends in `_total`, and a unit stands last or before that.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// What it says, for the person who reads it.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// What a metric does.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Sorts what it measures into these buckets.
    Histogram(&'static [f64]),
}

/// The edges of a decision beside those where the promises are, which [`buckets`] adds.
const OF_A_DECISION: &[f64] =
    &[0.0001, 0.000_25, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0];
/// What a decision may take beyond its deadline: 99.9 % of them, and all of them.
const BEYOND_THE_DEADLINE: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(100)];
/// Up to the time after which a call without an answer has lost its connection.
const OF_A_CALL: &[f64] =
    &[0.0001, 0.000_25, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Up to the longest batch.
const OF_A_BATCH: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
/// With the time that an upstream takes.
const OF_A_RESPONSE: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric {
        name: DECISIONS,
        kind: Kind::Counter,
        help: "Decisions: outcome is admitted, denied or shadow_denied (denied, and let pass); \
               window is what limits; source is who decided: redis, cache (a denial that is \
               known to hold) or local.",
        labels: &["policy", "outcome", "window", "source"],
    },
    Metric {
        name: EXEMPT,
        kind: Kind::Counter,
        help: "Requests that passed without a decision: an exempt identity or request, or a policy \
               that is off.",
        labels: &["policy"],
    },
    Metric {
        name: DEGRADED,
        kind: Kind::Counter,
        help: "Decisions that the configured store did not make, by the reason; policy_outcome is \
               what was done: local (decided in process), allow or deny.",
        labels: &["reason", "policy_outcome"],
    },
    Metric {
        name: NEAR_LIMIT,
        kind: Kind::Counter,
        help: "Admissions that left 20 % or less of the limit of a window.",
        labels: &["policy", "window"],
    },
    Metric {
        name: DECISION_DURATION,
        kind: Kind::Histogram(OF_A_DECISION),
        help: "Time from the question to the decision: the wait for a connection, Redis and the \
               stand-in for it included; source is who decided, none where nobody did. Edges at \
               redis.deadline, 10 ms and 100 ms more.",
        labels: &["source"],
    },
    Metric {
        name: IDENTITY_DURATION,
        kind: Kind::Histogram(OF_A_DECISION),
        help: "Time to find out who asks, the lookup of an API key included.",
        labels: &[],
    },
    Metric {
        name: CALL_DURATION,
        kind: Kind::Histogram(OF_A_CALL),
        help: "Time of one call of the script, its way there and back included.",
        labels: &[],
    },
    Metric {
        name: BATCH_SIZE,
        kind: Kind::Histogram(OF_A_BATCH),
        help: "Requests in one call of the script.",
        labels: &[],
    },
    Metric {
        name: ERRORS,
        kind: Kind::Counter,
        help: "Requests that were sent to Redis and got no decision back, by the reason.",
        labels: &["reason"],
    },
    Metric {
        name: CONNECTED_LANES,
        kind: Kind::Gauge,
        help: "Connections to Redis that carry decisions now.",
        labels: &[],
    },
    Metric {
        name: RECONNECTS,
        kind: Kind::Counter,
        help: "Connections to Redis that were made in place of a lost one.",
        labels: &[],
    },
    Metric {
        name: CHANGES_HEARD,
        kind: Kind::Gauge,
        help: "Servers whose changes are heard of; denials that are known of others are asked for.",
        labels: &[],
    },
    Metric {
        name: BREAKER_OPEN,
        kind: Kind::Gauge,
        help: "Circuit breakers that are open: Redis fails, and is only tried now and then.",
        labels: &[],
    },
    Metric {
        name: BREAKER_OPENED,
        kind: Kind::Counter,
        help: "How often a circuit breaker in front of Redis has opened.",
        labels: &[],
    },
    Metric {
        name: CLOCK_STEPS,
        kind: Kind::Counter,
        help: "Steps of the clock of Redis by more than 250 ms, seen by comparing it with the \
               worker's; direction is forward or back.",
        labels: &["direction"],
    },
    Metric {
        name: EVICTS,
        kind: Kind::Gauge,
        help: "Whether Redis would evict keys when its memory is full (1), and so forget limits.",
        labels: &[],
    },
    Metric {
        name: EVICTED_KEYS,
        kind: Kind::Gauge,
        help: "Keys that Redis has evicted since it started.",
        labels: &[],
    },
    Metric {
        name: CLUSTER_REFUSALS,
        kind: Kind::Counter,
        help: "Requests that a node of Redis Cluster has refused: after MOVED and ASK they go where \
               the node says, after TRYAGAIN and CLUSTERDOWN there is no decision.",
        labels: &["code"],
    },
    Metric {
        name: REDIS_WAITING,
        kind: Kind::Gauge,
        help: "Requests that wait for a connection to Redis now; at most 4096 for each server.",
        labels: &[],
    },
    Metric {
        name: HTTP_REQUESTS,
        kind: Kind::Counter,
        help: "Requests that were answered, by listener and status.",
        labels: &["listener", "status"],
    },
    Metric {
        name: HTTP_DURATION,
        kind: Kind::Histogram(OF_A_RESPONSE),
        help: "Time from the head of a request to the head of its response.",
        labels: &["listener"],
    },
    Metric {
        name: CONNECTIONS,
        kind: Kind::Gauge,
        help: "Connections of clients that are open now.",
        labels: &["listener"],
    },
    Metric {
        name: CUT,
        kind: Kind::Counter,
        help: "Connections and requests that a listener cut short: too_many (one address has all \
               its connections), head_timeout (an idle one of HTTP/1.1 too), head_too_large, \
               malformed, http2 (against its rules or bounds), body_timeout, slow_reader, idle \
               (or a client of HTTP/2 that answers no PING), idle_tunnel.",
        labels: &["listener", "reason"],
    },
    Metric {
        name: MODE,
        kind: Kind::Gauge,
        help: "1 for the mode of everything, the fleet's where one is set, else limiter.mode; 0 for the others.",
        labels: &["mode"],
    },
    Metric {
        name: CONFIG_VERSION,
        kind: Kind::Gauge,
        help: "Version of the configuration in force; 1 is the one at the start.",
        labels: &[],
    },
    Metric {
        name: CONFIG_SUCCESSFUL,
        kind: Kind::Gauge,
        help: "Whether the last configuration was taken up (1) or refused (0).",
        labels: &[],
    },
    Metric {
        name: CONFIG_TIMESTAMP,
        kind: Kind::Gauge,
        help: "When the configuration in force was taken up, in seconds since 1970.",
        labels: &[],
    },
    Metric {
        name: TASKS,
        kind: Kind::Gauge,
        help: "Tasks of the runtime that are alive now: a few, and one or two for each connection.",
        labels: &[],
    },
    Metric {
        name: BUILD_INFO,
        kind: Kind::Gauge,
        help: "Always 1; version is that of the program.",
        labels: &["version"],
    },
];

/// The upper edges of a histogram's buckets, with `deadline` that of a decision; `None` for what is
/// no histogram.
pub(super) fn buckets(metric: &Metric, deadline: Duration) -> Option<Vec<f64>> {
    let Kind::Histogram(edges) = metric.kind else { return None };
    let mut edges = edges.to_vec();
    if [DECISION_DURATION, IDENTITY_DURATION].contains(&metric.name) {
        edges.push(deadline.as_secs_f64());
        edges.extend(BEYOND_THE_DEADLINE.map(|beyond| (deadline + beyond).as_secs_f64()));
        edges.sort_by(f64::total_cmp);
        edges.dedup();
    }
    Some(edges)
}

/// Tells the recorder what each metric says.
pub(super) fn describe() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram(_) => describe_histogram!(metric.name, metric.help),
        }
    }
}
