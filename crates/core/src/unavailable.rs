//! Why a decision could not be had.

/// No decision: not a denial, and never a 429. The policy's
/// [`OnFailure`](crate::OnFailure) says what happens to the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// No connection to the store: nothing was sent and nothing was charged.
    #[error("redis is unreachable: {reason}")]
    Unreachable {
        /// What the last attempt to connect said.
        reason: String,
    },

    /// The connection broke after the request was sent; it may have been charged.
    #[error("the connection to redis was lost before its answer")]
    ConnectionLost,

    /// No answer in time; the request may have been charged.
    #[error("no answer from redis within the deadline")]
    Deadline,

    /// The store has failed so often lately that only now and then a request is sent to it; this
    /// one was not, and nothing was charged.
    #[error("redis fails ({reason}) and is only tried now and then")]
    BreakerOpen {
        /// The [label](Self::label) of the last failure.
        reason: &'static str,
    },

    /// More requests wait than the limiter holds; nothing was charged.
    #[error("too many requests wait for redis")]
    Overloaded,

    /// The store refused with an error reply; nothing was charged.
    #[error("redis refused: {code} {detail}")]
    Refused {
        /// The first word of the reply, for example `OOM` or `READONLY`.
        code: String,
        /// The rest of the reply.
        detail: String,
    },

    /// The reply could not be read: script and program are of different versions.
    #[error("unexpected reply from redis: {0}")]
    Reply(String),

    /// The in-process limiter holds as many identities as it may; nothing was charged.
    #[error("the in-process limiter is full")]
    Full,
}

impl Unavailable {
    /// Every [`label`](Self::label) there is.
    pub const LABELS: [&str; 8] = [
        "unreachable",
        "connection_lost",
        "deadline",
        "breaker_open",
        "overloaded",
        "refused",
        "reply",
        "full",
    ];

    /// A stable label for metrics, logs and the header `X-RateLimit-Degraded`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::ConnectionLost => "connection_lost",
            Self::Deadline => "deadline",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::Overloaded => "overloaded",
            Self::Refused { .. } => "refused",
            Self::Reply(_) => "reply",
            Self::Full => "full",
        }
    }

    /// Whether the request may have been charged although no decision came back. Such a request
    /// must not be sent again.
    pub const fn may_have_charged(&self) -> bool {
        matches!(self, Self::ConnectionLost | Self::Deadline | Self::Reply(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_outcome_may_have_charged() {
        assert!(Unavailable::Deadline.may_have_charged());
        assert!(Unavailable::ConnectionLost.may_have_charged());
        assert!(Unavailable::Reply("x".into()).may_have_charged());
        assert!(!Unavailable::Overloaded.may_have_charged());
        assert!(!Unavailable::BreakerOpen { reason: "deadline" }.may_have_charged());
        assert!(!Unavailable::Unreachable { reason: String::new() }.may_have_charged());
        let refused = Unavailable::Refused { code: "OOM".into(), detail: String::new() };
        assert!(!refused.may_have_charged());
    }
}
