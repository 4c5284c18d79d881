//! One worker as a process, on real sockets: what a newcomer, a client, an operator and a broken
//! Redis meet.

mod api_keys;
mod arguments;
mod client;
mod configuration;
mod drain;
mod exempt;
mod first_minute;
mod forged;
mod identity_modes;
mod issuer;
mod kubernetes;
mod outage;
mod paths;
mod process;
mod secrets;
mod upstream;
mod without_redis;
