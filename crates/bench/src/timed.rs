//! A limiter in memory, asked from some threads at once. `crates/bench/peer` measures by this file
//! too.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

/// Whether one request of a caller passes, given the caller's text as a handler has it.
pub(crate) type Check = Box<dyn Fn(&str) -> Result<bool> + Send + Sync>;

/// All callers' numbers have as many digits, so that requests are of a size.
pub(crate) const FIRST: u32 = 10_000_000;

/// The identity of a caller's number.
pub(crate) fn user(caller: u32) -> String {
    (FIRST + caller).to_string()
}

/// Every caller as often as it asks; the threads share the callers.
pub(crate) fn run(
    check: &Check,
    callers: &[String],
    times: u32,
    threads: usize,
) -> Result<Duration> {
    let started = Instant::now();
    let shares = callers.chunks(callers.len().div_ceil(threads.max(1)).max(1));
    std::thread::scope(|scope| {
        let deciding: Vec<_> = shares
            .map(|share| {
                scope.spawn(move || {
                    let mut admitted = 0_usize;
                    for _ in 0..times {
                        for caller in share {
                            admitted += usize::from(check(caller)?);
                        }
                    }
                    ensure!(admitted >= share.len(), "a first request was denied");
                    Ok(())
                })
            })
            .collect();
        for thread in deciding {
            thread.join().map_err(|_| anyhow!("a thread has ended badly"))??;
        }
        Ok(started.elapsed())
    })
}
