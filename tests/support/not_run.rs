//! Tests that cannot be run on what is there, for one reason: the server lacks what they test.

use std::fs::OpenOptions;
use std::io::Write;

/// Notes that the test that calls this was not run, and why, in the file that `TRANSOM_NOT_RUN`
/// names. `./test` counts it as skipped.
///
/// # Panics
///
/// If no file is named: then nobody would learn that the test was not run.
pub fn not_run(why: &str) {
    let file = std::env::var_os("TRANSOM_NOT_RUN").unwrap_or_else(|| panic!("cannot run: {why}"));
    let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test without a name");
    writeln!(file, "{test}: {why}").unwrap();
}
