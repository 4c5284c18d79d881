//! What verifies tokens, as a configuration describes it.

use std::path::Path;

use super::{TokenKeys, TokenRules, Tokens};
use crate::config::{IdentityConfig, IdentityMode};
use crate::worker::StartError;

const KEY_FILE: &str = "identity.jwt_key_file";
const KEYS_FILE: &str = "identity.jwt_keys_file";

/// What verifies tokens, where users are named by them, with the files read that the configuration
/// names.
///
/// # Errors
///
/// [`StartError::File`] and [`StartError::Keys`].
pub fn tokens(config: &IdentityConfig) -> Result<Option<Tokens>, StartError> {
    let (IdentityMode::Jwt, Some(algorithm)) = (config.mode, config.jwt_algorithm) else {
        return Ok(None);
    };
    let unfit = |key, path: &Path| {
        let path = path.display().to_string();
        move |source| StartError::Keys { key, path, source }
    };
    let keys = match (&config.jwt_secret, &config.jwt_key_file, &config.jwt_keys_file) {
        (Some(secret), ..) => TokenKeys::from_secret(secret.expose().as_bytes()),
        (_, Some(path), _) => {
            TokenKeys::from_pem(&read(KEY_FILE, path)?, algorithm).map_err(unfit(KEY_FILE, path))?
        }
        (_, _, Some(path)) => TokenKeys::from_set(&read(KEYS_FILE, path)?, algorithm)
            .map_err(unfit(KEYS_FILE, path))?,
        (None, None, None) => return Ok(None),
    };
    let rules = TokenRules {
        algorithm,
        issuer: config.jwt_issuer.clone().unwrap_or_default(),
        audience: config.jwt_audience.clone().unwrap_or_default(),
        leeway: config.jwt_leeway,
    };
    Ok(Some(Tokens::new(&rules, keys)))
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, StartError> {
    let path_text = || path.display().to_string();
    std::fs::read(path).map_err(|source| StartError::File { key, path: path_text(), source })
}
