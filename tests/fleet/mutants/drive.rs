//! Several clients, each with a limiter of its own, that ask for all they can get.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use transom_core::{Cost, Identity, Limiter, Limits, Policy, PolicyName, Request};
use transom_redis::{RedisLimiter, Script, Settings};
use transom_tests::RedisServer;
use transom_tests::checker::{
    Clock, Key, Outcome, Record, Report, Rule, Told, check, check_members,
};
use transom_tests::fleet::monotonic_ns;
use transom_tests::windows::Windows;

/// A coarse clock shows multiples of this.
pub(crate) const TICK_US: u64 = 100_000;
/// The expression by which the script reads the time.
const TIME: &str = "redis.call('TIME')";

const WORKERS: usize = 4;
const FOR: Duration = Duration::from_millis(3_100);

/// A user and how it asks. Each has a task for each worker.
#[derive(Debug, Clone, Copy)]
struct Habit {
    user: &'static str,
    limits: Limits,
    /// The highest cost.
    cost: u32,
    /// The longest pause between two requests; half of it on average.
    pause_ms: u64,
}

const HABITS: [Habit; 4] = [
    // Fills its second as soon as it can, and its minute soon.
    Habit { user: "busy", limits: Limits { minute: 30, second: 12 }, cost: 5, pause_ms: 8 },
    // Fills its second again and again.
    Habit { user: "eager", limits: Limits { minute: 600, second: 12 }, cost: 5, pause_ms: 8 },
    // Ask for a little more than they may have, so that their units are spread over the second.
    Habit { user: "calm", limits: Limits { minute: 600, second: 12 }, cost: 1, pause_ms: 560 },
    Habit { user: "even", limits: Limits { minute: 600, second: 24 }, cost: 2, pause_ms: 400 },
];

/// A script with one place changed, and how it is called.
#[derive(Debug, Clone)]
pub(crate) struct Mutant {
    name: &'static str,
    find: String,
    /// For each worker.
    replace: Vec<String>,
    coarse: bool,
    calls: Calls,
    by: &'static [Rule],
    by_expiry: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    One,
    Two,
}

impl Mutant {
    pub(crate) fn new(name: &'static str, find: &str, replace: &str) -> Self {
        Self {
            name,
            find: find.to_owned(),
            replace: vec![replace.to_owned(); WORKERS],
            coarse: false,
            calls: Calls::One,
            by: &[],
            by_expiry: false,
        }
    }

    /// Each worker adds its own seconds to the clock.
    pub(crate) fn skewed(seconds: &[i64; WORKERS]) -> Self {
        let skewed =
            |by: &i64| format!("(function() local t = {TIME} t[1] = t[1] + ({by}) return t end)()");
        Self {
            replace: seconds.iter().map(skewed).collect(),
            ..Self::new("skewed clocks", TIME, "")
        }
    }

    /// On a clock that shows multiples of [`TICK_US`].
    pub(crate) fn coarse(self) -> Self {
        Self { coarse: true, ..self }
    }

    /// A peek decides, and the script adds what it let pass.
    pub(crate) fn after_a_peek(self) -> Self {
        Self { calls: Calls::Two, ..self }
    }

    /// Every one of these rules must be found broken.
    pub(crate) fn by(self, by: &'static [Rule]) -> Self {
        Self { by, ..self }
    }

    /// A window must be found that is kept too long.
    pub(crate) fn by_expiry(self) -> Self {
        Self { by_expiry: true, ..self }
    }

    /// The scripts of one worker: exactly one place is changed.
    fn scripts(&self, worker: usize) -> (Script, Script) {
        let (admit, peek) = (Script::admit(), Script::peek());
        let found = admit.source().matches(&self.find).count();
        assert_eq!(found, 1, "{}: one place to change, found {found}", self.name);
        let changed = admit.source().replace(&self.find, &self.replace[worker]);
        if !self.coarse {
            return (admit.with_source(&changed), peek);
        }
        let rounded =
            format!("(function() local t = {TIME} t[2] = t[2] - t[2] % {TICK_US} return t end)()");
        let coarse =
            |script: &Script, source: &str| script.with_source(&source.replace(TIME, &rounded));
        (coarse(&admit, &changed), coarse(&peek, peek.source()))
    }

    fn clock(&self) -> Clock {
        if self.coarse { Clock { tick_us: TICK_US } } else { Clock::REDIS }
    }
}

/// Drives each mutant; every one must break the rules that it names.
pub(crate) async fn caught(mutants: &[Mutant]) {
    for (mutant, (report, kept_too_long)) in mutants.iter().zip(run(mutants).await) {
        let Mutant { name, by, by_expiry, .. } = mutant;
        assert!(!by.is_empty() || *by_expiry, "{name}: nothing is claimed");
        for rule in *by {
            assert!(report.broke(*rule), "{name}: {rule:?} was not broken; {report}");
        }
        assert_eq!(kept_too_long > 0, *by_expiry, "{name}: windows kept too long");
    }
}

/// Drives each; none may break a rule.
pub(crate) async fn passes(mutants: &[Mutant]) {
    for (mutant, (report, kept_too_long)) in mutants.iter().zip(run(mutants).await) {
        report.assert_clean();
        let counts = report.counts;
        assert_eq!((counts.unknown, kept_too_long), (0, 0), "{}: {report}", mutant.name);
        assert!(counts.admitted > 60 && counts.denied > 200, "{}: {report}", mutant.name);
    }
}

/// All at once, each under a prefix of its own.
async fn run(mutants: &[Mutant]) -> Vec<(Report, usize)> {
    let server = RedisServer::start().await;
    let server = &server;
    join_all(mutants.iter().enumerate().map(async |(n, mutant)| {
        let prefix = format!("mutant-{n}:1");
        let limiters: Vec<RedisLimiter> = (0..WORKERS)
            .map(|worker| {
                let settings = Settings {
                    deadline: Duration::from_secs(5),
                    prefix: prefix.clone(),
                    ..Settings::new(&server.url)
                };
                let (admit, peek) = mutant.scripts(worker);
                RedisLimiter::open_with(&settings, admit, peek).expect("settings that work")
            })
            .collect();
        for limiter in &limiters {
            limiter.connected().await.expect("the test's redis answers");
        }
        let records = drive(&limiters, mutant.calls).await;
        let windows = Windows::read(&mut server.connect().await, &prefix).await;
        let mut report = check(&records, mutant.clock());
        report.violations.extend(check_members(
            &records,
            &windows.minute_logs(),
            windows.read_at_us,
        ));
        (report, windows.kept_too_long().len())
    }))
    .await
}

async fn drive(limiters: &[RedisLimiter], calls: Calls) -> Vec<Record> {
    let until = Instant::now() + FOR;
    let tasks = HABITS.iter().flat_map(|habit| {
        limiters.iter().cloned().enumerate().map(move |(worker, limiter)| {
            tokio::spawn(async move {
                let mut records = Vec::new();
                while Instant::now() < until {
                    let pause_us = fastrand::u64(..habit.pause_ms * 1_000);
                    tokio::time::sleep(Duration::from_micros(pause_us)).await;
                    records.push(ask(worker, &limiter, habit, calls).await);
                }
                records
            })
        })
    });
    let done = join_all(tasks).await;
    done.into_iter().flat_map(|records| records.expect("a client that ends well")).collect()
}

async fn ask(worker: usize, limiter: &RedisLimiter, habit: &Habit, calls: Calls) -> Record {
    let cost = fastrand::u32(1..=habit.cost);
    let key = Key {
        identity: Identity::user(habit.user).expect("a user's name"),
        policy: PolicyName::default(),
    };
    let policy = Arc::new(Policy::new(key.policy.clone(), habit.limits));
    let cost_asked = Cost::new(cost.into()).expect("a cost in its bounds");
    let request = Request::new(key.identity.clone(), policy, cost_asked);
    let sent_ns = monotonic_ns();
    let answer = match calls {
        Calls::One => limiter.admit(&request).await,
        Calls::Two => match limiter.peek(&request).await {
            Ok(decision) if decision.allowed => limiter.admit(&request).await,
            answer => answer,
        },
    };
    let outcome = match answer {
        Ok(decision) => Outcome::Told(Told::from(&decision)),
        Err(reason) => Outcome::Unknown(reason.to_string()),
    };
    Record { worker, key, cost, outcome, sent_ns, received_ns: monotonic_ns() }
}
