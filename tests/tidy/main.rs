//! Rules of the repository that a machine can hold. They need no server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod arrows;
mod clocks;
mod compose;
mod documents;
mod kubernetes;
mod lua;
mod promises;
mod source;
