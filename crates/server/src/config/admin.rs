//! Who may administer.

use serde::Deserialize;

use super::secret::{Secret, secret};

/// A shorter token can be guessed, and is warned of: guesses are not slowed down, so it has to be
/// out of their reach. 16 random characters of base64 are 96 bits.
pub(super) const TOKEN_MIN: usize = 16;

/// The admin listener, `[admin]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// What the admin API and the console ask for, better at least 16 characters. Absent by
    /// default: they then answer on loopback only; `admin.token` or `TRANSOM__ADMIN__TOKEN`.
    #[serde(deserialize_with = "secret")]
    pub token: Option<Secret>,
}
