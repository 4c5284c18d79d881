//! Limiters in this process, on a server of a test's own with a proxy in front of it.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use transom_core::{Cost, Identity, Limits, Policies, Policy, Request, Unavailable};
use transom_redis::{RedisLimiter, Settings};
use transom_tests::RedisServer;
use transom_tests::chaos::Chaos;
use transom_tests::checker::{Key, Outcome, Record, Told};
use transom_tests::fleet::monotonic_ns;

use crate::stage::address;

pub(crate) const PREFIX: &str = "faults:1";

/// A server and the way to it.
pub(crate) struct Setup {
    pub(crate) server: RedisServer,
    pub(crate) proxy: Chaos,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        let server = RedisServer::process(&[]).await;
        let proxy = Chaos::start(address(&server)).await;
        Self { server, proxy }
    }

    /// A limiter behind the proxy, connected, whose decisions take no longer than this.
    pub(crate) async fn limiter(&self, deadline: Duration) -> RedisLimiter {
        let url = format!("redis://{}", self.proxy.address);
        let settings = Settings { deadline, prefix: PREFIX.to_owned(), ..Settings::new(&url) };
        let limiter = RedisLimiter::open(&settings).expect("settings that can be used");
        limiter.connected().await.expect("a server that answers");
        limiter
    }
}

/// A request of one unit, of a user under the policy `default` with these limits.
pub(crate) fn request(user: &str, minute: u32, second: u32) -> Request {
    let limits = Limits { minute, second };
    let policy = Policy { limits, ..Policy::clone(Policies::default().default_policy()) };
    let identity = Identity::user(user).expect("a user's name");
    Request::new(identity, Arc::new(policy), Cost::new(1).expect("a cost"))
}

/// Asks, and writes down what the checker has to know: nothing where nothing can have been charged.
pub(crate) async fn ask(limiter: &RedisLimiter, request: &Request) -> Option<Record> {
    use transom_core::Limiter as _;
    let sent_ns = monotonic_ns();
    let answer = limiter.admit(request).await;
    let outcome = match answer {
        Ok(decision) => Outcome::Told(Told::from(&decision)),
        Err(reason) if reason.may_have_charged() => Outcome::Unknown(reason.to_string()),
        Err(Unavailable::Full) => panic!("no limiter in process is asked here"),
        Err(_) => return None,
    };
    let key = Key { identity: request.identity.clone(), policy: request.policy.name.clone() };
    Some(Record { worker: 0, key, cost: 1, outcome, sent_ns, received_ns: monotonic_ns() })
}

/// A number of `INFO`.
pub(crate) async fn info(connection: &mut MultiplexedConnection, field: &str) -> u64 {
    let all: String =
        redis::cmd("INFO").arg("everything").query_async(connection).await.expect("its state");
    let line = all.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let value = line.unwrap_or_else(|| panic!("{field} is not told"));
    value.split(['=', ',']).find_map(|part| part.trim().parse().ok()).expect("a number")
}
