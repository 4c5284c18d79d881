//! The scripts of `lua/`, and how one is called.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisError, RedisWrite as _, Value};
use transom_core::{Identity, Limits, PenaltyRules, PolicyName, Request, Window};

use crate::keyspace::{self, Keyspace};

/// About as many bytes as the terms of most calls have.
const TERMS_ROOM: usize = 128;

/// A script and its digest, by which Redis knows it.
#[derive(Clone)]
pub struct Script {
    source: Arc<str>,
    sha1: Arc<str>,
    /// How many arguments state the terms of a request.
    terms: usize,
}

impl Script {
    /// Admits: `lua/admit.lua`.
    pub fn admit() -> Self {
        let lua = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../lua/admit.lua"));
        Self::new(lua, Terms::ARGS)
    }

    /// Only asks: `lua/peek.lua`.
    pub fn peek() -> Self {
        let lua = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../lua/peek.lua"));
        Self::new(lua, Terms::ARGS - 1)
    }

    fn new(source: &str, terms: usize) -> Self {
        let sha1 = redis::Script::new(source).get_hash().into();
        Self { source: source.into(), sha1, terms }
    }

    /// Another body with the same keys, arguments and reply: for tests, which replace the
    /// clock or break a rule on purpose.
    #[must_use]
    pub fn with_source(&self, source: &str) -> Self {
        Self::new(source, self.terms)
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
        match self.command("EVALSHA", &self.sha1, items).query_async(connection).await {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.command("EVAL", &self.source, items).query_async(connection).await
            }
            answer => answer,
        }
    }

    /// Sends some calls at once. Each has a reply of its own, and is repeated with the text of the
    /// script if Redis does not know it.
    pub(crate) async fn call_each(
        &self,
        connection: &mut (impl ConnectionLike + Send),
        calls: &[Call<'_>],
    ) -> Vec<Result<Value, RedisError>> {
        if let [Call { items, asking: false }] = calls {
            return vec![self.call(connection, items).await];
        }
        let by_digest = |call: &Call<'_>| self.command("EVALSHA", &self.sha1, call.items);
        let mut replies = send_each(connection, calls, by_digest).await;
        let unknown = |reply: &Result<Value, RedisError>| {
            reply.as_ref().is_err_and(|error| error.code() == Some("NOSCRIPT"))
        };
        let again = calls.iter().zip(&replies).filter(|(_, reply)| unknown(reply));
        let again: Vec<_> = again.map(|(call, _)| *call).collect();
        if !again.is_empty() {
            let by_text = |call: &Call<'_>| self.command("EVAL", &self.source, call.items);
            let repeated = send_each(connection, &again, by_text).await;
            let places = replies.iter_mut().filter(|reply| unknown(reply));
            for (place, reply) in places.zip(repeated) {
                *place = reply;
            }
        }
        replies
    }

    /// One call of the script by its digest, as a command: for tests and benchmarks, which load
    /// the script themselves and send many calls in one pipeline. [`decode`](crate::decode) reads
    /// the reply. Where a request has penalties it reports `unreported` denials of before.
    pub fn evalsha(&self, keyspace: &Keyspace, requests: &[Request], unreported: u32) -> Cmd {
        let item = |request: &Request| Item::new(keyspace, request, Some(unreported));
        let items: Vec<_> = requests.iter().map(item).collect();
        self.command("EVALSHA", &self.sha1, &items)
    }

    /// The call by digest, and the one with the text.
    pub(crate) fn commands(&self, items: &[Item]) -> [Cmd; 2] {
        [self.command("EVALSHA", &self.sha1, items), self.command("EVAL", &self.source, items)]
    }

    fn command(&self, name: &str, script: &str, items: &[Item]) -> Cmd {
        let mut command = Cmd::with_capacity(
            3 + items.len() * Item::KEYS + 1 + Terms::ARGS,
            script.len() + items.iter().map(Item::room).sum::<usize>() + TERMS_ROOM,
        );
        command.arg(name).arg(script).arg(items.len() * Item::KEYS);
        for item in items {
            for window in Window::ALL {
                item.write_key(&mut command, &keyspace::log(&item.terms.policy, window));
            }
        }
        for item in items {
            item.write_key(&mut command, &[keyspace::OVERRIDE]);
            item.write_key(&mut command, &[keyspace::PENALTY]);
        }
        // What neighbours have in common is sent once.
        for alike in items.chunk_by(|one, next| one.terms == next.terms) {
            command.arg(alike.len());
            if let Some(item) = alike.first() {
                item.terms.write(&mut command, self.terms);
            }
        }
        command
    }
}

/// Requests that one call takes, whose keys are in one slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) items: &'a [Item],
    /// The slot is on its way to this node, and not all of it is here.
    pub(crate) asking: bool,
}

/// Sends each call as a command, all in one pipeline.
async fn send_each(
    connection: &mut (impl ConnectionLike + Send),
    calls: &[Call<'_>],
    command: impl Fn(&Call<'_>) -> Cmd,
) -> Vec<Result<Value, RedisError>> {
    let mut all = redis::pipe();
    for call in calls {
        if call.asking {
            all.cmd("ASKING").ignore();
        }
        all.add_command(command(call));
    }
    match all.ignore_errors().query_async(connection).await {
        Ok(replies) => replies,
        // None of them has an answer.
        Err(error) => calls.iter().map(|_| Err(error.clone())).collect(),
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.sha1).finish()
    }
}

/// One request as the scripts take it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// What all of its keys begin with.
    tag: String,
    terms: Terms,
}

impl Item {
    /// The logs of both windows, minute first, then overrides and penalty.
    pub(crate) const KEYS: usize = 4;

    /// A request that reports `unreported` denials, and its own if it is denied; with `None` it
    /// reports none.
    pub(crate) fn new(keyspace: &Keyspace, request: &Request, unreported: Option<u32>) -> Self {
        let Request { identity, policy, limits, cost, enforced, penalty, .. } = request;
        let strikes = unreported.zip(penalty.filter(|_| *enforced));
        let terms = Terms {
            policy: policy.name.clone(),
            limits: *limits,
            cost: cost.units(),
            enforced: *enforced,
            strikes: strikes.map(|(denials, rules)| (denials, rules, identity.clone())),
        };
        Self { tag: keyspace.tag(identity), terms }
    }

    /// What all of its keys begin with: they are in the slot that a key of this name would be in.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// About as many bytes as its keys have.
    fn room(&self) -> usize {
        Self::KEYS * (self.tag.len() + self.terms.policy.as_str().len() + ":minute".len())
    }

    /// Writes a key, whose name goes on after the tag with these parts.
    fn write_key(&self, command: &mut Cmd, parts: &[&str]) {
        let mut key = command.writer_for_next_arg();
        for part in [&*self.tag].iter().chain(parts) {
            // It is written to memory, which does not fail.
            let _ = key.write_all(part.as_bytes());
        }
    }

    /// Most items that are equal in this have equal terms, which are sent once for neighbours.
    pub(crate) fn likeness(&self) -> (&str, u32) {
        (self.terms.policy.as_str(), self.terms.cost)
    }

    /// The units asked for.
    pub(crate) const fn units(&self) -> u32 {
        self.terms.cost
    }
}

/// What is asked, and by which rules. Requests of a call may share it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Terms {
    policy: PolicyName,
    limits: Limits,
    cost: u32,
    enforced: bool,
    /// Denials to report, where this request may write a strike, the rules for them, and whose
    /// they are.
    strikes: Option<(u32, PenaltyRules, Identity)>,
}

impl Terms {
    /// The last of them is for `admit.lua` alone.
    const ARGS: usize = 6;

    fn write(&self, command: &mut Cmd, args: usize) {
        command.arg(self.policy.as_str()).arg(self.limits.minute).arg(self.limits.second);
        command.arg(self.cost).arg(u8::from(self.enforced));
        if args < Self::ARGS {
            return;
        }
        let Some((unreported, rules, identity)) = &self.strikes else {
            command.arg("");
            return;
        };
        let PenaltyRules { strikes, within_us, block_us, max_us, forget_us } = rules;
        command.arg(format!(
            "{unreported} {strikes} {within_us} {block_us} {max_us} {forget_us} {identity}"
        ));
    }
}
