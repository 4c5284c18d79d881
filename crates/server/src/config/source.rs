//! Where the settings come from, so that they can be read again.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use config::FileFormat;
use sha2::{Digest as _, Sha256};

use super::{Config, ConfigError};

/// At most one file, and variables. `Debug` shows no variable, since some are secret.
#[derive(Clone)]
pub struct ConfigSource {
    file: Option<PathBuf>,
    variables: Vec<(String, String)>,
}

impl ConfigSource {
    /// The file, if there is one, and the variables, of which those that begin with `TRANSOM__`
    /// are settings.
    pub fn new(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self { file: file.map(Path::to_owned), variables: environment.into_iter().collect() }
    }

    /// The file.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// As [`Config::load`].
    ///
    /// # Errors
    ///
    /// One line with the file or the variable, the key, and the reason.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.parse(&self.read()?)
    }

    /// What the file holds now; nothing, where there is none.
    pub(crate) fn read(&self) -> Result<FileText, ConfigError> {
        let Some(path) = &self.file else {
            return Ok(FileText::default());
        };
        format(path)?;
        let text = fs::read_to_string(path).map_err(|error| {
            let reason = match error.kind() {
                io::ErrorKind::NotFound => "no such file".to_owned(),
                io::ErrorKind::IsADirectory => "a directory, not a file".to_owned(),
                io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
                io::ErrorKind::InvalidData => "not UTF-8 text".to_owned(),
                _ => error.to_string(),
            };
            ConfigError::new(&path.display().to_string(), &reason)
        })?;
        Ok(FileText { digest: format!("{:x}", Sha256::digest(&text)), text })
    }

    /// That reading it came to no end, for a reason that is not the file's.
    pub(crate) fn cannot_be_read(&self) -> ConfigError {
        let origin =
            self.file().map_or("configuration".to_owned(), |file| file.display().to_string());
        ConfigError::new(&origin, "reading it has failed")
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What a file held when it was read. It is not shown, since it may hold secrets.
#[derive(Default)]
pub(crate) struct FileText {
    pub(super) text: String,
    /// The SHA-256 in hex, as `sha256sum` prints it; empty where there is no file.
    pub(crate) digest: String,
}

/// TOML or YAML, by the name.
pub(super) fn format(path: &Path) -> Result<FileFormat, ConfigError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => Ok(FileFormat::Toml),
        Some("yaml" | "yml") => Ok(FileFormat::Yaml),
        _ => {
            let reason = "its name does not end in .toml, .yaml or .yml";
            Err(ConfigError::new(&path.display().to_string(), reason))
        }
    }
}
