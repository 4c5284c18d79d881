//! The circuit breaker in front of a server that fails one request after the other: it spares the
//! next ones the wait, and lets one through now and then to see.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use transom_core::Unavailable;

use crate::error;
use crate::metrics::BreakerMetrics;

/// So many failures one after the other open it.
const IN_A_ROW: u32 = 5;
/// So does a half of all requests within a span, if there were enough of them.
const SPAN: Duration = Duration::from_secs(1);
const ENOUGH: u32 = 20;
/// While it is open one request is let through each time, give or take a quarter: a fleet does
/// not knock in step.
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// The breaker of one server. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Breaker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    metrics: BreakerMetrics,
}

#[derive(Debug)]
struct State {
    in_a_row: u32,
    /// Of the span that is being counted.
    since: Instant,
    asked: u32,
    failed: u32,
    open: Option<Open>,
}

/// Since when nothing but probes is let through.
#[derive(Debug)]
struct Open {
    /// The label of the last failure.
    reason: &'static str,
    probe_at: Instant,
}

/// The leave to send one request. It is to [end](Self::end) with what became of it; one that is
/// dropped says nothing.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        let state = State { in_a_row: 0, since: Instant::now(), asked: 0, failed: 0, open: None };
        Self(Arc::new(Inner { state: Mutex::new(state), metrics: BreakerMetrics::new() }))
    }

    /// Whether a request may be sent.
    pub(crate) fn permit(&self) -> Result<Permit<'_>, Unavailable> {
        let mut state = self.lock();
        let Some(open) = &mut state.open else {
            return Ok(Permit { breaker: self, probe: false });
        };
        let now = Instant::now();
        if now < open.probe_at {
            return Err(Unavailable::BreakerOpen { reason: open.reason });
        }
        // Whatever becomes of this one, the next is not before its time.
        open.probe_at = now + pause();
        Ok(Permit { breaker: self, probe: true })
    }

    /// Lets the next request through: there is a new connection.
    pub(crate) fn probe_now(&self) {
        if let Some(open) = &mut self.lock().open {
            open.probe_at = Instant::now();
        }
    }

    /// Whether it is closed; else the reason for which it is open.
    pub(crate) fn state(&self) -> Result<(), Unavailable> {
        match &self.lock().open {
            None => Ok(()),
            Some(open) => Err(Unavailable::BreakerOpen { reason: open.reason }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is open when its server is given up is open no more.
impl Drop for Inner {
    fn drop(&mut self) {
        if self.state.get_mut().is_ok_and(|state| state.open.is_some()) {
            self.metrics.closed();
        }
    }
}

impl Permit<'_> {
    /// What became of the request: `Err` where no decision came back.
    pub(crate) fn end<T>(self, answer: &Result<T, Unavailable>) {
        let failure = answer.as_ref().err().filter(|reason| error::is_of_server(reason));
        let mut state = self.breaker.lock();
        match failure {
            Some(reason) => {
                if state.count_failure(reason.label()) {
                    self.breaker.0.metrics.opened();
                    tracing::warn!(%reason, "redis fails, it is only tried now and then");
                }
            }
            None => {
                if state.count_success(self.probe) {
                    self.breaker.0.metrics.closed();
                    tracing::info!("redis decides again");
                }
            }
        }
    }
}

impl State {
    /// Counts a failure; whether it has opened the breaker.
    fn count_failure(&mut self, reason: &'static str) -> bool {
        self.count(1);
        self.in_a_row += 1;
        if let Some(open) = &mut self.open {
            open.reason = reason;
            return false;
        }
        let half = self.asked >= ENOUGH && self.failed * 2 >= self.asked;
        if self.in_a_row < IN_A_ROW && !half {
            return false;
        }
        self.open = Some(Open { reason, probe_at: Instant::now() + pause() });
        true
    }

    /// Counts a success; whether it has closed the breaker, which only a probe does: an answer
    /// to what was sent before it opened says little of now.
    fn count_success(&mut self, probe: bool) -> bool {
        self.count(0);
        self.in_a_row = 0;
        if !probe || self.open.is_none() {
            return false;
        }
        (self.open, self.asked, self.failed) = (None, 0, 0);
        true
    }

    fn count(&mut self, failed: u32) {
        if self.since.elapsed() > SPAN {
            (self.since, self.asked, self.failed) = (Instant::now(), 0, 0);
        }
        self.asked += 1;
        self.failed += failed;
    }
}

/// Three quarters of the time between two probes, to five.
fn pause() -> Duration {
    PROBE_EVERY * fastrand::u32(75..=125) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Result<(), Unavailable> = Err(Unavailable::Deadline);

    fn ask(breaker: &Breaker, answer: &Result<(), Unavailable>) {
        breaker.permit().unwrap().end(answer);
    }

    fn opened() -> Breaker {
        let breaker = Breaker::new();
        for _ in 0..IN_A_ROW {
            ask(&breaker, &LATE);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_probe_closes_it() {
        let breaker = opened();
        let refused = breaker.permit().unwrap_err();
        assert_eq!(refused, Unavailable::BreakerOpen { reason: "deadline" });
        assert!(!refused.may_have_charged());
        breaker.probe_now();
        let probe = breaker.permit().unwrap();
        assert!(breaker.permit().is_err(), "one at a time");
        probe.end(&Ok(()));
        assert_eq!(breaker.state(), Ok(()));
        ask(&breaker, &Ok(()));
    }

    #[test]
    fn a_probe_that_fails_or_is_given_up_leaves_it_open_until_the_next() {
        let breaker = opened();
        for ends in [true, false] {
            breaker.probe_now();
            let probe = breaker.permit().unwrap();
            if ends {
                probe.end(&LATE);
            }
            assert!(breaker.permit().is_err());
        }
        std::thread::sleep(PROBE_EVERY * 5 / 4);
        assert!(breaker.permit().is_ok());
    }

    #[test]
    fn an_answer_to_what_was_sent_before_does_not_close_it() {
        let breaker = Breaker::new();
        let early = breaker.permit().unwrap();
        for _ in 0..IN_A_ROW {
            ask(&breaker, &LATE);
        }
        early.end(&Ok(()));
        assert!(breaker.permit().is_err());
    }

    #[test]
    fn half_of_many_open_it_and_half_of_few_do_not() {
        let breaker = Breaker::new();
        for n in 0..ENOUGH {
            assert_eq!(breaker.state(), Ok(()), "after {n}");
            ask(&breaker, if n % 2 == 0 { &Ok(()) } else { &LATE });
        }
        assert!(breaker.state().is_err());
    }

    #[test]
    fn what_concerns_one_identity_alone_does_not_open_it() {
        let breaker = Breaker::new();
        for code in ["WRONGTYPE", "OOM", "TRYAGAIN"] {
            let refused = Err(error::refusal(code, ""));
            for _ in 0..ENOUGH {
                ask(&breaker, &refused);
            }
            assert_eq!(breaker.state(), Ok(()), "{code}");
        }
    }
}
