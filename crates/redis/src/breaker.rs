//! The circuit breaker in front of a server that fails one request after the other: it spares the
//! next ones the wait, and lets one through now and then to see.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use transom_core::Unavailable;

use crate::error;
use crate::metrics::BreakerMetrics;

/// So many failures one after the other open it. What fails at one moment, as all callers of a
/// call do, is one failure.
const IN_A_ROW: u32 = 5;
const MOMENT: Duration = Duration::from_millis(10);
/// So does more than half of all requests within a span, which begins with a failure, if there
/// were enough of them, at enough moments.
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
    /// Whether there was a failure in the last span: only then is anything counted, so that
    /// requests of a server that is well do not wait for each other here.
    troubled: AtomicBool,
    state: Mutex<State>,
    metrics: BreakerMetrics,
}

#[derive(Debug)]
struct State {
    in_a_row: u32,
    /// Of the span that is being counted: requests, failures, and moments with failures.
    since: Instant,
    asked: u32,
    failed: u32,
    moments: u32,
    /// The last moment with a failure.
    moment: Option<Instant>,
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
        let state = Mutex::new(State::at(Instant::now()));
        let (troubled, metrics) = (AtomicBool::new(false), BreakerMetrics::new());
        Self(Arc::new(Inner { troubled, state, metrics }))
    }

    /// Whether a request may be sent.
    pub(crate) fn permit(&self) -> Result<Permit<'_>, Unavailable> {
        if !self.is_troubled() {
            return Ok(Permit { breaker: self, probe: false });
        }
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

    /// The server has answered, though it did not decide.
    pub(crate) fn answered(&self) {
        self.succeeded(false);
    }

    fn succeeded(&self, probe: bool) {
        if !self.is_troubled() {
            return;
        }
        let mut state = self.lock();
        let closed = state.count_success(probe, Instant::now());
        self.0.troubled.store(state.is_troubled(), Ordering::Release);
        drop(state);
        if closed {
            self.0.metrics.closed();
            tracing::info!("redis decides again");
        }
    }

    fn failed(&self, reason: &Unavailable) {
        let (mut state, now) = (self.lock(), Instant::now());
        if !self.0.troubled.swap(true, Ordering::AcqRel) {
            // What was there before this one was a success.
            *state = State { asked: 1, ..State::at(now) };
        }
        let opened = state.count_failure(reason.label(), now);
        drop(state);
        if opened {
            self.0.metrics.opened();
            tracing::warn!(%reason, "redis fails, it is only tried now and then");
        }
    }

    fn is_troubled(&self) -> bool {
        self.0.troubled.load(Ordering::Acquire)
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
        match answer.as_ref().err().filter(|reason| error::is_of_server(reason)) {
            Some(reason) => self.breaker.failed(reason),
            None => self.breaker.succeeded(self.probe),
        }
    }
}

impl State {
    fn at(now: Instant) -> Self {
        Self { in_a_row: 0, since: now, asked: 0, failed: 0, moments: 0, moment: None, open: None }
    }

    /// Counts a failure; whether it has opened the breaker.
    fn count_failure(&mut self, reason: &'static str, now: Instant) -> bool {
        self.count(1, now);
        if self.moment.is_none_or(|last| now.saturating_duration_since(last) >= MOMENT) {
            self.moment = Some(now);
            self.moments += 1;
            self.in_a_row += 1;
        }
        if let Some(open) = &mut self.open {
            open.reason = reason;
            return false;
        }
        let half = self.asked >= ENOUGH && self.failed * 2 > self.asked;
        if self.in_a_row < IN_A_ROW && !(half && self.moments >= IN_A_ROW) {
            return false;
        }
        self.open = Some(Open { reason, probe_at: now + pause() });
        true
    }

    /// Whether there is anything to count on from.
    const fn is_troubled(&self) -> bool {
        self.failed > 0 || self.in_a_row > 0 || self.open.is_some()
    }

    /// Counts a success; whether it has closed the breaker, which only a probe does: an answer
    /// to what was sent before it opened says little of now.
    fn count_success(&mut self, probe: bool, now: Instant) -> bool {
        self.count(0, now);
        self.in_a_row = 0;
        if !probe || self.open.is_none() {
            return false;
        }
        *self = Self::at(now);
        true
    }

    fn count(&mut self, failed: u32, now: Instant) {
        if now.saturating_duration_since(self.since) > SPAN {
            (self.since, self.asked, self.failed, self.moments) = (now, 0, 0, 0);
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

    /// The same, at a moment of its own.
    fn ask_later(breaker: &Breaker, answer: &Result<(), Unavailable>) {
        std::thread::sleep(MOMENT);
        ask(breaker, answer);
    }

    fn opened() -> Breaker {
        let breaker = Breaker::new();
        for _ in 0..IN_A_ROW {
            ask_later(&breaker, &LATE);
        }
        breaker
    }

    #[test]
    fn all_who_wait_for_one_slow_call_are_one_failure() {
        let breaker = Breaker::new();
        for _ in 0..ENOUGH * 2 {
            ask(&breaker, &LATE);
        }
        assert_eq!(breaker.state(), Ok(()));
    }

    #[test]
    fn a_server_that_only_redirects_is_not_blamed_for_the_other() {
        let breaker = Breaker::new();
        for _ in 0..ENOUGH * 2 {
            breaker.answered();
            ask(&breaker, &LATE);
        }
        for _ in 0..IN_A_ROW {
            breaker.answered();
            ask_later(&breaker, &LATE);
        }
        assert_eq!(breaker.state(), Ok(()));
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
            ask_later(&breaker, &LATE);
        }
        early.end(&Ok(()));
        assert!(breaker.permit().is_err());
    }

    #[test]
    fn more_than_half_of_many_open_it_and_of_few_do_not() {
        let breaker = Breaker::new();
        for n in 0..ENOUGH {
            assert_eq!(breaker.state(), Ok(()), "after {n}");
            ask_later(&breaker, if n % 3 == 0 { &Ok(()) } else { &LATE });
        }
        assert!(breaker.state().is_err());
    }

    #[test]
    fn a_failure_is_forgotten_after_a_span_and_counts_until_then() {
        let breaker = Breaker::new();
        ask(&breaker, &Ok(()));
        assert!(!breaker.is_troubled());
        ask(&breaker, &LATE);
        ask(&breaker, &Ok(()));
        assert!(breaker.is_troubled());
        std::thread::sleep(SPAN + MOMENT);
        ask(&breaker, &Ok(()));
        assert!(!breaker.is_troubled());
    }

    #[test]
    fn what_concerns_one_identity_alone_does_not_open_it() {
        let breaker = Breaker::new();
        for code in ["WRONGTYPE", "OOM", "TRYAGAIN"] {
            let refused = Err(error::refusal(code, ""));
            for _ in 0..ENOUGH {
                ask_later(&breaker, &refused);
            }
            assert_eq!(breaker.state(), Ok(()), "{code}");
        }
    }
}
