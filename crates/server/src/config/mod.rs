//! The settings of a worker: defaults, then one file, then the environment.
//!
//! [`Config::load`] reads and checks everything; what comes out is parsed, and the rest of the
//! worker only takes it. A [`ConfigSource`] can be loaded again when its file has changed. A
//! mistake is refused in one line that names where it stands, the key, and the reason
//! ([`ConfigError`]). What can be, but is likely not meant, is a warning ([`Config::warnings`]).
//! `config/transom.toml` holds every setting with its default.
//!
//! Durations and sizes carry their unit in the value. No secret is shown by `Debug`, by
//! [`Config::describe`] or in an error.

mod admin;
mod api_key;
mod describe;
mod error;
mod gateway;
mod identity;
mod jwt;
mod limiter;
mod listen;
mod load;
mod log;
mod network;
mod node;
mod penalty;
mod policy;
mod redis;
mod redis_url;
mod restart;
mod secret;
mod source;
mod tracing;
mod value;
mod warnings;

use transom_core::Policies;
use transom_core::body::Messages;
use transom_core::headers::Style;

pub use admin::AdminConfig;
pub use api_key::ApiKey;
pub use error::ConfigError;
pub use gateway::GatewayConfig;
pub use identity::{ExemptEntry, IdentityConfig, IdentityMode};
pub use limiter::{LimiterConfig, LocalConfig};
pub use listen::ListenConfig;
pub use log::{LogConfig, LogFormat};
pub use penalty::PenaltyConfig;
pub use redis::{RedisConfig, RedisMode};
pub use redis_url::RedisUrl;
pub(crate) use restart::Changed;
pub use secret::Secret;
pub use source::ConfigSource;
pub(crate) use source::FileText;
pub use tracing::TracingConfig;

/// The settings of a worker, checked. `Default` is what holds without a file and an environment.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where it listens, `[listen]`.
    pub listen: ListenConfig,
    /// The reverse proxy, `[gateway]`.
    pub gateway: GatewayConfig,
    /// How it reaches Redis, `[redis]`.
    pub redis: RedisConfig,
    /// Who a request is counted on, `[identity]`.
    pub identity: IdentityConfig,
    /// API keys that are known without Redis, `[[api_key]]`; from a file only.
    pub api_keys: Vec<ApiKey>,
    /// The limiter as a whole, `[limiter]`.
    pub limiter: LimiterConfig,
    /// Which header fields are written: `headers.reset`, `seconds` (default) or `epoch`;
    /// `headers.ietf`, `headers.aliases` and `headers.expose`, false by default. Or
    /// `TRANSOM__HEADERS__RESET` and so on.
    pub headers: Style,
    /// What refused clients are told: `messages.user`, `messages.ip`, `messages.unavailable`. Or
    /// `TRANSOM__MESSAGES__USER` and so on.
    pub messages: Messages,
    /// Penalties, `[penalty]`.
    pub penalty: PenaltyConfig,
    /// The log, `[log]`.
    pub log: LogConfig,
    /// Traces, `[tracing]`.
    pub tracing: TracingConfig,
    /// The limiter in process, `[local]`.
    pub local: LocalConfig,
    /// The admin listener, `[admin]`.
    pub admin: AdminConfig,
    /// What limits whom, `[[policy]]`; from a file only. There is always a `default`, of 60 units a
    /// minute and 2 a second unless it is given.
    pub policies: Policies,
    /// Whether there are policies in the file, but no `default` among them.
    default_is_missing: bool,
    /// The SHA-256 of the file in hex, as `sha256sum` prints it; empty without a file.
    pub digest: String,
}

#[cfg(test)]
mod tests;
