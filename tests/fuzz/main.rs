//! What input from outside cannot do: each parser, and the decision itself, against a slow and
//! obvious version of its own, on inputs that are kept, mutated and random.
//!
//! `cargo test` runs every target for some seconds. `tests/fuzz/guided` runs one under libFuzzer,
//! which looks for inputs that reach new code; [`runner`] says how a target is run. What is kept
//! in `corpus/` is run first, always.

#![cfg_attr(fuzzing, no_main)]
#![expect(clippy::unwrap_used, reason = "a target that cannot go on has found something")]

mod client_address;
mod configuration;
mod decide_body;
mod decisions;
mod fields;
#[cfg(fuzzing)]
mod guided;
mod identities;
mod mutator;
mod paths;
mod policies;
mod replies;
mod runner;
