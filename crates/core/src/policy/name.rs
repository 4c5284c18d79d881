//! Names of policies.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::PolicyError;

/// The name of a policy: 1 to 64 bytes of `A-Za-z0-9._-`, so that it stands in a key name as it
/// is. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyName(Arc<str>);

impl PolicyName {
    /// The name of the policy that matches every request.
    pub const DEFAULT: &'static str = "default";
    /// The length of the longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// A name, checked.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Name`] for an empty name, one above [`Self::MAX_LEN`], or another byte.
    pub fn new(name: &str) -> Result<Self, PolicyError> {
        let reason = if name.is_empty() {
            "it is empty".to_owned()
        } else if name.len() > Self::MAX_LEN {
            format!("{} bytes are more than {}", name.len(), Self::MAX_LEN)
        } else if let Some(other) = name.chars().find(|&character| !is_allowed(character)) {
            format!("{other:?} is not one of A-Z a-z 0-9 . _ -")
        } else {
            return Ok(Self(name.into()));
        };
        Err(PolicyError::Name { name: name.to_owned(), reason })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the name of the policy that matches every request.
    pub fn is_default(&self) -> bool {
        self.as_str() == Self::DEFAULT
    }
}

/// [`PolicyName::DEFAULT`].
impl Default for PolicyName {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl AsRef<str> for PolicyName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<String> for PolicyName {
    type Error = PolicyError;

    fn try_from(name: String) -> Result<Self, PolicyError> {
        Self::new(&name)
    }
}

impl From<PolicyName> for String {
    fn from(name: PolicyName) -> Self {
        name.as_str().to_owned()
    }
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}
