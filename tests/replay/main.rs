//! Traces against the script in a real Redis and against the in-process limiter: the files of
//! `tests/vectors` (or of the folder named in `TRANSOM_VECTORS`), and random ones against a model.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod engines;
mod files;
mod random;
mod standing;
