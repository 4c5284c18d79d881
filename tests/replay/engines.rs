//! What a trace can be run on: the script in Redis, whole traces at a time, and `local`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value, cmd};
use transom_core::{
    Cost, Decision, Identity, Limiter, Limits, Policies, Policy, Request, Source, Window,
};
use transom_local::{Clock, LocalLimiter};
use transom_redis::{Keyspace, Script, decode};
use transom_tests::{RedisServer, clock};

/// One step of a trace, freed of what must come back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    Admit { at_us: u64, limits: Limits, cost: u32 },
    Peek { at_us: u64, limits: Limits, cost: u32 },
    Reset,
}

/// A request of a user under limits of its own.
fn request(user: &str, limits: Limits, cost: u32) -> Request {
    let policies = Policies::default();
    let policy = Policy { limits, ..Policy::clone(policies.default_policy()) };
    let cost = Cost::new(cost.into()).unwrap();
    Request::new(Identity::user(user).unwrap(), Arc::new(policy), cost)
}

/// The scripts in a Redis of their own, with a clock that the trace sets.
pub(crate) struct Scripts {
    connection: MultiplexedConnection,
    admit: Script,
    peek: Script,
    keyspace: Keyspace,
    traces: u64,
    _server: RedisServer,
}

impl Scripts {
    pub(crate) async fn start() -> Self {
        let server = RedisServer::start().await;
        let mut connection = server.connect().await;
        let admit = clock::replace(&Script::admit());
        let peek = clock::replace(&Script::peek());
        for script in [&admit, &peek] {
            let mut load = cmd("SCRIPT");
            load.arg("LOAD").arg(script.source());
            load.exec_async(&mut connection).await.unwrap();
        }
        let keyspace = Keyspace::new("transom:1");
        Self { connection, admit, peek, keyspace, traces: 0, _server: server }
    }

    /// Runs a whole trace on a fresh key in one pipeline, so that nothing but the trace's own
    /// clock moves meanwhile. One decision for each call but the resets.
    pub(crate) async fn run(&mut self, calls: &[Call]) -> Vec<Decision> {
        self.traces += 1;
        let user = format!("trace-{}", self.traces);
        let mut pipeline = Pipeline::new();
        for call in calls {
            match *call {
                Call::Admit { at_us, limits, cost } | Call::Peek { at_us, limits, cost } => {
                    let script =
                        if matches!(call, Call::Admit { .. }) { &self.admit } else { &self.peek };
                    let asked = [request(&user, limits, cost)];
                    pipeline.add_command(clock::set(at_us)).ignore();
                    pipeline.add_command(script.evalsha(&self.keyspace, &asked, 0));
                }
                Call::Reset => {
                    let asked = request(&user, Limits::DEFAULT, 1);
                    for window in Window::ALL {
                        let name = &asked.policy.name;
                        let key = self.keyspace.window(&asked.identity, name, window);
                        pipeline.add_command(cmd("DEL").arg(key).to_owned()).ignore();
                    }
                }
            }
        }
        if pipeline.is_empty() {
            return Vec::new();
        }
        let replies: Vec<Value> = pipeline.query_async(&mut self.connection).await.unwrap();
        replies
            .iter()
            .map(|reply| {
                let verdict = decode(reply, 1).unwrap().remove(0).unwrap();
                Decision::new(&verdict, Source::Redis)
            })
            .collect()
    }
}

#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now_us(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Runs a whole trace on an in-process limiter of its own.
pub(crate) async fn run_local(calls: &[Call]) -> Vec<Decision> {
    let hand = Arc::new(Hand::default());
    let limiter = LocalLimiter::with_clock(1, Arc::clone(&hand));
    let mut decisions = Vec::new();
    for call in calls {
        match *call {
            Call::Admit { at_us, limits, cost } => {
                hand.0.store(at_us, Ordering::SeqCst);
                decisions.push(limiter.admit(&request("trace", limits, cost)).await.unwrap());
            }
            Call::Peek { at_us, limits, cost } => {
                hand.0.store(at_us, Ordering::SeqCst);
                decisions.push(limiter.peek(&request("trace", limits, cost)).await.unwrap());
            }
            Call::Reset => {
                let asked = request("trace", Limits::DEFAULT, 1);
                limiter.reset(&asked.identity, &asked.policy.name).await.unwrap();
            }
        }
    }
    decisions
}
