//! The crate that knows Redis, against a real one: what the script writes and does not write,
//! what the connections survive, and API keys.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod acl;
mod api_keys;
mod cluster;
mod connection;
mod denials;
mod doctor;
mod health;
mod lanes;
mod operations;
mod roster;
mod script;
mod sentinel;
mod sentinel_access;
mod setup;
mod versions;
