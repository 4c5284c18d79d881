//! Errors of the client library, sorted by what they mean for a decision.

use deadpool_redis::PoolError;
use redis::{ErrorKind, RedisError};
use transom_core::Unavailable;

/// Why a limiter on Redis cannot be set up. Nothing here depends on whether Redis answers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The address cannot be read. It is not shown: it may hold a password.
    #[error("not an address of a Redis server: {0}")]
    Address(String),
    /// `#insecure` would turn the verification of certificates off.
    #[error("an address with #insecure is refused: the server would not be verified")]
    Insecure,
    /// Certificates or keys that cannot be used.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// The pool cannot be built.
    #[error("cannot set up the connection pool: {0}")]
    Pool(String),
}

/// Whom an error reply concerns, where it came before a script had done anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Concerns {
    /// This request, or others of its slot or key. `OOM` is here: a full server denies as before
    /// and only cannot admit.
    Request,
    /// The server, which will not decide for anybody for some time.
    Server,
    /// The same, and the connection leads to the wrong one.
    Connection,
}

/// Error replies after which nothing of a script has run.
const REFUSALS: [(&str, Concerns); 15] = [
    ("NOSCRIPT", Concerns::Request),
    ("OOM", Concerns::Request),
    ("WRONGTYPE", Concerns::Request),
    ("MOVED", Concerns::Request),
    ("ASK", Concerns::Request),
    ("TRYAGAIN", Concerns::Request),
    ("CROSSSLOT", Concerns::Request),
    ("LOADING", Concerns::Server),
    ("BUSY", Concerns::Server),
    ("MISCONF", Concerns::Server),
    ("NOREPLICAS", Concerns::Server),
    ("CLUSTERDOWN", Concerns::Server),
    ("READONLY", Concerns::Connection),
    ("MASTERDOWN", Concerns::Connection),
    ("NOAUTH", Concerns::Connection),
];

fn concerns(code: &str) -> Option<Concerns> {
    REFUSALS.iter().find(|(known, _)| *known == code).map(|(_, concerns)| *concerns)
}

/// Why the pool gave no connection, in words.
pub(crate) fn of_pool(error: &PoolError) -> String {
    match error {
        PoolError::Backend(error) => error.to_string(),
        PoolError::Timeout(_) => "no connection in time".to_owned(),
        other => other.to_string(),
    }
}

/// What an error of a call that was sent means.
pub(crate) fn of_call(error: &RedisError) -> Unavailable {
    if let Some(code) = error.code() {
        return refusal(code, error.detail().unwrap_or_default());
    }
    match error.kind() {
        // What is not the protocol leaves nothing behind that could be read.
        ErrorKind::Parse => Unavailable::ConnectionLost,
        ErrorKind::UnexpectedReturnType => Unavailable::Reply(error.to_string()),
        _ if error.is_timeout() => Unavailable::Deadline,
        _ => Unavailable::ConnectionLost,
    }
}

/// What an error reply means: a code that Redis sends before a script has done anything, or
/// anything else, after which a part of it may have run.
pub(crate) fn refusal(code: &str, detail: &str) -> Unavailable {
    if concerns(code).is_some() {
        Unavailable::Refused { code: code.to_owned(), detail: detail.to_owned() }
    } else {
        Unavailable::Reply(format!("{code} {detail}"))
    }
}

/// Whether the server as a whole seems to fail, so that the next request is likely to as well.
pub(crate) fn is_of_server(unavailable: &Unavailable) -> bool {
    match unavailable {
        Unavailable::ConnectionLost | Unavailable::Deadline => true,
        Unavailable::Refused { code, .. } => {
            matches!(concerns(code), Some(Concerns::Server | Concerns::Connection))
        }
        _ => false,
    }
}

/// Whether the connection that gave this answer should be replaced.
pub(crate) fn spoils_connection(unavailable: &Unavailable) -> bool {
    match unavailable {
        Unavailable::Refused { code, .. } => concerns(code) == Some(Concerns::Connection),
        Unavailable::ConnectionLost | Unavailable::Deadline => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_before_the_script_ran_has_charged_nothing() {
        for (code, _) in REFUSALS {
            assert!(!refusal(code, "").may_have_charged(), "{code}");
        }
        assert!(refusal("ERR", "user_script:12: bug").may_have_charged());
    }

    #[test]
    fn an_io_error_loses_the_connection_and_a_full_server_does_not() {
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(of_call(&broken), Unavailable::ConnectionLost);
        let late = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert_eq!(of_call(&late), Unavailable::Deadline);
        assert!(spoils_connection(&of_call(&broken)));
        assert!(spoils_connection(&refusal("READONLY", "")));
        assert!(!spoils_connection(&refusal("OOM", "")));
        assert!(!spoils_connection(&refusal("WRONGTYPE", "")));
    }
}
