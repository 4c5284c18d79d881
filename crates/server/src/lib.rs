//! The worker: who asks, the gateway, the check listener, health.

pub mod backend;
pub mod config;
pub mod front;
pub mod identity;
