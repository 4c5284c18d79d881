//! Policies: which requests they match, and what holds for a request that matches.
//!
//! A [`Policy`] is plain data and is checked on its own only in its parts ([`PolicyName`],
//! [`PathPattern`]). Whether several policies fit together is checked when [`crate::Policies`] is
//! built from them.

mod error;
mod name;
mod pattern;

use std::fmt;
use std::str::FromStr;

use http::Method;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

use crate::limits::{Cost, Limits};

pub use error::PolicyError;
pub use name::PolicyName;
pub use pattern::PathPattern;
pub(crate) use pattern::Segment;

/// What is done with a decision. Written in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A denied request is refused.
    #[default]
    Enforce,
    /// A request that would be denied passes, unrecorded and counted, with true headers.
    Shadow,
    /// Nothing is decided; the request is exempt.
    Off,
}

/// What happens to a request when Redis gives no decision. Written in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The in-process limiter decides, with this worker's share of the limits.
    #[default]
    Local,
    /// The request passes.
    Allow,
    /// The request is refused as unavailable (503, never 429).
    Deny,
}

/// Which requests share a pair of windows, and what limits them.
///
/// `methods`, `path` and `host` say what matches; the most specific match wins, as
/// [`crate::Policies`] describes. The rest says what holds then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Unique among the policies; part of key names.
    pub name: PolicyName,
    /// The methods that match, compared with regard to case; empty means any. `GET` does not
    /// cover `HEAD`, which has to be listed beside it.
    pub methods: Vec<Method>,
    /// The paths that match; `None` means any.
    pub path: Option<PathPattern>,
    /// The host that matches, in lower case and without a port; `None` means any.
    pub host: Option<String>,
    /// How many units each window takes.
    pub limits: Limits,
    /// How many units a request asks for.
    pub cost: Cost,
    /// What is done with a decision.
    pub mode: Mode,
    /// What happens when there is none.
    pub on_failure: OnFailure,
}

impl Policy {
    /// A policy that matches every request at cost 1, enforces, and decides locally in an outage.
    pub const fn new(name: PolicyName, limits: Limits) -> Self {
        Self {
            name,
            methods: Vec::new(),
            path: None,
            host: None,
            limits,
            cost: Cost::ONE,
            mode: Mode::Enforce,
            on_failure: OnFailure::Local,
        }
    }
}

impl Mode {
    /// `enforce`, `shadow` or `off`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

impl OnFailure {
    /// `local`, `allow` or `deny`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for OnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Mode {
    /// Names the text and the three words that are known.
    type Err = serde::de::value::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::deserialize(text.into_deserializer())
    }
}

impl FromStr for OnFailure {
    /// Names the text and the three words that are known.
    type Err = serde::de::value::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::deserialize(text.into_deserializer())
    }
}

#[cfg(test)]
mod tests;
