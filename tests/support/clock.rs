//! The scripts with a clock that a test sets. Nothing but the clock expression is replaced, and the
//! unit of what keys have to live.

use redis::{Cmd, cmd};
use transom_redis::Script;

/// The expression by which both scripts read the time.
const EXPRESSION: &str = "redis.call('TIME')";
/// Where the time of the test is kept: seconds in `s`, microseconds in `u`, as TIME returns them.
const KEY: &str = "test:clock";

/// The script with its clock replaced by the one that [`set`] sets. Keys live a thousand times as
/// long: Redis expires them by its own clock, which moves while that of the test stands still or
/// steps back, and some have a millisecond left.
///
/// # Panics
///
/// If the script does not read its clock in exactly one place.
pub fn replace(script: &Script) -> Script {
    let source = script.source();
    assert_eq!(source.matches(EXPRESSION).count(), 1, "one clock, read once");
    let clocked = source.replace(EXPRESSION, &format!("redis.call('HMGET', '{KEY}', 's', 'u')"));
    script.with_source(&clocked.replace("'PEXPIRE'", "'EXPIRE'"))
}

/// Sets the clock to `now_us` microseconds since 1970.
pub fn set(now_us: u64) -> Cmd {
    let mut command = cmd("HSET");
    command.arg(KEY).arg("s").arg(now_us / 1_000_000).arg("u").arg(now_us % 1_000_000);
    command
}
