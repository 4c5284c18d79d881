//! Who may administer.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::secret::{Secret, secret};

/// The least length of a token. Guesses are not slowed down, so it has to be out of their reach:
/// 16 random characters of base64 are 96 bits.
const TOKEN_MIN: usize = 16;

/// The admin listener, `[admin]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// What the admin API and the console ask for, at least 16 characters. Absent by default: they
    /// then answer on loopback only; `admin.token` or `TRANSOM__ADMIN__TOKEN`.
    #[serde(deserialize_with = "token")]
    pub token: Option<Secret>,
}

fn token<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Secret>, D::Error> {
    let token = secret(source)?;
    if token.as_ref().is_some_and(|token| token.expose().len() < TOKEN_MIN) {
        return Err(D::Error::custom(format!(
            "must be at least {TOKEN_MIN} characters, so that it cannot be guessed"
        )));
    }
    Ok(token)
}
