//! One worker as a process, on real sockets: what a newcomer, a client, an operator and a broken
//! Redis meet.

mod admin_api;
mod api_keys;
mod arguments;
mod browser;
mod client;
mod cluster;
mod collector;
mod configuration;
mod console;
mod deployed;
mod drain;
mod exempt;
mod failure_policy;
mod first_minute;
mod forged;
mod identity_modes;
mod issuer;
mod kubernetes;
mod metrics;
mod operator_cli;
mod outage;
mod paths;
mod penalties;
mod process;
mod prometheus;
mod reload;
mod request_id;
mod secrets;
mod sentinel;
mod traces;
mod upstream;
mod without_redis;
