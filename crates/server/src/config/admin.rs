//! Who may administer.

use serde::Deserialize;

use super::secret::{Secret, secret};

/// A shorter token can be guessed, and is warned of: guesses are not slowed down, so it has to be
/// out of their reach. 16 random characters of base64 are 96 bits.
pub(super) const TOKEN_MIN: usize = 16;

/// The admin listener, `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// What the admin API and the console ask for, better at least 16 characters. Absent by
    /// default: they then answer on loopback only; `admin.token` or `TRANSOM__ADMIN__TOKEN`.
    #[serde(deserialize_with = "secret")]
    pub token: Option<Secret>,
    /// Whether `/readyz` is 200 while Redis does not decide and policies say what happens. Default
    /// true; `admin.ready_while_degraded` or `TRANSOM__ADMIN__READY_WHILE_DEGRADED`.
    pub ready_while_degraded: bool,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { token: None, ready_while_degraded: true }
    }
}
