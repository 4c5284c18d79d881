//! The rights of a worker: that every command works which a worker or an operator needs.
//!
//! Each command is tried by itself, so that what lacks can be named; then everything that is done
//! with them. All of it is done to keys named `PREFIX:doctor:...`, which are deleted.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use transom_core::{
    Change, Cost, Counts, Denied, Identity, Limiter, Limits, Mode, Note, Operations, Policy,
    PolicyName, Request, Scope, Unavailable,
};

use super::{Examined, Severity, found};
use crate::RedisLimiter;
use crate::api_keys::Digest;
use crate::keyspace::Keyspace;
use crate::node::Node;

/// Where what is refused for want of rights is explained.
const HINT: &str = "the README lists the rights of a worker";
/// Who is limited, blocked and counted here.
const SCRATCH_USER: &str = "transom-doctor";
/// The type of a key is in its name: `@zset` is `PREFIX:doctor:zset`.
const COMMANDS: [&str; 38] = [
    "PING",
    "ROLE",
    "TIME",
    "INFO server",
    "DEL @string @hash @zset @stream",
    "EXISTS @string",
    "TYPE @string",
    "SET @string 1",
    "GET @string",
    "INCR @string",
    "PTTL @string",
    "PEXPIRE @string 60000",
    "PERSIST @string",
    "HSET @hash field 1",
    "HGET @hash field",
    "HMGET @hash field",
    "HGETALL @hash",
    "HKEYS @hash",
    "HINCRBY @hash field 1",
    "HDEL @hash field",
    "ZADD @zset 1 member",
    "ZINCRBY @zset 1 member",
    "ZCARD @zset",
    "ZSCORE @zset member",
    "ZCOUNT @zset -inf +inf",
    "ZRANGE @zset 0 -1",
    "ZRANGEBYSCORE @zset -inf +inf",
    "ZREMRANGEBYSCORE @zset -inf 0",
    "ZREMRANGEBYRANK @zset 9 9",
    "ZREM @zset member",
    "XADD @stream * field 1",
    "XREVRANGE @stream + - COUNT 1",
    "SCAN 0 COUNT 1",
    "PUBLISH @changes x",
    "EVAL return(1) 0",
    "EVALSHA 0000000000000000000000000000000000000000 0",
    "MULTI",
    "EXEC",
];

/// What a cluster takes beside them.
const COMMANDS_OF_CLUSTER: [&str; 2] = ["CLUSTER SLOTS", "ASKING"];

/// What changes a connection for good, so it comes last.
const LAST_COMMAND: &str = "SUBSCRIBE @changes";

/// The reason, and where rights are explained if it is one of rights.
pub(super) fn with_hint(reason: &Unavailable) -> String {
    let said = reason.to_string();
    // In some paths it is a refusal, in some a reply that was not expected, and where there is no
    // connection a part of the reason, in the letters of the client library.
    if said.to_uppercase().contains("NOPERM") { format!("{said}; {HINT}") } else { said }
}

impl RedisLimiter {
    pub(super) async fn examine_rights(&self) -> Examined {
        const WHAT: &str = "rights";
        let scratch = self.scratch();
        let tried = async {
            scratch.clear().await?;
            let lacking = scratch.try_commands().await?;
            if lacking.is_empty() {
                scratch.try_everything().await?;
            }
            Ok::<_, Unavailable>(lacking)
        };
        let tried = tried.await;
        // Without the right to delete there is nothing that could be done about what is left.
        let _ = scratch.clear().await;
        match tried {
            Ok(lacking) if lacking.is_empty() => {
                found(WHAT, Severity::Fine, "every command of a worker and of operators works")
            }
            Ok(lacking) => {
                let lacking = lacking.join(", ");
                found(WHAT, Severity::Broken, format!("redis refuses {lacking}; {HINT}"))
            }
            Err(reason) => found(WHAT, Severity::Broken, with_hint(&reason)),
        }
    }

    /// The same limiter over keys that are nobody's.
    fn scratch(&self) -> Self {
        let mut scratch = self.clone();
        scratch.control.keyspace = self.control.keyspace.of_doctor();
        scratch
    }

    /// Deletes what a doctor has left, this one or one that was interrupted.
    async fn clear(&self) -> Result<(), Unavailable> {
        let keyspace = &self.control.keyspace;
        let user = scratch_user()?;
        let mut keys = vec![keyspace.mode(), keyspace.audit(), keyspace.traffic()];
        keys.extend(keyspace.windows(&user, &PolicyName::default()));
        keys.extend(keyspace.denied());
        keys.extend([keyspace.overrides(&user), keyspace.penalty(&user)]);
        keys.extend([
            keyspace.api_key(&scratch_digest().to_string()),
            keyspace.api_keys_revision(),
        ]);
        keys.extend(["string", "hash", "zset", "stream"].map(|name| keyspace.named(name)));
        // One by one: on a cluster they are in several slots.
        let mut all = redis::pipe();
        for key in keys {
            all.cmd("DEL").arg(key);
        }
        match self.control.pipeline::<Vec<u64>>(&all).await {
            // That this right lacks is found out with the others.
            Err(reason) if !reason.to_string().to_uppercase().contains("NOPERM") => Err(reason),
            _ => Ok(()),
        }
    }

    /// The commands that any server refuses for want of rights, or that are unknown there.
    async fn try_commands(&self) -> Result<Vec<String>, Unavailable> {
        let mut lacking = Vec::new();
        for (name, node) in self.control.nodes.all() {
            let here = self.try_commands_of(&node, name.is_some()).await?;
            lacking.extend(here.into_iter().map(|what| match &name {
                Some(name) => format!("{what} on {name}"),
                None => what,
            }));
        }
        Ok(lacking)
    }

    /// A node says what it does not permit even where another has the key.
    async fn try_commands_of(
        &self,
        node: &Node,
        in_cluster: bool,
    ) -> Result<Vec<String>, Unavailable> {
        // Of its own, since MULTI holds for whoever uses a connection.
        let mut own = self.control.walks.own(node).await?;
        let mut lacking = Vec::new();
        let more = if in_cluster { &COMMANDS_OF_CLUSTER[..] } else { &[] };
        for line in COMMANDS.iter().chain(more).chain([&LAST_COMMAND]) {
            let command = command(line, &self.control.keyspace);
            let call = async |connection: &mut MultiplexedConnection| {
                Ok(command.query_async::<redis::Value>(connection).await)
            };
            let Err(error) = own.run(call).await? else { continue };
            let said = error.detail().unwrap_or_default();
            let name = line.split(' ').next().unwrap_or(line);
            // EXEC says it in an EXECABORT.
            if error.code() == Some("NOPERM") || said.contains("NOPERM") {
                // Of a command, or of the names of its keys.
                let of_keys = !said.to_uppercase().contains(&format!("'{name}'"));
                let why = if of_keys { format!("{name} (NOPERM {said})") } else { name.to_owned() };
                lacking.push(why);
            } else if said.contains("unknown command") {
                lacking.push(format!("{name} (unknown command)"));
            } else if error.code().is_none() {
                return Err(crate::error::of_call(&error));
            }
        }
        own.discard();
        Ok(lacking)
    }

    /// Everything of a decision and of an operator.
    async fn try_everything(&self) -> Result<(), Unavailable> {
        let (user, name, note) = (scratch_user()?, PolicyName::default(), Note::default());
        let policy = Arc::new(Policy::new(name.clone(), Limits { minute: 2, second: 2 }));
        let request = Request::new(user.clone(), policy, Cost::ONE);
        let a_while = Some(Duration::from_secs(10));
        self.set_override(&user, &Scope::All, Limits::DEFAULT, a_while, &note).await?;
        self.block(&user, a_while, &note).await?;
        self.peek(&request).await?;
        self.admit(&request).await?;
        self.unblock(&user).await?;
        self.admit(&request).await?;
        self.marks(&user, &name, 1).await?;
        self.standing(&user).await?;
        self.delete_override(&user, &Scope::All).await?;
        self.reset(&user, &name).await?;
        let counts = Counts { admitted: 1, ..Counts::default() };
        self.report(&counts, &[Denied { identity: user, denials: 1 }]).await?;
        self.traffic().await?;
        self.denied(1).await?;
        self.set_mode(Some(Mode::Enforce)).await?;
        self.fleet_mode().await?;
        self.record(&Change::default()).await?;
        self.changes(1).await?;
        let keys = self.api_keys();
        keys.add(scratch_digest(), SCRATCH_USER, "").await?;
        keys.revoke(scratch_digest()).await.map(drop)
    }
}

fn scratch_user() -> Result<Identity, Unavailable> {
    Identity::user(SCRATCH_USER).map_err(|error| Unavailable::Reply(error.to_string()))
}

fn scratch_digest() -> Digest {
    Digest::of(SCRATCH_USER.as_bytes())
}

fn command(line: &str, keyspace: &Keyspace) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    for word in line.split(' ') {
        match word.strip_prefix('@') {
            Some(name) => command.arg(keyspace.named(name)),
            None => command.arg(word),
        };
    }
    command
}
