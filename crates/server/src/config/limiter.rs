//! The limiter as a whole, and the one in process.

use serde::Deserialize;
use transom_core::Mode;

use super::value::whole;

/// The limiter as a whole, `[limiter]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimiterConfig {
    /// The mode of everything; of this and a policy's own the milder counts. Default `enforce`;
    /// `limiter.mode` or `TRANSOM__LIMITER__MODE`.
    pub mode: Mode,
}

/// The limiter in process, `[local]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalConfig {
    /// How many pairs of an identity and a policy it remembers. Default 200,000, 1 to 10,000,000;
    /// `local.max_identities` or `TRANSOM__LOCAL__MAX_IDENTITIES`.
    #[serde(deserialize_with = "whole::<_, _, 1, 10_000_000>")]
    pub max_identities: usize,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self { max_identities: 200_000 }
    }
}
