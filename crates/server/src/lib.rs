//! The worker: who asks, the gateway, the check listener, Envoy's rate limit service, health,
//! metrics.
//!
//! A [`worker::Worker`] is what a [`config::Config`] describes: a limiter (on Redis, or in this
//! process), the identities it tells apart, and its listeners. Every listener reads a request,
//! asks the [`front::Front`], and writes the answer in its own way. [`reload`] puts another front
//! in place when the configuration changes.

pub mod admin;
pub mod backend;
pub mod check;
pub mod config;
mod console;
pub mod desk;
pub mod exempt;
pub mod front;
pub mod gateway;
pub mod identity;
pub mod listen;
pub mod operator;
pub mod reload;
pub mod reporter;
pub mod rls;
pub mod telemetry;
pub mod worker;
