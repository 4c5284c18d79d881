//! A Redis of the test's own and a limiter on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, cmd};
use transom_core::{Cost, Identity, Limits, Policies, Policy, Request, Window};
use transom_redis::{Keyspace, RedisLimiter, Settings};
use transom_tests::RedisServer;

use crate::acl::RIGHTS;

/// A server, a limiter on it that has the least rights, and a connection that has all to look behind
/// the limiter's back.
pub(crate) struct Setup {
    pub(crate) limiter: RedisLimiter,
    pub(crate) connection: MultiplexedConnection,
    pub(crate) server: RedisServer,
    /// By which the limiter logs in.
    pub(crate) url: String,
}

/// Longer than any lookup on a loaded machine takes.
pub(crate) const WITHIN: Duration = Duration::from_secs(5);

/// Longer than anything else takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Settings for tests: a deadline that a loaded machine keeps, and all that is asked goes to Redis.
pub(crate) fn settings(url: &str) -> Settings {
    Settings { deadline: WITHIN, known_denials: false, ..Settings::new(url) }
}

impl Setup {
    pub(crate) async fn new() -> Self {
        Self::on(RedisServer::start().await).await
    }

    pub(crate) async fn on(server: RedisServer) -> Self {
        let mut connection = server.connect().await;
        let url = log_in(&server, &mut connection, RIGHTS).await;
        let limiter = RedisLimiter::open(&settings(&url)).unwrap();
        limiter.connected().await.unwrap();
        Self { limiter, connection, server, url }
    }

    pub(crate) async fn knowing() -> Self {
        Self::new().await.and_knowing().await
    }

    /// With another limiter, which knows denials.
    pub(crate) async fn and_knowing(self) -> Self {
        let setup = self;
        Self { limiter: knowing(&settings(&setup.url)).await, ..setup }
    }

    /// Sends one command, its words apart.
    pub(crate) async fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.connection).await.unwrap()
    }

    /// How often each of these commands has run in Redis, inside scripts included.
    pub(crate) async fn calls(&mut self, commands: &[&str]) -> u64 {
        let stats: String = self.ask(&["INFO", "commandstats"]).await;
        let count = |command: &&str| {
            let prefix = format!("cmdstat_{command}:calls=");
            let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
            line.map_or(0, |line| line.split(',').next().unwrap().parse::<u64>().unwrap())
        };
        commands.iter().map(count).sum()
    }
}

/// A limiter that knows denials, and hears of changes by now.
pub(crate) async fn knowing(settings: &Settings) -> RedisLimiter {
    let settings = Settings { known_denials: true, ..settings.clone() };
    let limiter = RedisLimiter::open(&settings).unwrap();
    let started = Instant::now();
    while !limiter.hears_changes() {
        assert!(started.elapsed() < PATIENCE, "changes are not heard of");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    limiter
}

/// A user with these rights; the address by which it logs in.
pub(crate) async fn log_in(
    server: &RedisServer,
    connection: &mut MultiplexedConnection,
    rights: &str,
) -> String {
    let mut command = cmd("ACL");
    command.arg("SETUSER").arg("worker").arg(&["reset", "on", ">s3cret"]);
    command.arg(rights.split_whitespace().collect::<Vec<_>>());
    command.exec_async(connection).await.unwrap();
    server.url.replace("redis://", "redis://worker:s3cret@")
}

/// What the server has refused, and to whom.
pub(crate) async fn acl_log(
    connection: &mut MultiplexedConnection,
) -> Vec<HashMap<String, String>> {
    cmd("ACL").arg("LOG").query_async(connection).await.unwrap()
}

/// A request of a user under the policy `default` with these limits.
pub(crate) fn request(user: &str, minute: u32, second: u32, cost: u64) -> Request {
    let limits = Limits { minute, second };
    let policy = Policy { limits, ..Policy::clone(Policies::default().default_policy()) };
    let identity = Identity::user(user).unwrap();
    Request::new(identity, Arc::new(policy), Cost::new(cost).unwrap())
}

/// The key of one window of a request.
pub(crate) fn key(request: &Request, window: Window) -> String {
    Keyspace::new("transom:1").window(&request.identity, &request.policy.name, window)
}
