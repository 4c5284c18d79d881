//! Rules of the repository that a machine can hold. They need no server.

mod arrows;
mod lua;
mod source;
