//! Which configuration is in force, for whoever asks.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;

/// How many digits of a digest are shown: enough to tell files apart.
const DIGITS: usize = 12;

/// The status, replaced as a whole with every change.
pub type SharedStatus = Arc<ArcSwap<ConfigStatus>>;

/// Which configuration is in force. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigStatus {
    /// 1 at the start, and one more with each change that was applied.
    pub version: u64,
    /// The first 12 digits of the SHA-256 of the file in force, as `sha256sum` prints it; empty
    /// where there is no file.
    pub digest: String,
    /// Since when this version is in force, by this machine's clock.
    pub applied_at: SystemTime,
    /// Why what the file holds is not in force; `None` where it is.
    pub last_error: Option<Refusal>,
    /// The settings that the file in force changes and that wait for a restart, such as
    /// `listen.gateway`.
    pub needs_restart: Vec<String>,
}

/// A configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One line with the file, the key and the reason.
    pub message: String,
    /// When, by this machine's clock.
    pub at: SystemTime,
}

impl ConfigStatus {
    /// Of something that runs without a file.
    pub fn shared_at_start() -> SharedStatus {
        Arc::new(ArcSwap::from_pointee(Self::at_start("")))
    }

    pub(super) fn at_start(digest: &str) -> Self {
        Self {
            version: 1,
            digest: short(digest),
            applied_at: now(),
            last_error: None,
            needs_restart: Vec::new(),
        }
    }

    /// After a file of this digest was taken up. The one in force is no new version.
    pub(super) fn applied(&self, digest: &str, needs_restart: &[&str]) -> Self {
        let digest = short(digest);
        let (version, applied_at) = if digest == self.digest {
            (self.version, self.applied_at)
        } else {
            (self.version + 1, now())
        };
        let needs_restart = needs_restart.iter().map(|key| (*key).to_owned()).collect();
        Self { version, digest, applied_at, last_error: None, needs_restart }
    }

    /// After a file was refused.
    pub(super) fn refused(&self, reason: &str) -> Self {
        let refusal = Refusal { message: reason.to_owned(), at: now() };
        Self { last_error: Some(refusal), ..self.clone() }
    }
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGITS).collect()
}

#[expect(clippy::disallowed_methods, reason = "told to people; no limit moves by it")]
fn now() -> SystemTime {
    SystemTime::now()
}
