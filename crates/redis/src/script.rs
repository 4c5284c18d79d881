//! The scripts of `lua/`, and how one is called.

use std::fmt;
use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisError, Value};
use transom_core::Request;

use crate::keyspace::Keyspace;

/// A script and its digest, by which Redis knows it.
#[derive(Clone)]
pub struct Script {
    source: Arc<str>,
    sha1: Arc<str>,
}

impl Script {
    /// Admits: `lua/admit.lua`.
    pub fn admit() -> Self {
        Self::from_source(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../lua/admit.lua")))
    }

    /// Only asks: `lua/peek.lua`.
    pub fn peek() -> Self {
        Self::from_source(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../lua/peek.lua")))
    }

    /// Another body with the same keys, arguments and reply: for tests, which replace the
    /// clock or break a rule on purpose.
    pub fn from_source(source: &str) -> Self {
        Self { source: source.into(), sha1: redis::Script::new(source).get_hash().into() }
    }

    /// The text of the script.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Calls the script by its digest, and with its text where Redis does not know it (after a
    /// restart, a failover or a flush): nothing has run then, so the call may be repeated.
    pub(crate) async fn call(
        &self,
        connection: &mut (impl ConnectionLike + Send),
        items: &[Item],
    ) -> Result<Value, RedisError> {
        match command("EVALSHA", &self.sha1, items).query_async(connection).await {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                command("EVAL", &self.source, items).query_async(connection).await
            }
            answer => answer,
        }
    }

    /// One call of the script by its digest, as a command: for tests and benchmarks, which load
    /// the script themselves and send many calls in one pipeline. [`decode`](crate::decode) reads
    /// the reply.
    pub fn evalsha(&self, keyspace: &Keyspace, requests: &[Request]) -> Cmd {
        let items: Vec<_> = requests.iter().map(|request| Item::new(keyspace, request)).collect();
        command("EVALSHA", &self.sha1, &items)
    }
}

fn command(name: &str, script: &str, items: &[Item]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(items.len() * Item::KEYS);
    for item in items {
        command.arg(&item.keys);
    }
    for item in items {
        command.arg(&item.args);
    }
    command
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.sha1).finish()
    }
}

/// One request as the scripts take it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The logs of both windows, minute first.
    keys: [String; Self::KEYS],
    /// Both limits and the cost.
    args: [u32; Self::ARGS],
}

impl Item {
    pub(crate) const KEYS: usize = 2;
    pub(crate) const ARGS: usize = 3;

    pub(crate) fn new(keyspace: &Keyspace, request: &Request) -> Self {
        Self {
            keys: keyspace.windows(&request.identity, &request.policy.name),
            args: [request.limits.minute, request.limits.second, request.cost.units()],
        }
    }

    /// The units asked for.
    pub(crate) const fn units(&self) -> u32 {
        self.args[2]
    }
}
