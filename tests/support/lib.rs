//! What the tests stand on: real servers, traces, a clock in Redis that a test can set, and a
//! slow and obvious model of the limiter.

pub mod checker;
pub mod clock;
pub mod fleet;
pub mod oracle;
pub mod redis_server;
pub mod trace;
pub mod windows;

pub use redis_server::RedisServer;
