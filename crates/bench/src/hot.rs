//! The functions on the way of every request, each called as often as asked: for a profiler that
//! counts instructions, which do not depend on what else the machine does.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use futures_util::FutureExt as _;
use http::{HeaderMap, Method};
use redis::Value;
use transom_core::headers::{self, Style};
use transom_core::{
    Cost, Decision, Identity, Limiter as _, Limits, PathPattern, Policies, Policy, PolicyName,
    Request, Source, WindowLogs,
};
use transom_local::LocalLimiter;
use transom_redis::{Keyspace, Script, decode};

const NOW_US: u64 = 1_800_000_000_000_000;
/// Between two requests of one identity, so that both windows always have room.
const APART_US: u64 = 1_000_000;
/// Policies beside the default one.
const POLICIES: u32 = 100;
/// Identities of the in-process limiter.
const IDENTITIES: u32 = 1_000;
/// A limit that a run does not reach.
const AMPLE: Limits = Limits { minute: 1_000_000, second: 1_000_000 };

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Function {
    /// `Policies::find`, one of a hundred policies with three segments
    Matcher,
    /// `WindowLogs::admit`, admitted, windows as full as one request a second makes them
    Admit,
    /// `WindowLogs::admit`, denied
    Deny,
    /// `headers::write`
    Headers,
    /// `LocalLimiter::admit`, one of a thousand identities
    Local,
    /// One request of a call of `lua/admit.lua`: key names and arguments
    Encode,
    /// One answer in the reply of the script
    Decode,
}

/// Calls it.
pub(crate) fn run(function: Function, calls: u64) -> Result<()> {
    match function {
        Function::Matcher => matcher(calls),
        Function::Admit => admit(calls),
        Function::Deny => deny(calls),
        Function::Headers => write_headers(calls),
        Function::Local => local(calls),
        Function::Encode => encode(calls),
        Function::Decode => decode_replies(calls),
    }
}

fn matcher(calls: u64) -> Result<()> {
    let policy = |number: u32| -> Result<Policy> {
        let mut policy = Policy::new(PolicyName::new(&format!("policy-{number}"))?, AMPLE);
        policy.path = Some(PathPattern::parse(&format!("/v1/resource-{number}/{{id}}"))?);
        Ok(policy)
    };
    let policies = Policies::new((0..POLICIES).map(policy).collect::<Result<_>>()?)?;
    for _ in 0..calls {
        black_box(policies.find(&Method::GET, None, black_box("/v1/resource-42/4711")));
    }
    Ok(())
}

fn admit(calls: u64) -> Result<()> {
    let mut logs = WindowLogs::default();
    for call in 0..calls {
        let verdict = logs.admit(NOW_US + call * APART_US, Limits::DEFAULT, Cost::ONE);
        ensure!(verdict.allowed, "a denial");
    }
    Ok(())
}

fn deny(calls: u64) -> Result<()> {
    let mut logs = WindowLogs::default();
    while logs.admit(NOW_US, Limits { minute: 60, second: 60 }, Cost::ONE).allowed {}
    for _ in 0..calls {
        let verdict = black_box(&mut logs).admit(NOW_US, Limits::DEFAULT, Cost::ONE);
        ensure!(!verdict.allowed, "an admission");
    }
    Ok(())
}

fn write_headers(calls: u64) -> Result<()> {
    let verdict = WindowLogs::default().admit(NOW_US, Limits::DEFAULT, Cost::ONE);
    let decision = Decision::new(&verdict, Source::Redis);
    let mut fields = HeaderMap::with_capacity(16);
    for _ in 0..calls {
        fields.clear();
        headers::write(black_box(&decision), Style::default(), &mut fields);
    }
    ensure!(!fields.is_empty() || calls == 0, "no field was written");
    Ok(())
}

fn requests() -> Result<Vec<Request>> {
    let policy = Arc::new(Policy::new(PolicyName::default(), AMPLE));
    let request = |number: u32| {
        let identity = Identity::user(&number.to_string())?;
        Ok(Request::new(identity, Arc::clone(&policy), Cost::ONE))
    };
    (0..IDENTITIES).map(request).collect()
}

fn local(calls: u64) -> Result<()> {
    let (limiter, requests) = (LocalLimiter::default(), requests()?);
    for request in requests.iter().cycle().take(usize::try_from(calls)?) {
        let decided = limiter.admit(request).now_or_never();
        ensure!(matches!(decided, Some(Ok(decision)) if decision.allowed), "no admission");
    }
    Ok(())
}

fn encode(calls: u64) -> Result<()> {
    let (script, keyspace, requests) = (Script::admit(), Keyspace::new("transom:1"), requests()?);
    for one in requests.chunks(1).cycle().take(usize::try_from(calls)?) {
        black_box(script.evalsha(&keyspace, one, 0));
    }
    Ok(())
}

fn decode_replies(calls: u64) -> Result<()> {
    let answer = Value::BulkString(b"1 60 3 59000000 0 2 1 900000 0 0 0".to_vec());
    let reply = Value::Array(vec![Value::Int(1_800_000_000_000_000), answer]);
    for _ in 0..calls {
        ensure!(decode(black_box(&reply), 1).is_ok_and(|answers| answers[0].is_ok()), "no verdict");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_does_what_is_counted() {
        for function in Function::value_variants() {
            run(*function, 200).unwrap_or_else(|error| panic!("{function:?}: {error}"));
        }
    }
}
