use transom_core::Policies;

use super::*;
use crate::ears::TRUSTED_FOR;

fn request(user: &str, cost: u64) -> Request {
    let policy = Arc::clone(Policies::new(vec![]).unwrap().default_policy());
    Request::new(Identity::user(user).unwrap(), policy, Cost::new(cost).unwrap())
}

/// A denial by the second window.
fn denied(wait_us: u64) -> Verdict {
    Verdict {
        allowed: false,
        minute: Reading { limit: 60, used: 9, reset_us: 50_000_000, wait_us: 0 },
        second: Reading { limit: 2, used: 2, reset_us: wait_us, wait_us },
        limits_from: LimitsFrom::Policy,
        blocked_us: 0,
        at_us: 1_800_000_000_000_000,
    }
}

struct Worker {
    denials: Denials,
    ears: Ears,
}

impl Worker {
    /// It hears of changes, and goes on doing so for as long as a test takes.
    fn new() -> Self {
        let worker = Self { denials: Denials::new(), ears: Ears::new() };
        worker.hear();
        worker
    }

    fn hear(&self) {
        self.ears.heard_until(Instant::now() + Duration::from_secs(60));
    }

    fn asking(&self) -> Asked {
        self.denials.asking(&self.ears).unwrap()
    }

    fn learn(&self, request: &Request, verdict: &Verdict) {
        self.denials.learn(request, self.asking(), verdict);
    }

    fn knows(&self, request: &Request) -> bool {
        self.denials.answer(request).is_some()
    }
}

#[test]
fn a_denial_is_said_again_less_the_time_that_has_passed() {
    let worker = Worker::new();
    let told = denied(900_000);
    worker.learn(&request("a", 1), &told);
    std::thread::sleep(Duration::from_millis(3));
    let again = worker.denials.answer(&request("a", 1)).unwrap();
    assert_eq!((again.allowed, again.source), (false, Source::Cache));
    let passed_us = again.at_us - told.at_us;
    assert!(passed_us >= 3_000, "{passed_us}");
    assert_eq!(again.retry_after_us, Some(900_000 - passed_us));
    assert_eq!(again.second.wait_us, 900_000 - passed_us);
    assert_eq!(again.minute.reset_us, 50_000_000 - passed_us);
    assert_eq!((again.minute.remaining, again.second.remaining), (51, 0));
}

#[test]
fn what_never_fits_and_a_block_without_end_wait_as_long_as_ever() {
    let worker = Worker::new();
    let log = Reading { limit: 0, used: 0, reset_us: 0, wait_us: 60_000_000 };
    worker.learn(&request("a", 1), &Verdict { minute: log, ..denied(900_000) });
    worker.learn(&request("b", 1), &Verdict { blocked_us: ENDLESS_WAIT_US, ..denied(900_000) });
    std::thread::sleep(Duration::from_millis(3));
    let never = worker.denials.answer(&request("a", 1)).unwrap();
    assert_eq!(never.retry_after_us, Some(60_000_000));
    let blocked = worker.denials.answer(&request("b", 1)).unwrap();
    assert_eq!(blocked.retry_after_us, Some(ENDLESS_WAIT_US));
}

#[test]
fn another_request_is_not_answered() {
    let worker = Worker::new();
    worker.learn(&request("a", 2), &denied(900_000));
    assert!(worker.knows(&request("a", 2)));
    let limits = Limits { minute: 60, second: 3 };
    for (what, other) in [
        ("another identity", request("b", 2)),
        ("a smaller cost", request("a", 1)),
        ("a greater cost", request("a", 3)),
        ("other limits", Request { limits, ..request("a", 2) }),
        ("shadow mode", Request { enforced: false, ..request("a", 2) }),
    ] {
        assert!(!worker.knows(&other), "{what}");
    }
}

#[test]
fn nothing_is_said_again_once_a_unit_has_left_or_a_block_has_ended() {
    let soon = Duration::from_micros(5_000);
    assert_eq!(lasting(&denied(5_000)), Some(soon));
    let oldest = Reading { reset_us: 5_000, ..denied(0).minute };
    assert_eq!(lasting(&Verdict { minute: oldest, ..denied(900_000) }), Some(soon));
    assert_eq!(lasting(&Verdict { blocked_us: 5_000, ..denied(900_000) }), Some(soon));

    let worker = Worker::new();
    worker.learn(&request("a", 1), &denied(50_000));
    assert!(worker.knows(&request("a", 1)));
    std::thread::sleep(Duration::from_millis(51));
    assert!(!worker.knows(&request("a", 1)));
}

#[test]
fn the_time_that_the_answer_took_counts_against_it() {
    let worker = Worker::new();
    let asked = worker.asking();
    std::thread::sleep(Duration::from_millis(6));
    worker.denials.learn(&request("a", 1), asked, &denied(5_000));
    assert!(!worker.knows(&request("a", 1)));
}

#[test]
fn nothing_outlasts_a_second() {
    let full = Reading { limit: 60, used: 60, reset_us: 40_000_000, wait_us: 40_000_000 };
    let empty = Reading { used: 0, reset_us: 0, wait_us: 0, ..denied(0).second };
    let verdict = Verdict { minute: full, second: empty, ..denied(0) };
    assert_eq!(lasting(&verdict), Some(LASTING_MAX));
    let never = Reading { limit: 0, used: 0, reset_us: 0, wait_us: 60_000_000 };
    assert_eq!(lasting(&Verdict { minute: never, ..verdict }), Some(LASTING_MAX));
}

#[test]
fn what_may_end_or_change_unseen_is_not_remembered() {
    let due = denied(900_000);
    assert!(lasting(&due).is_some());
    let room = Reading { used: 1, ..due.second };
    for (what, verdict) in [
        ("an admission", Verdict { allowed: true, ..due }),
        ("an override, which may end", Verdict { limits_from: LimitsFrom::Override, ..due }),
        ("one for all", Verdict { limits_from: LimitsFrom::OverrideAll, ..due }),
        ("room for a smaller request", Verdict { second: room, ..due }),
    ] {
        assert_eq!(lasting(&verdict), None, "{what}");
    }
    assert!(lasting(&Verdict { second: room, blocked_us: 9_000, ..due }).is_some());
}

#[test]
fn a_change_takes_away_what_is_known_and_what_is_being_asked() {
    let worker = Worker::new();
    let asked = request("a", 1);
    worker.learn(&asked, &denied(900_000));
    assert!(worker.knows(&asked));
    worker.denials.forget();
    assert!(!worker.knows(&asked));

    let before = worker.asking();
    worker.denials.forget();
    worker.denials.learn(&asked, before, &denied(900_000));
    assert!(!worker.knows(&asked), "decided before the change, maybe");
    worker.learn(&asked, &denied(900_000));
    assert!(worker.knows(&asked));
}

#[test]
fn nothing_is_said_again_while_changes_may_be_missed() {
    let worker = Worker::new();
    let asked = request("a", 1);
    worker.learn(&asked, &denied(900_000));
    worker.ears.deafen();
    assert!(!worker.knows(&asked));
    assert!(worker.denials.asking(&worker.ears).is_none());
    worker.hear();
    assert!(!worker.knows(&asked), "what was missed is not known");
    worker.learn(&asked, &denied(900_000));
    assert!(worker.knows(&asked));

    // The server was silent, and then had published nothing.
    worker.ears.heard_until(Instant::now());
    std::thread::sleep(TRUSTED_FOR + Duration::from_millis(2));
    assert!(!worker.knows(&asked));
    worker.hear();
    assert!(worker.knows(&asked));
}

#[test]
fn deaf_to_one_server_is_not_deaf_to_another() {
    let worker = Worker::new();
    let [one, other] = [request("a", 1), request("b", 1)];
    let deaf = Ears::new();
    deaf.heard_until(Instant::now());
    worker.learn(&one, &denied(900_000));
    worker.denials.learn(&other, worker.denials.asking(&deaf).unwrap(), &denied(900_000));
    deaf.deafen();
    assert_eq!((worker.knows(&one), worker.knows(&other)), (true, false));
}
