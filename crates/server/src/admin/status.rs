//! What a worker says of itself.

use serde::{Deserialize, Serialize};
use transom_core::Mode;
use transom_redis::RedisLimiter;
use utoipa::ToSchema;

use super::Admin;
use crate::reload::ConfigStatus;

/// What this worker is, and which configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusDoc {
    /// The version of the program.
    pub version: String,
    /// Which configuration is in force.
    pub configuration: ConfigurationDoc,
    /// The mode of everything.
    #[schema(value_type = String)]
    pub mode: Mode,
    /// Who decides in health: `redis` or `local`.
    pub store: String,
    /// Why Redis does not decide now; null where it does, or where there is none.
    pub degraded: Option<String>,
    /// Whether the worker is about to stop.
    pub draining: bool,
}

/// Which configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigurationDoc {
    /// 1 at the start, and one more with each change.
    pub version: u64,
    /// The first digits of the SHA-256 of the file; empty without a file.
    pub digest: String,
    /// Since when it is in force, as RFC 3339.
    pub applied_at: String,
    /// Why what the file holds is not in force; null where it is.
    pub last_error: Option<RefusalDoc>,
    /// The settings that wait for a restart.
    pub needs_restart: Vec<String>,
}

/// A configuration that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalDoc {
    /// The file, the key and the reason.
    pub message: String,
    /// When, as RFC 3339.
    pub at: String,
}

impl StatusDoc {
    pub(crate) fn of(admin: &Admin) -> Self {
        let front = admin.front.load();
        let redis = front.gate.limiter().redis().map(RedisLimiter::state);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            configuration: (&**admin.status.load()).into(),
            mode: front.gate.mode(),
            store: if redis.is_some() { "redis" } else { "local" }.to_owned(),
            degraded: redis.and_then(|state| state.err()).map(|reason| reason.label().to_owned()),
            draining: admin.draining.is_cancelled(),
        }
    }
}

impl From<&ConfigStatus> for ConfigurationDoc {
    fn from(status: &ConfigStatus) -> Self {
        let time = |at| humantime::format_rfc3339_seconds(at).to_string();
        Self {
            version: status.version,
            digest: status.digest.clone(),
            applied_at: time(status.applied_at),
            last_error: status.last_error.as_ref().map(|refusal| RefusalDoc {
                message: refusal.message.clone(),
                at: time(refusal.at),
            }),
            needs_restart: status.needs_restart.clone(),
        }
    }
}
