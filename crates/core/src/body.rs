//! The JSON bodies of refusals: exactly `message`, `status_code`, `retry_after`. The
//! [`problem`](crate::problem) is another form, for a client that asks for it.

use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::Identity;

/// What a refused client is told, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Messages {
    /// Where a user is limited.
    pub user: String,
    /// Where an address is limited.
    pub ip: String,
    /// Where no decision could be had and the policy says `deny`.
    pub unavailable: String,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            user: "You have exceeded your user rate limit.".into(),
            ip: "You have exceeded your IP rate limit.".into(),
            unavailable: "The rate limiter is unavailable. Try again shortly.".into(),
        }
    }
}

impl Messages {
    /// The message for a denied identity.
    pub fn denied(&self, identity: &Identity) -> &str {
        if identity.is_ip() { &self.ip } else { &self.user }
    }
}

/// A refusal's body.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Refusal<'a> {
    /// What happened, in words.
    pub message: &'a str,
    /// The status of the response.
    pub status_code: u16,
    /// Whole seconds, the same integer as in `Retry-After`.
    pub retry_after: u64,
}

impl Refusal<'_> {
    /// A refusal with this status and wait.
    pub fn new(message: &str, status: StatusCode, retry_after_s: u64) -> Refusal<'_> {
        Refusal { message, status_code: status.as_u16(), retry_after: retry_after_s }
    }

    /// The body as JSON.
    pub fn json(&self) -> Bytes {
        serde_json::to_vec(self).map(Bytes::from).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_three_fields_in_order() {
        let messages = Messages::default();
        let user = Identity::user("42").unwrap();
        let body = Refusal::new(messages.denied(&user), StatusCode::TOO_MANY_REQUESTS, 42).json();
        assert_eq!(
            body,
            r#"{"message":"You have exceeded your user rate limit.","status_code":429,"retry_after":42}"#
        );
    }

    #[test]
    fn an_address_is_told_of_its_ip() {
        let address = Identity::ip("192.0.2.7".parse().unwrap(), 64);
        assert_eq!(Messages::default().denied(&address), "You have exceeded your IP rate limit.");
    }
}
