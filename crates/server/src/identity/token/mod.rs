//! The user that a verified token names: a JSON Web Token (RFC 7519) in `Authorization: Bearer`.
//!
//! How tokens are signed, by whom and for whom is configured. A token that says otherwise is not
//! valid; nor is one that has expired, is not valid yet, has no expiry, no issuer, no audience or
//! no subject, or asks for an extension in `crit`. The keys that a token brings itself, or points
//! at, are not looked at. Whoever shows no valid token counts on the address; no token is ever
//! refused, logged or shown.
//!
//! Verified tokens are remembered by their SHA-256, so that the same token again costs one digest.

mod keys;
mod signature;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::Number;
use transom_core::Identity;
use transom_redis::Digest;

pub use keys::{KeyError, TokenKeys};

/// The longest token that is looked at, in bytes.
const TOKEN_MAX: usize = 16 * 1024;
/// How many verified tokens a worker remembers.
const REMEMBERED: usize = 100_000;

/// What a token must be to be valid.
#[derive(Debug)]
pub struct TokenRules {
    /// How it is signed.
    pub algorithm: Algorithm,
    /// Its claim `iss`.
    pub issuer: String,
    /// Its claim `aud`, or one of those that it lists.
    pub audience: String,
    /// How far the clock of the issuer may be off.
    pub leeway: Duration,
}

/// Verifies tokens, and remembers those that it has verified.
pub struct Tokens {
    validation: Validation,
    leeway_s: u64,
    keys: TokenKeys,
    verified: Cache<Digest, Verified>,
}

/// A token whose signature and parties are as they must be.
#[derive(Clone)]
struct Verified {
    user: Identity,
    /// Seconds since 1970, both.
    not_before_s: u64,
    expires_s: u64,
}

/// The claims that are read here; issuer and audience are the library's part.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: Number,
    nbf: Option<Number>,
}

impl Tokens {
    /// Tokens that are valid under these rules and signed with one of these keys.
    pub fn new(rules: &TokenRules, keys: TokenKeys) -> Self {
        signature::install();
        let mut validation = Validation::new(rules.algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&rules.issuer]);
        validation.set_audience(&[&rules.audience]);
        // Compared below, by a clock that is a parameter.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let leeway_s = rules.leeway.as_secs();
        Self { validation, leeway_s, keys, verified: Cache::new(REMEMBERED) }
    }

    /// The user that a token names, if it is valid now.
    pub(super) fn user_of(&self, token: &[u8]) -> Option<Identity> {
        self.user_at(token, wall_clock_s())
    }

    /// The user that a token names, if it is valid at `now_s`, seconds since 1970.
    fn user_at(&self, token: &[u8], now_s: u64) -> Option<Identity> {
        if token.len() > TOKEN_MAX {
            return None;
        }
        let digest = Digest::of(token);
        let verified = match self.verified.get(&digest) {
            Some(verified) => verified,
            None => {
                let verified = self.verify(token)?;
                self.verified.insert(digest, verified.clone());
                verified
            }
        };
        verified.holds_at(now_s, self.leeway_s).then_some(verified.user)
    }

    fn verify(&self, token: &[u8]) -> Option<Verified> {
        let header = decode_header(token).ok()?;
        if header.crit.is_some() {
            return None;
        }
        let key = self.keys.find(header.kid.as_deref())?;
        let Claims { sub, exp, nbf } = decode(token, key, &self.validation).ok()?.claims;
        if sub.contains(char::is_control) {
            return None;
        }
        Some(Verified {
            user: Identity::user(&sub).ok()?,
            not_before_s: nbf.map_or(Some(0), |nbf| seconds(&nbf))?,
            expires_s: seconds(&exp)?,
        })
    }
}

impl Verified {
    /// RFC 7519, sections 4.1.4 and 4.1.5: from `nbf` on, and not at `exp` any more.
    const fn holds_at(&self, now_s: u64, leeway_s: u64) -> bool {
        now_s < self.expires_s.saturating_add(leeway_s)
            && self.not_before_s <= now_s.saturating_add(leeway_s)
    }
}

/// The whole seconds of a time, which may have a fraction. None of a time before 1970.
fn seconds(time: &Number) -> Option<u64> {
    time.as_u64().or_else(|| time.to_string().split_once('.')?.0.parse().ok())
}

#[expect(clippy::disallowed_methods, reason = "a token expires by the clock on the wall")]
fn wall_clock_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("remembered", &self.verified.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
