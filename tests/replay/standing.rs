//! Overrides, strikes and blocks: the scripts against the rules of `core`, by which the limiter in
//! process decides. Random days of an identity; those that differ shrink.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value, cmd};
use transom_core::{
    Block, Cost, Decision, Identity, Limits, Note, Override, Penalty, PenaltyRules, Policy,
    PolicyName, Request, Scope, Source, Standing, WindowLogs,
};
use transom_redis::{Keyspace, Script, decode};
use transom_tests::redis_server::repository;
use transom_tests::{RedisServer, clock};

const START_US: u64 = 1_800_000_000_000_000;
const SECOND_US: u64 = 1_000_000;
const DAYS: u32 = 1_500;
const RULES: PenaltyRules = PenaltyRules {
    strikes: 3,
    within_us: 5 * SECOND_US,
    block_us: 4 * SECOND_US,
    max_us: 30 * SECOND_US,
    forget_us: 100 * SECOND_US,
};

/// What happens next, after some time.
#[derive(Debug, Clone)]
enum Move {
    Ask { policy: &'static str, cost: u64, peek: bool, enforced: bool, unreported: u32 },
    Override { scope: &'static str, limits: Limits, lasting_s: u64 },
    DeleteOverride { scope: &'static str },
    Block { lasting_s: u64 },
    Unblock,
}

fn gap_us() -> impl Strategy<Value = i64> {
    prop_oneof![
        1 => -20_000_000..0i64,
        6 => Just(0),
        4 => 0..400_000i64,
        3 => 999_998..1_000_003i64,
        3 => 1_000_000..9_000_000i64,
        1 => 29_000_000..61_000_000i64,
        1 => 99_999_998..140_000_003i64,
    ]
}

fn moves() -> impl Strategy<Value = Vec<(i64, Move)>> {
    let name = || prop::sample::select(vec!["default", "search"]);
    let scope = || prop::sample::select(vec!["default", "search", "*"]);
    let limits = (0..6u32, 0..4u32).prop_map(|(minute, second)| Limits { minute, second });
    let cost = prop_oneof![8 => Just(1u64), 2 => 0..4u64];
    let unreported = prop_oneof![8 => Just(0u32), 2 => 0..4u32];
    let ask = (name(), cost, prop::bool::weighted(0.2), prop::bool::weighted(0.9), unreported)
        .prop_map(|(policy, cost, peek, enforced, unreported)| Move::Ask {
            policy,
            cost,
            peek,
            enforced,
            unreported,
        });
    let step = prop_oneof![
        30 => ask,
        3 => (scope(), limits, 0..20u64)
            .prop_map(|(scope, limits, lasting_s)| Move::Override { scope, limits, lasting_s }),
        1 => scope().prop_map(|scope| Move::DeleteOverride { scope }),
        1 => (0..20u64).prop_map(|lasting_s| Move::Block { lasting_s }),
        1 => Just(Move::Unblock),
    ];
    prop::collection::vec((gap_us(), step), 1..60)
}

fn request(user: &str, policy: &str, cost: u64, enforced: bool) -> Request {
    let limits = Limits { minute: 4, second: 2 };
    let policy = Arc::new(Policy::new(PolicyName::new(policy).unwrap(), limits));
    let identity = Identity::user(user).unwrap();
    let request = Request::new(identity, policy, Cost::new(cost).unwrap());
    Request { enforced, penalty: Some(RULES), ..request }
}

struct Scripts {
    connection: MultiplexedConnection,
    admit: Script,
    peek: Script,
    /// Texts of the other scripts, with the clock of the test.
    others: BTreeMap<&'static str, String>,
    keyspace: Keyspace,
    days: u64,
    _server: RedisServer,
}

impl Scripts {
    async fn start() -> Self {
        let server = RedisServer::start().await;
        let mut connection = server.connect().await;
        let [admit, peek] = [Script::admit(), Script::peek()].map(|script| clock::replace(&script));
        for script in [&admit, &peek] {
            let mut load = cmd("SCRIPT");
            load.arg("LOAD").arg(script.source());
            load.exec_async(&mut connection).await.unwrap();
        }
        let others = ["override", "block"].map(|name| {
            let path = repository().join("lua").join(format!("{name}.lua"));
            (name, clock::replace(&admit.with_source(&std::fs::read_to_string(path).unwrap())))
        });
        let others = others.map(|(name, script)| (name, script.source().to_owned())).into();
        let keyspace = Keyspace::new("transom:1");
        Self { connection, admit, peek, others, keyspace, days: 0, _server: server }
    }

    fn eval(&self, name: &str, key: &str) -> Cmd {
        let mut eval = cmd("EVAL");
        eval.arg(&self.others[name]).arg(1).arg(key);
        eval
    }

    /// A whole day in one pipeline, so that nothing but the clock of the test moves.
    async fn run(&mut self, moves: &[(i64, Move)]) -> Vec<Decision> {
        self.days += 1;
        let user = format!("day-{}", self.days);
        let identity = Identity::user(&user).unwrap();
        let [overrides, penalty] =
            [self.keyspace.overrides(&identity), self.keyspace.penalty(&identity)];
        let (mut pipeline, mut at_us) = (Pipeline::new(), START_US);
        for (gap_us, step) in moves {
            at_us = at_us.saturating_add_signed(*gap_us);
            pipeline.add_command(clock::set(at_us)).ignore();
            match step {
                Move::Ask { policy, cost, peek, enforced, unreported } => {
                    let asked = [request(&user, policy, *cost, *enforced)];
                    let script = if *peek { &self.peek } else { &self.admit };
                    pipeline.add_command(script.evalsha(&self.keyspace, &asked, *unreported));
                }
                Move::Override { scope, limits, lasting_s } => {
                    let mut eval = self.eval("override", &overrides);
                    eval.arg(scope).arg(limits.minute).arg(limits.second);
                    eval.arg(lasting_s * SECOND_US).arg("me").arg("why").arg(identity.as_str());
                    pipeline.add_command(eval).ignore();
                }
                Move::DeleteOverride { scope } => {
                    let mut eval = self.eval("override", &overrides);
                    eval.arg(scope).arg("").arg("").arg(0).arg("").arg("").arg(identity.as_str());
                    pipeline.add_command(eval).ignore();
                }
                Move::Block { lasting_s } => {
                    let mut eval = self.eval("block", &penalty);
                    eval.arg(lasting_s * SECOND_US).arg("me").arg("why").arg(identity.as_str());
                    pipeline.add_command(eval).ignore();
                }
                Move::Unblock => {
                    pipeline.add_command(cmd("DEL").arg(&penalty).to_owned()).ignore();
                }
            }
        }
        let replies: Vec<Value> = pipeline.query_async(&mut self.connection).await.unwrap();
        replies
            .iter()
            .map(|reply| {
                let verdict = decode(reply, 1).unwrap().remove(0);
                Decision::new(&verdict.unwrap(), Source::Local)
            })
            .collect()
    }
}

/// The same by the rules of `core`.
fn model(moves: &[(i64, Move)]) -> Vec<Decision> {
    let (mut standing, mut at_us) = (Standing::default(), START_US);
    let mut logs: BTreeMap<&str, WindowLogs> = BTreeMap::new();
    let mut decisions = Vec::new();
    for (gap_us, step) in moves {
        at_us = at_us.saturating_add_signed(*gap_us);
        let until_us = |lasting_s: u64| (lasting_s > 0).then_some(at_us + lasting_s * SECOND_US);
        let note = Note { by: "me".into(), reason: "why".into() };
        match step {
            Move::Ask { policy, cost, peek, enforced, unreported } => {
                let asked = request("day", policy, *cost, *enforced);
                let logs = logs.entry(*policy).or_default();
                let verdict = if *peek {
                    standing.peek(logs, at_us, &asked)
                } else {
                    standing.admit(logs, at_us, &asked, *unreported)
                };
                decisions.push(Decision::new(&verdict, Source::Local));
            }
            Move::Override { scope, limits, lasting_s } => {
                let held =
                    Override { limits: *limits, until_us: until_us(*lasting_s), at_us, note };
                standing.overrides.retain(|_, held| held.holds(at_us));
                standing.overrides.insert(scope.parse().unwrap(), held);
            }
            Move::DeleteOverride { scope } => {
                standing.overrides.retain(|_, held| held.holds(at_us));
                standing.overrides.remove(&scope.parse::<Scope>().unwrap());
            }
            Move::Block { lasting_s } => {
                standing.penalty.block =
                    Some(Block { until_us: until_us(*lasting_s), at_us, note });
            }
            Move::Unblock => standing.penalty = Penalty::default(),
        }
    }
    decisions
}

#[test]
fn overrides_strikes_and_blocks_in_redis_follow_the_rules() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let scripts = std::cell::RefCell::new(runtime.block_on(Scripts::start()));
    let config = Config { cases: DAYS, failure_persistence: None, ..Config::default() };
    let seen = std::cell::RefCell::new(BTreeMap::<String, u32>::new());
    let outcome = TestRunner::new(config).run(&moves(), |moves| {
        let in_redis = runtime.block_on(scripts.borrow_mut().run(&moves));
        let expected = model(&moves);
        for decision in &in_redis {
            let what = format!("{} {:?}", decision.limited_by.as_str(), decision.limits_from);
            *seen.borrow_mut().entry(what).or_default() += 1;
        }
        prop_assert_eq!(&in_redis, &expected, "redis differs on {:#?}", moves);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let seen = seen.into_inner();
    assert!(seen.len() == 9 && seen.values().all(|times| *times > 100), "{seen:?}");
}
