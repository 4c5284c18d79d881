//! Who may administer.

use serde::Deserialize;

use super::secret::{Secret, secret};

/// The admin listener, `[admin]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// What the admin API and the console ask for. Absent by default: they then answer on loopback
    /// only;
    /// `admin.token` or `TRANSOM__ADMIN__TOKEN`.
    #[serde(deserialize_with = "secret")]
    pub token: Option<Secret>,
}
