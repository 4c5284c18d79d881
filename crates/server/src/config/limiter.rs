//! The limiter as a whole, and the one in process.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use transom_core::{Mode, PathPattern};

use super::value::{list, whole};
use crate::exempt::ExemptRequests;

/// How many paths may be exempt: each request is compared with all of them.
const MAX_EXEMPT_PATHS: usize = 100;

/// The limiter as a whole, `[limiter]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimiterConfig {
    /// The mode of everything; of this and a policy's own the milder counts. Default `enforce`;
    /// `limiter.mode` or `TRANSOM__LIMITER__MODE`.
    pub mode: Mode,
    /// Whether CORS preflights are not limited. Default false; `limiter.exempt_preflight` or
    /// `TRANSOM__LIMITER__EXEMPT_PREFLIGHT`.
    pub exempt_preflight: bool,
    /// Paths to which requests are not limited, written as those of policies. Empty by default, at
    /// most 100; `limiter.exempt_paths` or `TRANSOM__LIMITER__EXEMPT_PATHS`.
    #[serde(deserialize_with = "paths")]
    pub exempt_paths: Vec<PathPattern>,
}

impl LimiterConfig {
    /// What is not limited, as the worker asks for it.
    pub fn exempt_requests(&self) -> ExemptRequests {
        ExemptRequests { preflight: self.exempt_preflight, paths: self.exempt_paths.clone() }
    }
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

fn paths<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<PathPattern>, D::Error> {
    let paths = list(source, |text| PathPattern::parse(text).map_err(|error| error.to_string()))?;
    if paths.len() > MAX_EXEMPT_PATHS {
        let reason = format!("{} paths are more than {MAX_EXEMPT_PATHS}", paths.len());
        return Err(D::Error::custom(reason));
    }
    Ok(paths)
}
