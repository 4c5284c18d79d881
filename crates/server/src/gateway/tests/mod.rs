//! The gateway between real sockets. A test plays the client and the upstream in turn, in bytes.

mod failures;
mod fields;
mod requests;
mod streaming;
mod support;
mod upgrades;
