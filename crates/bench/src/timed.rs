//! A limiter in memory, asked from some threads at once. `crates/bench/peer` measures by this file
//! too.

use std::fmt;
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

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) decisions: u64,
    pub(crate) admitted: u64,
    pub(crate) took: Duration,
}

/// For another process: three numbers, the last one in ns.
impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.decisions, self.admitted, self.took.as_nanos())
    }
}

/// Lets each caller ask once, and then all of them over and over for as long as is said; what
/// comes first counts only where nothing is to come after it. The threads share the callers, and
/// look at the clock after each that has asked a few times, so that none ends far from its time.
pub(crate) fn run(
    check: &Check,
    callers: &[String],
    lasts: Duration,
    threads: usize,
) -> Result<Ran> {
    let shares: Vec<_> = callers.chunks(callers.len().div_ceil(threads.max(1)).max(1)).collect();
    let first = together(&shares, |share| pass(check, share))?;
    ensure!(first.admitted == callers.len() as u64, "a first request was denied");
    if lasts.is_zero() {
        return Ok(first);
    }
    together(&shares, |share| {
        let (started, mut ran) = (Instant::now(), Ran::default());
        for some in share.chunks(LOOK_AFTER).cycle() {
            if started.elapsed() >= lasts {
                break;
            }
            ran = ran.and(pass(check, some)?);
        }
        Ok(ran)
    })
}

/// Callers between two looks at the clock.
const LOOK_AFTER: usize = 256;

impl Ran {
    fn and(self, other: Self) -> Self {
        let (decisions, admitted) =
            (self.decisions + other.decisions, self.admitted + other.admitted);
        Self { decisions, admitted, ..self }
    }
}

/// Each caller once. How long it took is left to who asks for it.
fn pass(check: &Check, callers: &[String]) -> Result<Ran> {
    let mut admitted = 0;
    for caller in callers {
        admitted += u64::from(check(caller)?);
    }
    Ok(Ran { decisions: callers.len() as u64, admitted, took: Duration::ZERO })
}

/// Each share on a thread of its own, all at once.
fn together<F>(shares: &[&[String]], work: F) -> Result<Ran>
where
    F: Fn(&[String]) -> Result<Ran> + Sync,
{
    let (started, work) = (Instant::now(), &work);
    std::thread::scope(|scope| {
        let deciding: Vec<_> =
            shares.iter().map(|share| scope.spawn(move || work(share))).collect();
        let mut all = Ran::default();
        for thread in deciding {
            all = all.and(thread.join().map_err(|_| anyhow!("a thread has ended badly"))??);
        }
        Ok(Ran { took: started.elapsed(), ..all })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn who_has_asked_once_goes_on_for_the_time_that_is_said() {
        let callers: Vec<_> = (0..1_000).map(user).collect();
        for (lasts, threads) in [(0, 1), (0, 3), (20, 1), (20, 3)] {
            let (asked, lasts) = (Arc::new(AtomicU64::new(0)), Duration::from_millis(lasts));
            let counted = Arc::clone(&asked);
            // Admits each caller's first request, and none after that.
            let check: Check =
                Box::new(move |_| Ok(counted.fetch_add(1, Ordering::Relaxed) < 1_000));
            let ran = run(&check, &callers, lasts, threads).unwrap();
            let (asked, first) = (asked.load(Ordering::Relaxed), callers.len() as u64);
            if lasts.is_zero() {
                assert_eq!((ran.decisions, ran.admitted, asked), (first, first, first));
            } else {
                assert_eq!((ran.decisions, ran.admitted), (asked - first, 0));
                assert!(ran.took >= lasts && ran.decisions > first, "{ran:?}");
            }
        }
        let denies: Check = Box::new(|_| Ok(false));
        let error = run(&denies, &callers, Duration::ZERO, 2).unwrap_err();
        assert_eq!(error.to_string(), "a first request was denied");
    }
}
