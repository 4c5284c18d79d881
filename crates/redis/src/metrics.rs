//! What the lanes measure. They record through the facade `metrics`: in a process that has
//! installed no recorder it goes nowhere. Names and labels are fixed here; what they mean for an
//! operator, and the buckets, are the business of the process that serves them.

use std::fmt;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use transom_core::Unavailable;

/// Histogram: seconds that a call of the script took, its way there and back included.
pub const CALL_DURATION: &str = "transom_redis_call_duration_seconds";
/// Histogram: requests in a call of the script.
pub const BATCH_SIZE: &str = "transom_redis_batch_size";
/// Counter: requests that were sent and got no decision back, by `reason`.
pub const ERRORS: &str = "transom_redis_errors_total";
/// Gauge: lanes that are connected.
pub const CONNECTED_LANES: &str = "transom_redis_connected_lanes";
/// Counter: connections of lanes that were made in place of one that was lost.
pub const RECONNECTS: &str = "transom_redis_reconnects_total";

/// Gauge: circuit breakers that are open.
pub const BREAKER_OPEN: &str = "transom_redis_breaker_open";
/// Counter: how often a circuit breaker has opened.
pub const BREAKER_OPENED: &str = "transom_redis_breaker_opened_total";

/// Gauge: servers whose changes are heard of. Where they are not, known denials are asked for.
pub const CHANGES_HEARD: &str = "transom_redis_changes_heard";

/// Counter: steps of the clock of Redis, by `direction`: forward or back.
pub const CLOCK_STEPS: &str = "transom_redis_clock_steps_total";
/// Gauge: 1 where a full server would forget keys.
pub const EVICTS: &str = "transom_redis_evicts";
/// Gauge: keys that the server has evicted since it started.
pub const EVICTED_KEYS: &str = "transom_redis_evicted_keys";

/// Counter: requests that a node of a cluster has refused as such, by `code`. After `MOVED` and
/// `ASK` they go where the node says.
pub const CLUSTER_REFUSALS: &str = "transom_redis_cluster_refusals_total";
/// What it may have said.
const CLUSTER_CODES: [&str; 4] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"];

/// Why a request that was sent may get no decision back.
const REASONS: [&str; 4] = ["connection_lost", "deadline", "refused", "reply"];

/// The handles of all lanes of a limiter.
#[derive(Clone)]
pub(crate) struct LaneMetrics {
    call_duration: Histogram,
    batch_size: Histogram,
    errors: [Counter; REASONS.len()],
    cluster_refusals: [Counter; CLUSTER_CODES.len()],
    connected: Gauge,
    reconnects: Counter,
}

impl LaneMetrics {
    /// Takes the handles; from here on each metric is there, at zero.
    pub(crate) fn new() -> Self {
        Self {
            call_duration: histogram!(CALL_DURATION),
            batch_size: histogram!(BATCH_SIZE),
            errors: REASONS.map(|reason| counter!(ERRORS, "reason" => reason)),
            cluster_refusals: CLUSTER_CODES.map(|code| counter!(CLUSTER_REFUSALS, "code" => code)),
            connected: gauge!(CONNECTED_LANES),
            reconnects: counter!(RECONNECTS),
        }
    }

    /// A lane is connected, not for the first time or for the first.
    pub(crate) fn connected(&self, again: bool) {
        self.connected.increment(1);
        if again {
            self.reconnects.increment(1);
        }
    }

    /// A lane is connected no more.
    pub(crate) fn lost(&self) {
        self.connected.decrement(1);
    }

    /// A call has ended, or calls for several slots that were sent at once.
    pub(crate) fn called(&self, took: Duration, requests: usize) {
        self.call_duration.record(took);
        self.batch_size.record(u32::try_from(requests).unwrap_or(u32::MAX));
    }

    /// A node has refused a request as not its own, or not now.
    pub(crate) fn refused(&self, said: &Unavailable) {
        let Unavailable::Refused { code, .. } = said else { return };
        if let Some(place) = CLUSTER_CODES.iter().position(|known| *known == code) {
            self.cluster_refusals[place].increment(1);
        }
    }

    /// A request that was sent gets no decision.
    pub(crate) fn failed(&self, reason: &Unavailable) {
        let label = reason.label();
        match REASONS.iter().position(|known| *known == label) {
            Some(place) => self.errors[place].increment(1),
            None => counter!(ERRORS, "reason" => label).increment(1),
        }
    }
}

/// The handles of a circuit breaker.
#[derive(Clone)]
pub(crate) struct BreakerMetrics {
    open: Gauge,
    opened: Counter,
}

impl BreakerMetrics {
    pub(crate) fn new() -> Self {
        Self { open: gauge!(BREAKER_OPEN), opened: counter!(BREAKER_OPENED) }
    }

    pub(crate) fn opened(&self) {
        self.open.increment(1);
        self.opened.increment(1);
    }

    pub(crate) fn closed(&self) {
        self.open.decrement(1);
    }
}

/// The handle of subscriptions to changes.
#[derive(Clone)]
pub(crate) struct ChangesMetrics {
    pub(crate) heard: Gauge,
}

impl ChangesMetrics {
    pub(crate) fn new() -> Self {
        Self { heard: gauge!(CHANGES_HEARD) }
    }
}

/// The handles of what is seen of a server's clock.
#[derive(Clone)]
pub(crate) struct ClockMetrics {
    forward: Counter,
    back: Counter,
}

impl ClockMetrics {
    pub(crate) fn new() -> Self {
        let [forward, back] =
            ["forward", "back"].map(|direction| counter!(CLOCK_STEPS, "direction" => direction));
        Self { forward, back }
    }

    pub(crate) fn stepped(&self, forward: bool) {
        if forward { &self.forward } else { &self.back }.increment(1);
    }
}

/// The handles of what is seen of a server's memory.
pub(crate) struct ServerMetrics {
    evicts: Gauge,
    evicted_keys: Gauge,
}

impl ServerMetrics {
    pub(crate) fn new() -> Self {
        Self { evicts: gauge!(EVICTS), evicted_keys: gauge!(EVICTED_KEYS) }
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge; nobody counts 2^53 keys")]
    pub(crate) fn read(&self, evicted_keys: u64, evicts: bool) {
        self.evicts.set(u32::from(evicts));
        self.evicted_keys.set(evicted_keys as f64);
    }
}

impl fmt::Debug for ChangesMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangesMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for BreakerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for ClockMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockMetrics").finish_non_exhaustive()
    }
}
