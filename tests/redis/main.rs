//! The crate that knows Redis, against a real one: what the script writes and does not write,
//! what the connections survive, and API keys.

mod api_keys;
mod connection;
mod lanes;
mod roster;
mod script;
mod setup;
