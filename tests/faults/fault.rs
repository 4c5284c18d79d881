//! What is done to Redis or to the way there, and by which metric it must be seen.

use std::time::Duration;

use transom_tests::chaos::{Mode, Way};

/// One way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The port is closed.
    Refuse,
    /// Every connection is reset.
    Reset,
    /// What is sent gets lost, both ways.
    BlackHole,
    /// Redis decides, and its replies get lost.
    LostReplies,
    /// Replies come after the deadline.
    Latency,
    /// Replies come a byte a second.
    Trickle,
    /// The process stands still.
    Stop,
    /// The process is killed, and started again with what it had on disk.
    Kill,
    /// The scripts are forgotten, over and over.
    ScriptFlush,
    /// Redis loads its data.
    Loading,
    /// Redis runs a script that does not end.
    Busy,
    /// Redis has no memory left.
    OutOfMemory,
    /// Redis becomes a replica, and its connections stay.
    ReadOnly,
    /// Another server becomes the primary.
    Failover,
    /// The clock of Redis steps back by an hour.
    ClockBack,
    /// The clock of Redis steps forward by an hour.
    ClockForward,
}

/// A metric, and a label of it; empty for any.
pub(crate) type Sign = (&'static str, &'static str);

const ERRORS: &str = "transom_redis_errors_total";
const DEGRADED: &str = "transom_degraded_total";
pub(crate) const RECONNECTS: &str = "transom_redis_reconnects_total";
const BREAKER: &str = "transom_redis_breaker_opened_total";
const STEPS: &str = "transom_redis_clock_steps_total";

const UNREACHABLE: Sign = (DEGRADED, "reason=\"unreachable\"");
const LATE: Sign = (DEGRADED, "reason=\"deadline\"");
const REFUSED: Sign = (ERRORS, "reason=\"refused\"");
const SO_DEGRADED: Sign = (DEGRADED, "reason=\"refused\"");

impl Fault {
    /// What the proxy does, where that is all.
    pub(crate) fn mode(self) -> Option<Mode> {
        Some(match self {
            Self::Refuse => Mode::Refuse,
            Self::Reset => Mode::Reset,
            Self::BlackHole => Mode::BlackHole(Way::Both),
            Self::LostReplies => Mode::BlackHole(Way::Replies),
            Self::Latency => {
                Mode::Late { least: Duration::from_millis(80), jitter: Duration::from_millis(40) }
            }
            Self::Trickle => Mode::Trickle { bytes_per_s: 1 },
            _ => return None,
        })
    }

    /// The metrics that must move, all of them.
    pub(crate) fn signs(self) -> &'static [Sign] {
        match self {
            Self::Refuse | Self::Reset | Self::Kill => &[UNREACHABLE, (RECONNECTS, "")],
            Self::BlackHole | Self::LostReplies | Self::Trickle | Self::Stop => {
                &[LATE, (BREAKER, ""), (RECONNECTS, "")]
            }
            Self::Latency => &[LATE, (BREAKER, "")],
            Self::ScriptFlush => &[],
            Self::Loading | Self::Busy => &[REFUSED, SO_DEGRADED, (BREAKER, "")],
            Self::OutOfMemory => &[REFUSED, SO_DEGRADED],
            Self::ReadOnly => &[REFUSED, (RECONNECTS, "")],
            Self::Failover => &[(RECONNECTS, "")],
            Self::ClockBack => &[(STEPS, "direction=\"back\"")],
            Self::ClockForward => &[(STEPS, "direction=\"forward\"")],
        }
    }

    /// Whether every request is still decided by Redis.
    pub(crate) const fn is_invisible(self) -> bool {
        matches!(self, Self::ScriptFlush | Self::ClockBack | Self::ClockForward)
    }
}
