//! How users are named by tokens: what the settings of mode `jwt` may be together.

use serde::Deserializer;

use super::error::Fault;
use super::identity::IdentityConfig;
use super::value::{optional, word};
use crate::identity::Algorithm;

/// What a token may be signed with, by its name in RFC 7518 and RFC 8037.
const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The name of an algorithm, as it is written.
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    let known = ALGORITHMS.iter().find(|(_, known)| *known == algorithm);
    known.map_or("unknown", |(name, _)| name)
}

/// Refuses settings that make no token valid, and those that are for another algorithm.
pub(super) fn check(identity: &IdentityConfig) -> Result<(), Fault> {
    let Some(algorithm) = identity.jwt_algorithm else {
        return Err(missing("jwt_algorithm", "the algorithm of its tokens, such as RS256"));
    };
    match secret_bytes(algorithm) {
        Some(least) => check_secret(identity, name(algorithm), least)?,
        None => check_files(identity, name(algorithm))?,
    }
    if identity.jwt_issuer.is_none() {
        return Err(missing("jwt_issuer", "the issuer of its tokens, their claim iss"));
    }
    if identity.jwt_audience.is_none() {
        return Err(missing("jwt_audience", "the audience of its tokens, their claim aud"));
    }
    Ok(())
}

/// The least length of the secret of an algorithm that takes one (RFC 7518, section 3.2), in
/// bytes.
const fn secret_bytes(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::HS256 => Some(32),
        Algorithm::HS384 => Some(48),
        Algorithm::HS512 => Some(64),
        _ => None,
    }
}

fn check_secret(identity: &IdentityConfig, algorithm: &str, least: usize) -> Result<(), Fault> {
    for (key, file) in [
        ("identity.jwt_key_file", &identity.jwt_key_file),
        ("identity.jwt_keys_file", &identity.jwt_keys_file),
    ] {
        if file.is_some() {
            let reason = format!("{algorithm} takes identity.jwt_secret, and no public key");
            return Err(Fault::pair("identity.jwt_algorithm", key, reason));
        }
    }
    let reason = match &identity.jwt_secret {
        None => format!("{algorithm} takes a secret"),
        Some(secret) if secret.expose().len() < least => {
            format!("{algorithm} takes a secret of at least {least} bytes")
        }
        Some(_) => return Ok(()),
    };
    Err(Fault::pair("identity.jwt_algorithm", "identity.jwt_secret", reason))
}

fn check_files(identity: &IdentityConfig, algorithm: &str) -> Result<(), Fault> {
    let with = |key: &str, reason| Err(Fault::pair("identity.jwt_algorithm", key, reason));
    if identity.jwt_secret.is_some() {
        let reason = format!("{algorithm} takes a public key, and no secret");
        return with("identity.jwt_secret", reason);
    }
    match (&identity.jwt_key_file, &identity.jwt_keys_file) {
        (None, None) => {
            let reason =
                format!("{algorithm} takes a public key, from this file or identity.jwt_keys_file");
            with("identity.jwt_key_file", reason)
        }
        (Some(_), Some(_)) => {
            let reason = "a key comes from one of them, not from both";
            Err(Fault::pair("identity.jwt_key_file", "identity.jwt_keys_file", reason))
        }
        _ => Ok(()),
    }
}

fn missing(key: &str, what: &str) -> Fault {
    Fault::pair("identity.mode", &format!("identity.{key}"), format!("jwt takes {what}"))
}

/// The algorithm of tokens; empty text counts as absent. There is no `none` among them.
pub(super) fn algorithm<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<Algorithm>, D::Error> {
    optional(source, |text| word(text, &ALGORITHMS))
}

/// The value of a claim; empty text counts as absent.
pub(super) fn claim<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    optional(source, |text| Ok(text.to_owned()))
}
