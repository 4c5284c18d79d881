//! What the tests stand on: real servers, traces, a clock in Redis that a test can set, and a
//! slow and obvious model of the limiter.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

pub mod chaos;
pub mod checker;
pub mod clients;
pub mod clock;
pub mod cluster;
pub mod decisions;
pub mod fake_redis;
pub mod fleet;
pub mod kubernetes;
pub mod lateness;
pub mod not_run;
pub mod oracle;
pub mod promises;
pub mod redis_server;
pub mod sentinel;
mod signal;
pub mod stepped_clock;
pub mod trace;
pub mod windows;

pub use cluster::Cluster;
pub use not_run::not_run;
pub use redis_server::RedisServer;
pub use signal::signal;
