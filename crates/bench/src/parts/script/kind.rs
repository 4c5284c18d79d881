//! The scripts that are compared, and how each is called.

use std::sync::Arc;

use anyhow::Result;
use redis::{Cmd, Pipeline, Value, cmd};
use transom_core::{Cost, Identity, Limits, Policy, PolicyName, Request};
use transom_redis::{Keyspace, Script};

use super::savings::{SAVINGS, Saving};
use crate::scripts;
use crate::timed::user;

/// What the names of keys begin with.
pub(super) const PREFIX: &str = "transom:1";
/// Decisions in a pipeline.
pub(super) const PIPELINED: usize = 64;
/// A limit that nobody reaches, so that all scripts write.
const AMPLE: u32 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Incr,
    /// Says yes or no.
    Gcra,
    /// Says as much as `lua/admit.lua`.
    GcraTelling,
    Textbook,
    /// `lua/admit.lua` with so many requests a call.
    Admit(usize),
    /// What that calls with [`BATCH`], and nothing else.
    Commands,
    /// `lua/admit.lua` with [`BATCH`], without one of what it saves.
    Without(&'static Saving),
}

/// Requests in a call where a call has several, and no other number is said.
const BATCH: usize = 16;

pub(super) const KINDS: [Kind; 16] = [
    Kind::Gcra,
    Kind::GcraTelling,
    Kind::Incr,
    Kind::Textbook,
    Kind::Admit(1),
    Kind::Admit(4),
    Kind::Admit(BATCH),
    Kind::Admit(32),
    Kind::Commands,
    Kind::Without(&SAVINGS[0]),
    Kind::Without(&SAVINGS[1]),
    Kind::Without(&SAVINGS[2]),
    Kind::Without(&SAVINGS[3]),
    Kind::Without(&SAVINGS[4]),
    Kind::Without(&SAVINGS[5]),
    Kind::Without(&SAVINGS[6]),
];
/// Compared where windows are fuller, with the units that each minute holds before.
pub(super) const FULLER: [(Kind, u32); 5] = [
    (Kind::Gcra, 0),
    (Kind::Textbook, 30),
    (Kind::Admit(1), 30),
    (Kind::Admit(BATCH), 30),
    (Kind::Commands, 30),
];
/// Places in [`KINDS`]. What comes before [`WITHOUT`] is compared, the rest are savings.
pub(super) const GCRA: usize = 0;
pub(super) const ADMIT_16: usize = 6;
pub(super) const WITHOUT: usize = 9;

impl Kind {
    pub(super) fn name(self) -> String {
        match self {
            Self::Incr => "INCR, fixed window".into(),
            Self::Gcra => "GCRA, says yes or no".into(),
            Self::GcraTelling => "GCRA, says remaining, reset and retry".into(),
            Self::Textbook => "textbook, two sets".into(),
            Self::Admit(1) => "admit.lua".into(),
            Self::Admit(requests) => format!("admit.lua, {requests} requests a call"),
            Self::Commands => format!("the commands alone, {BATCH} requests a call"),
            Self::Without(saving) => saving.without.into(),
        }
    }

    pub(super) fn source(self) -> Result<String> {
        Ok(match self {
            Self::Incr => scripts::INCR.into(),
            Self::Gcra => scripts::GCRA.into(),
            Self::GcraTelling => scripts::GCRA_TELLING.into(),
            Self::Textbook => scripts::TEXTBOOK.into(),
            Self::Admit(_) => Script::admit().source().into(),
            Self::Commands => scripts::COMMANDS.into(),
            Self::Without(saving) => saving.undone()?,
        })
    }

    /// Requests in a call of `lua/admit.lua`.
    const fn batch(self) -> Option<usize> {
        match self {
            Self::Admit(requests) => Some(requests),
            Self::Commands | Self::Without(_) => Some(BATCH),
            _ => None,
        }
    }

    /// So many identities, each once, in pipelines.
    pub(super) fn pipelines(self, identities: u32) -> Result<Vec<Pipeline>> {
        let source = self.source()?;
        let admits = Script::admit().with_source(&source);
        let plain = redis::Script::new(&source);
        let pipeline = |callers: &[u32]| {
            let mut pipeline = Pipeline::new();
            if let Some(requests) = self.batch() {
                for callers in callers.chunks(requests) {
                    pipeline.add_command(admit(&admits, callers)?);
                }
            } else {
                for caller in callers {
                    pipeline.add_command(self.plain(plain.get_hash(), &user(*caller)));
                }
            }
            Ok(pipeline)
        };
        let all: Vec<u32> = (0..identities).collect();
        all.chunks(PIPELINED).map(pipeline).collect()
    }

    /// A call of a script for one caller.
    fn plain(self, sha1: &str, caller: &str) -> Cmd {
        let key = |name: &str| format!("{PREFIX}:{{user:{caller}}}:default:{name}");
        let mut call = cmd("EVALSHA");
        call.arg(sha1);
        match self {
            Self::Incr => call.arg(1).arg(key("minute")).arg(60_000).arg(AMPLE),
            Self::Gcra | Self::GcraTelling => {
                call.arg(1).arg(key("minute")).arg(60).arg(60_000_000)
            }
            _ => {
                let member = format!("{:016x}", fastrand::u64(..));
                let keys = [key("minute"), key("second")];
                call.arg(2).arg(&keys).arg(AMPLE).arg(AMPLE).arg(member)
            }
        };
        call
    }

    /// Whether a reply admits all that its call asked for.
    pub(super) fn admits(self, reply: &Value) -> bool {
        let one = |first: Option<&Value>| first == Some(&Value::Int(1));
        let admitted = |reply: &Value| match reply {
            Value::BulkString(text) => text.starts_with(b"1 "),
            Value::Array(numbers) => one(numbers.first()),
            _ => false,
        };
        match (self, reply) {
            // The time, and then a reply to each request.
            (Self::Admit(_) | Self::Commands | Self::Without(_), Value::Array(all)) => {
                all.iter().skip(1).all(admitted)
            }
            (Self::GcraTelling, Value::Array(told)) => one(told.first()),
            (_, reply) => one(Some(reply)),
        }
    }
}

fn admit(script: &Script, callers: &[u32]) -> Result<Cmd> {
    let limits = Limits { minute: AMPLE, second: AMPLE };
    let policy = Arc::new(Policy::new(PolicyName::default(), limits));
    let request = |caller: &u32| {
        let identity = Identity::user(&user(*caller))?;
        anyhow::Ok(Request::new(identity, Arc::clone(&policy), Cost::ONE))
    };
    let requests = callers.iter().map(request).collect::<Result<Vec<_>>>()?;
    Ok(script.evalsha(&Keyspace::new(PREFIX), &requests, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_anywhere_in_a_reply_is_seen() {
        let said = |first| Value::Array(vec![Value::Int(first), Value::Int(7)]);
        let text = |first| Value::BulkString(format!("{first} 60").into_bytes());
        let admit = |second| Value::Array(vec![Value::Int(0), text(1), text(second)]);
        for (kind, yes, no) in [
            (Kind::Gcra, Value::Int(1), Value::Int(0)),
            (Kind::GcraTelling, said(1), said(0)),
            (Kind::Admit(2), admit(1), admit(0)),
        ] {
            assert!(kind.admits(&yes) && !kind.admits(&no), "{kind:?}");
        }
    }
}
