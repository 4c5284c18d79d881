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
const TASKS_EACH: usize = 4;
const FOR: Duration = Duration::from_millis(2_600);
/// Low enough that the minute is full before the drive ends, which is why its edge is not met.
const LIMITS: Limits = Limits { minute: 30, second: 12 };

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
            return (Script::from_source(&changed), peek);
        }
        let rounded =
            format!("(function() local t = {TIME} t[2] = t[2] - t[2] % {TICK_US} return t end)()");
        let coarse = |source: &str| Script::from_source(&source.replace(TIME, &rounded));
        (coarse(&changed), coarse(peek.source()))
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
        assert!(counts.admitted > 15 && counts.denied > 300, "{}: {report}", mutant.name);
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
    let tasks = (0..limiters.len() * TASKS_EACH).map(|n| {
        let worker = n % limiters.len();
        let limiter = limiters[worker].clone();
        tokio::spawn(async move {
            let mut records = Vec::new();
            // One client asks for a little more than it may have, so that the units of its user
            // are spread over the window; all others for as much as they can.
            let (user, pause_us) = if n == 0 { ("calm", 40_000) } else { ("busy", 4_000) };
            while Instant::now() < until {
                records.push(ask(worker, &limiter, user, calls).await);
                tokio::time::sleep(Duration::from_micros(fastrand::u64(200..pause_us))).await;
            }
            records
        })
    });
    let done = join_all(tasks).await;
    done.into_iter().flat_map(|records| records.expect("a client that ends well")).collect()
}

async fn ask(worker: usize, limiter: &RedisLimiter, user: &str, calls: Calls) -> Record {
    let cost = if fastrand::bool() { 1 } else { fastrand::u32(2..=5) };
    let key = Key {
        identity: Identity::user(user).expect("a user's name"),
        policy: PolicyName::default(),
    };
    let policy = Arc::new(Policy::new(key.policy.clone(), LIMITS));
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
    let outcome = answer.map_or(Outcome::Unknown, |decision| Outcome::Told(Told::from(&decision)));
    Record { worker, key, cost, outcome, sent_ns, received_ns: monotonic_ns() }
}
