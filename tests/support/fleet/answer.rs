//! What `POST /v1/decide` answers.

use serde::Deserialize;
use transom_core::{Identity, PolicyName};

use crate::checker::{Source, Told, ToldWindow};

/// Times are told in milliseconds, rounded up.
const GRAIN_US: u64 = 1_000;

/// The answer to one request.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    /// Whether it passes.
    pub allowed: bool,
    /// Who was limited.
    pub identity: String,
    /// The policy that matched.
    pub policy: PolicyName,
    retry_after_ms: Option<u64>,
    minute: Option<Window>,
    second: Option<Window>,
    at_us: Option<u64>,
    /// Who decided: `redis`, `cache`, `local` or `none`.
    pub source: String,
    /// Why Redis did not.
    pub degraded: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Window {
    limit: u32,
    remaining: u32,
    reset_ms: u64,
}

impl Answer {
    /// Who was limited.
    ///
    /// # Panics
    ///
    /// If it is no identity.
    pub fn identity(&self) -> Identity {
        self.identity.parse().expect("an answer names an identity")
    }

    /// The decision for the checker; none where there was none.
    pub fn told(&self) -> Option<Told> {
        let source = match (self.source.as_str(), &self.degraded) {
            ("redis", None) => Source::Redis,
            ("cache", None) => Source::Cache,
            _ => Source::degraded(self.degraded.as_deref()),
        };
        let window = |window: Window| ToldWindow {
            limit: window.limit,
            remaining: window.remaining,
            reset_us: window.reset_ms * GRAIN_US,
        };
        Some(Told {
            allowed: self.allowed,
            source,
            at_us: self.at_us?,
            grain_us: GRAIN_US,
            retry_after_us: self.retry_after_ms.map(|ms| ms * GRAIN_US),
            windows: [window(self.minute?), window(self.second?)],
        })
    }
}
