//! API keys that are known without Redis.

use std::collections::HashMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use transom_core::Identity;
use transom_redis::Digest;

use super::error::Fault;
use super::value::parsed;

/// An API key that is known without Redis, `[[api_key]]`. From a file only.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The SHA-256 of the key, written as 64 hexadecimal digits.
    #[serde(deserialize_with = "sha256")]
    pub sha256: Digest,
    /// Whose key it is, written as the user's id.
    #[serde(deserialize_with = "user")]
    pub user: Identity,
}

/// Refuses a key that is there twice.
pub(super) fn check(keys: &[ApiKey]) -> Result<(), Fault> {
    let mut places = HashMap::new();
    for (place, key) in keys.iter().enumerate() {
        if let Some(first) = places.insert(key.sha256, place) {
            let reason = format!("the same as api_key[{first}].sha256");
            return Err(Fault::new(format!("api_key[{place}].sha256"), reason));
        }
    }
    Ok(())
}

/// The reason repeats nothing of the text, which may be the key itself.
fn sha256<'de, D: Deserializer<'de>>(source: D) -> Result<Digest, D::Error> {
    parsed(source, |text| {
        Digest::from_hex(text)
            .ok_or("not 64 hexadecimal digits; it is the SHA-256 of the key".to_owned())
    })
}

fn user<'de, D: Deserializer<'de>>(source: D) -> Result<Identity, D::Error> {
    Identity::user(&String::deserialize(source)?).map_err(D::Error::custom)
}
