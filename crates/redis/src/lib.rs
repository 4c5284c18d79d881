//! How decisions are kept in Redis: key names, the scripts in `lua/`, and the connections.
//!
//! A [`RedisLimiter`] sends every decision through one of a few long-lived connections, its
//! *lanes*. Requests that arrive while all lanes wait for Redis go out together in the next call
//! of the script; an idle lane sends at once. Every decision ends within its deadline.
//!
//! What is decided is the business of `transom-core`; nothing outside this crate knows Redis.

mod api_keys;
mod breaker;
mod changes;
mod clock;
mod cluster;
mod connection;
mod control;
mod denials;
mod ears;
mod error;
mod examine;
mod keyspace;
mod lane;
mod limiter;
pub mod metrics;
mod node;
mod operations;
mod primary;
mod reply;
mod roster;
mod script;
mod settings;
mod strikes;
mod walk;
mod watch;

pub use api_keys::{Digest, KeyDirectory, KeyRecord};
pub use error::OpenError;
pub use examine::{Examined, Severity};
pub use keyspace::Keyspace;
pub use limiter::RedisLimiter;
pub use reply::{Answer, decode};
pub use script::Script;
pub use settings::{DEFAULT_PREFIX, Sentinels, Servers, Settings, Tls};
