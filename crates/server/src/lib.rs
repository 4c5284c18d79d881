//! The worker: who asks, the gateway, the check listener, health.
//!
//! A [`worker::Worker`] is what a [`config::Config`] describes: a limiter (on Redis, or in this
//! process), the identities it tells apart, and its listeners. Every listener reads a request,
//! asks the [`front::Front`], and writes the answer in its own way.

pub mod admin;
pub mod backend;
pub mod check;
pub mod config;
pub mod exempt;
pub mod front;
pub mod gateway;
pub mod identity;
pub mod listen;
pub mod telemetry;
pub mod worker;
