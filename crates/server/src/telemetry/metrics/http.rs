//! What is counted of a listener's requests and connections.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::list::{CONNECTIONS, CUT, HTTP_DURATION, HTTP_REQUESTS};

/// The first status code there is, and how many there are.
const STATUS_MIN: usize = 100;
const STATUSES: usize = 900;
/// Statuses of any worker: they are there, at zero, from the start.
const COMMON: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// Why a listener cuts a connection or a request short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    TooMany,
    HeadTimeout,
    HeadTooLarge,
    Malformed,
    Http2,
    BodyTimeout,
    SlowReader,
    Idle,
    IdleTunnel,
}

/// Each with its label.
const CUTS: [(Cut, &str); 9] = [
    (Cut::TooMany, "too_many"),
    (Cut::HeadTimeout, "head_timeout"),
    (Cut::HeadTooLarge, "head_too_large"),
    (Cut::Malformed, "malformed"),
    (Cut::Http2, "http2"),
    (Cut::BodyTimeout, "body_timeout"),
    (Cut::SlowReader, "slow_reader"),
    (Cut::Idle, "idle"),
    (Cut::IdleTunnel, "idle_tunnel"),
];

/// The handles of one listener.
#[derive(Debug)]
pub(crate) struct ListenerMetrics {
    listener: &'static str,
    /// By status, from [`STATUS_MIN`] on, each made at its first use.
    requests: Box<[OnceLock<Counter>]>,
    duration: Histogram,
    open: Gauge,
    cut: [(Cut, Counter); CUTS.len()],
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub(crate) struct Open(Gauge);

impl ListenerMetrics {
    /// Takes the handles of the listener of this name.
    pub(crate) fn new(listener: &'static str) -> Self {
        let metrics = Self {
            listener,
            requests: (0..STATUSES).map(|_| OnceLock::new()).collect(),
            duration: histogram!(HTTP_DURATION, "listener" => listener),
            open: gauge!(CONNECTIONS, "listener" => listener),
            cut: CUTS.map(|(cut, reason)| {
                (cut, counter!(CUT, "listener" => listener, "reason" => reason))
            }),
        };
        for status in COMMON {
            metrics.requests(status);
        }
        metrics
    }

    /// Counts a connection.
    pub(crate) fn open(&self) -> Open {
        self.open.increment(1);
        Open(self.open.clone())
    }

    /// Counts a request, and how long its answer took.
    pub(crate) fn answered(&self, status: StatusCode, took: Duration) {
        self.duration.record(took);
        if let Some(requests) = self.requests(status) {
            requests.increment(1);
        }
    }

    /// Counts what was cut short.
    pub(crate) fn cut(&self, why: Cut) {
        if let Some((_, count)) = self.cut.iter().find(|(cut, _)| *cut == why) {
            count.increment(1);
        }
    }

    fn requests(&self, status: StatusCode) -> Option<&Counter> {
        let place = usize::from(status.as_u16()).checked_sub(STATUS_MIN)?;
        let handle = || {
            let status = status.as_str().to_owned();
            counter!(HTTP_REQUESTS, "listener" => self.listener, "status" => status)
        };
        self.requests.get(place).map(|requests| requests.get_or_init(handle))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
