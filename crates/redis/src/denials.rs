//! Denials that are known: what Redis has denied it denies until enough units have left, since a
//! denial is not recorded. So a worker may say it again without asking, exactly, as long as nobody
//! changes anything. Only denials are remembered, never admissions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use transom_core::{Cost, Decision, Identity, Limits, PolicyName, Request, Source, WindowState};

/// How many denials a worker remembers.
const REMEMBERED: usize = 100_000;
/// The longest time for which one is said again without asking: what else may change in Redis,
/// such as its clock, is noticed within it.
const LASTING_MAX: Duration = Duration::from_secs(1);

/// The denials that one worker knows. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Denials(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    known: Cache<(Identity, PolicyName), Known>,
    /// Odd while changes are heard of; it moves with every change, and what was remembered
    /// before counts no more.
    epoch: AtomicU64,
}

/// A denial, and what it was for.
#[derive(Clone, Debug)]
struct Known {
    decision: Arc<Decision>,
    limits: Limits,
    cost: Cost,
    enforced: bool,
    epoch: u64,
    /// When the answer came.
    came: Instant,
    until: Instant,
}

/// The state of affairs in which a request was sent: what it learns is of that one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    epoch: u64,
    at: Instant,
}

impl Denials {
    /// Remembers nothing until changes are [heard](Self::hear) of.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { known: Cache::new(REMEMBERED), epoch: AtomicU64::new(0) }))
    }

    /// From now on every change is heard of.
    pub(crate) fn hear(&self) {
        self.0.epoch.fetch_add(2, Ordering::AcqRel);
        self.0.epoch.fetch_or(1, Ordering::AcqRel);
    }

    /// Changes may be missed from now on: what is remembered is not used.
    pub(crate) fn deafen(&self) {
        self.0.epoch.fetch_and(!1, Ordering::AcqRel);
    }

    /// Somebody has changed something: what is remembered may hold no more.
    pub(crate) fn forget(&self) {
        self.0.epoch.fetch_add(2, Ordering::AcqRel);
    }

    /// To be called before a request is sent that may be denied.
    pub(crate) fn asking(&self) -> Asked {
        Asked { epoch: self.0.epoch.load(Ordering::Acquire), at: Instant::now() }
    }

    /// Takes note of a decision of Redis.
    pub(crate) fn learn(&self, request: &Request, asked: Asked, decision: &Decision) {
        let (Some(wait_us), true) = (decision.retry_after_us, asked.epoch % 2 == 1) else {
            return;
        };
        // Redis decided after the request was sent, so it will not admit before this.
        let until = asked.at + LASTING_MAX.min(Duration::from_micros(wait_us));
        let key = (request.identity.clone(), request.policy.name.clone());
        let known = Known {
            decision: Arc::new(decision.clone()),
            limits: request.limits,
            cost: request.cost,
            enforced: request.enforced,
            epoch: asked.epoch,
            came: Instant::now(),
            until,
        };
        self.0.known.insert(key, known);
    }

    /// The denial of this very request, where it is known: as it was told, less the time that has
    /// passed since. A greater cost may have to wait longer than is known, so it is not answered.
    pub(crate) fn answer(&self, request: &Request) -> Option<Decision> {
        let asked = self.asking();
        let key = (request.identity.clone(), request.policy.name.clone());
        let known = self.0.known.get(&key)?;
        let holds = known.epoch == asked.epoch
            && asked.epoch % 2 == 1
            && asked.at < known.until
            && (known.limits, known.cost, known.enforced)
                == (request.limits, request.cost, request.enforced);
        holds.then(|| later(&known.decision, asked.at.saturating_duration_since(known.came)))
    }
}

/// A denial as it stands some time later.
fn later(told: &Decision, passed: Duration) -> Decision {
    let passed_us = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX);
    let window = |state: WindowState| WindowState {
        reset_us: state.reset_us.saturating_sub(passed_us),
        wait_us: state.wait_us.saturating_sub(passed_us),
        ..state
    };
    Decision {
        retry_after_us: told.retry_after_us.map(|wait_us| wait_us.saturating_sub(passed_us)),
        minute: window(told.minute),
        second: window(told.second),
        at_us: told.at_us.saturating_add(passed_us),
        source: Source::Cache,
        ..told.clone()
    }
}

#[cfg(test)]
mod tests {
    use transom_core::{LimitsFrom, Policies, Reading, Verdict};

    use super::*;

    fn request(user: &str, cost: u64) -> Request {
        let policy = Arc::clone(Policies::new(vec![]).unwrap().default_policy());
        Request::new(Identity::user(user).unwrap(), policy, Cost::new(cost).unwrap())
    }

    fn denied(wait_us: u64) -> Decision {
        let verdict = Verdict {
            allowed: false,
            minute: Reading { limit: 60, used: 9, reset_us: 50_000_000, wait_us: 0 },
            second: Reading { limit: 2, used: 2, reset_us: wait_us, wait_us },
            limits_from: LimitsFrom::Policy,
            blocked_us: 0,
            at_us: 1_800_000_000_000_000,
        };
        Decision::new(&verdict, Source::Redis)
    }

    fn heard() -> Denials {
        let denials = Denials::new();
        denials.hear();
        denials
    }

    #[test]
    fn a_denial_is_said_again_less_the_time_that_has_passed() {
        let denials = heard();
        let told = denied(900_000);
        denials.learn(&request("a", 1), denials.asking(), &told);
        std::thread::sleep(Duration::from_millis(3));
        let again = denials.answer(&request("a", 1)).unwrap();
        assert_eq!((again.allowed, again.source), (false, Source::Cache));
        let passed_us = again.at_us - told.at_us;
        assert!(passed_us >= 3_000, "{passed_us}");
        assert_eq!(again.retry_after_us, Some(900_000 - passed_us));
        assert_eq!(again.second.wait_us, 900_000 - passed_us);
        assert_eq!(again.minute.reset_us, 50_000_000 - passed_us);
        assert_eq!((again.minute.remaining, again.second.remaining), (51, 0));
    }

    #[test]
    fn another_request_is_not_answered() {
        let denials = heard();
        denials.learn(&request("a", 2), denials.asking(), &denied(900_000));
        let known = request("a", 2);
        assert!(denials.answer(&known).is_some());
        let limits = Limits { minute: 60, second: 3 };
        for (what, other) in [
            ("another identity", request("b", 2)),
            ("a smaller cost", request("a", 1)),
            ("a greater cost", request("a", 3)),
            ("other limits", Request { limits, ..request("a", 2) }),
            ("shadow mode", Request { enforced: false, ..request("a", 2) }),
        ] {
            assert!(denials.answer(&other).is_none(), "{what}");
        }
    }

    #[test]
    fn nothing_is_said_again_once_it_may_be_admitted() {
        let denials = heard();
        denials.learn(&request("a", 1), denials.asking(), &denied(5_000));
        assert!(denials.answer(&request("a", 1)).is_some());
        std::thread::sleep(Duration::from_millis(6));
        assert!(denials.answer(&request("a", 1)).is_none());
    }

    #[test]
    fn the_time_that_the_answer_took_counts_against_it() {
        let denials = heard();
        let asked = denials.asking();
        std::thread::sleep(Duration::from_millis(6));
        denials.learn(&request("a", 1), asked, &denied(5_000));
        assert!(denials.answer(&request("a", 1)).is_none());
    }

    #[test]
    fn nothing_outlasts_a_second() {
        let denials = heard();
        denials.learn(&request("a", 1), denials.asking(), &denied(40_000_000));
        assert!(denials.answer(&request("a", 1)).is_some());
        std::thread::sleep(LASTING_MAX);
        assert!(denials.answer(&request("a", 1)).is_none());
    }

    #[test]
    fn a_change_and_deafness_take_away_what_is_known() {
        let denials = heard();
        let learn = |asked| denials.learn(&request("a", 1), asked, &denied(900_000));
        let known = || denials.answer(&request("a", 1)).is_some();
        learn(denials.asking());
        assert!(known());
        denials.forget();
        assert!(!known(), "after a change");

        let before = denials.asking();
        denials.forget();
        learn(before);
        assert!(!known(), "decided before a change, maybe");

        learn(denials.asking());
        denials.deafen();
        assert!(!known(), "while changes may be missed");
        learn(denials.asking());
        assert!(!known());
        denials.hear();
        assert!(!known(), "what was missed is not known");
        learn(denials.asking());
        assert!(known());
    }

    #[test]
    fn an_admission_is_not_remembered() {
        let denials = heard();
        let admitted = Decision { allowed: true, retry_after_us: None, ..denied(900_000) };
        denials.learn(&request("a", 1), denials.asking(), &admitted);
        assert!(denials.answer(&request("a", 1)).is_none());
    }
}
