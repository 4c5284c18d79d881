//! What a decision costs Redis, by script, without workers and HTTP.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value, cmd};
use transom_core::{Cost, Identity, Limits, Policy, PolicyName, Request};
use transom_redis::{Keyspace, Script};
use transom_tests::RedisServer;

use super::connect;
use crate::bench::Bench;
use crate::load::KEYS;
use crate::machine::cpu_ns;
use crate::must::Figure;
use crate::plot;
use crate::report::Section;
use crate::scripts;
use crate::stats::{Series, grouped, micros};
use crate::timed::user;

/// Connections, each with a pipeline under way.
const CONNECTIONS: usize = 2;
/// Decisions in a pipeline.
const PIPELINED: usize = 64;
/// A limit that nobody reaches, so that all scripts write.
const AMPLE: u32 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Incr,
    Gcra,
    Textbook,
    /// `lua/admit.lua` with so many requests a call.
    Admit(usize),
}

const KINDS: [Kind; 7] = [
    Kind::Gcra,
    Kind::Incr,
    Kind::Textbook,
    Kind::Admit(1),
    Kind::Admit(4),
    Kind::Admit(16),
    Kind::Admit(32),
];
/// Places in [`KINDS`].
const GCRA: usize = 0;
const ADMIT_16: usize = 5;

impl Kind {
    fn name(self) -> String {
        match self {
            Self::Incr => "INCR, fixed window".into(),
            Self::Gcra => "GCRA, one value".into(),
            Self::Textbook => "textbook, two sets".into(),
            Self::Admit(1) => "admit.lua".into(),
            Self::Admit(requests) => format!("admit.lua, {requests} requests a call"),
        }
    }

    const fn source(self) -> Option<&'static str> {
        match self {
            Self::Incr => Some(scripts::INCR),
            Self::Gcra => Some(scripts::GCRA),
            Self::Textbook => Some(scripts::TEXTBOOK),
            Self::Admit(_) => None,
        }
    }

    /// All identities once, in pipelines.
    fn pipelines(self) -> Result<Vec<Pipeline>> {
        let all: Vec<u32> = (0..KEYS).collect();
        all.chunks(PIPELINED).map(|callers| self.pipeline(callers)).collect()
    }

    fn pipeline(self, callers: &[u32]) -> Result<Pipeline> {
        let mut pipeline = Pipeline::new();
        let Some(source) = self.source() else {
            let Self::Admit(requests) = self else { return Ok(pipeline) };
            for callers in callers.chunks(requests) {
                pipeline.add_command(admit(callers)?);
            }
            return Ok(pipeline);
        };
        let sha1 = redis::Script::new(source).get_hash().to_owned();
        for caller in callers {
            pipeline.add_command(self.plain(&sha1, &user(*caller)));
        }
        Ok(pipeline)
    }

    /// A call of a script for one caller.
    fn plain(self, sha1: &str, caller: &str) -> Cmd {
        let key = |name: &str| format!("transom:1:{{user:{caller}}}:default:{name}");
        let mut call = cmd("EVALSHA");
        call.arg(sha1);
        match self {
            Self::Incr => call.arg(1).arg(key("minute")).arg(60_000).arg(AMPLE),
            Self::Gcra => call.arg(1).arg(key("minute")).arg(60).arg(60_000_000),
            _ => {
                let member = format!("{:016x}", fastrand::u64(..));
                let keys = [key("minute"), key("second")];
                call.arg(2).arg(&keys).arg(AMPLE).arg(AMPLE).arg(member)
            }
        };
        call
    }
}

fn admit(callers: &[u32]) -> Result<Cmd> {
    let limits = Limits { minute: AMPLE, second: AMPLE };
    let policy = Arc::new(Policy::new(PolicyName::default(), limits));
    let request = |caller: &u32| {
        let identity = Identity::user(&user(*caller))?;
        anyhow::Ok(Request::new(identity, Arc::clone(&policy), Cost::ONE))
    };
    let requests = callers.iter().map(request).collect::<Result<Vec<_>>>()?;
    Ok(Script::admit().evalsha(&Keyspace::new("transom:1"), &requests, 0))
}

#[derive(Debug, Default)]
struct Reached {
    rate: Series,
    /// Decisions for a second of Redis' core.
    per_core_second: Series,
    cpu_ns: Series,
    script_ns: Series,
    calls_per_mille: Series,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let server = RedisServer::process(&[]).await;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(&server).await?);
    }
    let mut reached: Vec<Reached> = KINDS.iter().map(|_| Reached::default()).collect();
    for number in 0..bench.rounds() {
        for (kind, reached) in KINDS.iter().zip(&mut reached) {
            bench.step(number, &kind.name());
            round(bench, &server, &mut connections, *kind, reached).await?;
        }
    }
    let against_gcra = reached[ADMIT_16].per_core_second.against(&reached[GCRA].per_core_second);
    bench.findings.ratio(Figure::Script16, against_gcra);

    let mut section = Section::new("The script");
    section.say(&format!(
        "Redis alone, {} identities, every request admitted, pipelines of {PIPELINED} decisions on \
         {CONNECTIONS} connections. *Redis µs* is time of its core, reading commands and writing \
         replies included; *script µs* is what `INFO commandstats` says of EVALSHA. The ratio is \
         of decisions for a second of Redis' core, to the GCRA script.",
        grouped(u64::from(KEYS))
    ));
    let row = |(kind, own): (&Kind, &Reached)| {
        vec![
            kind.name(),
            own.per_core_second.against(&reached[GCRA].per_core_second).to_string(),
            grouped(own.rate.median()),
            own.rate.against(&reached[GCRA].rate).to_string(),
            micros(own.cpu_ns.median()),
            micros(own.script_ns.median()),
            format!("0.{:03}", own.calls_per_mille.median()).replace("0.1000", "1.000"),
        ]
    };
    let rows: Vec<_> = KINDS.iter().zip(&reached).map(row).collect();
    let head = [
        "",
        "ratio",
        "decisions a second (wall)",
        "ratio (wall)",
        "Redis µs a decision",
        "script µs a decision",
        "calls a decision",
    ];
    section.table(&head, &rows);
    let title = "Time of Redis' core for a decision, µs";
    let bars: Vec<_> = KINDS
        .iter()
        .zip(&reached)
        .map(|(kind, own)| (kind.name(), own.cpu_ns.median(), micros(own.cpu_ns.median())))
        .collect();
    plot::bars(&bench.plots.join("script.svg"), title, &bars)?;
    section.plot("script.svg", title);
    Ok(section)
}

async fn round(
    bench: &Bench,
    server: &RedisServer,
    connections: &mut [MultiplexedConnection],
    kind: Kind,
    reached: &mut Reached,
) -> Result<()> {
    let passes: u64 = bench.either(5, 1);
    let script = Script::admit();
    let source = kind.source().unwrap_or_else(|| script.source());
    cmd("FLUSHALL").exec_async(&mut connections[0]).await?;
    cmd("SCRIPT").arg("LOAD").arg(source).exec_async(&mut connections[0]).await?;
    let pipelines = kind.pipelines()?;
    // The first pass makes the keys, and is not measured.
    pass(connections, &pipelines).await?;
    cmd("CONFIG").arg("RESETSTAT").exec_async(&mut connections[0]).await?;
    let pid = server.pid().context("a server that runs as a process")?;
    let (cpu_before, started) = (cpu_ns(pid), Instant::now());
    for _ in 0..passes {
        pass(connections, &pipelines).await?;
    }
    let (elapsed, cpu) = (started.elapsed(), cpu_ns(pid) - cpu_before);
    let decisions = passes * u64::from(KEYS);
    let stats = evalsha(&mut connections[0]).await?;
    let (calls, script_us) = stats.context("no EVALSHA in INFO commandstats")?;
    let elapsed_us = u64::try_from(elapsed.as_micros())?.max(1);
    reached.rate.push(decisions * 1_000_000 / elapsed_us);
    reached.per_core_second.push(decisions * 1_000_000 / (cpu / 1_000).max(1));
    reached.cpu_ns.push(cpu / decisions);
    reached.script_ns.push(script_us * 1_000 / decisions);
    reached.calls_per_mille.push(calls * 1_000 / decisions);
    Ok(())
}

/// Every pipeline once, spread over the connections.
async fn pass(connections: &mut [MultiplexedConnection], pipelines: &[Pipeline]) -> Result<()> {
    let share = pipelines.len().div_ceil(connections.len());
    let sent = connections.iter_mut().zip(pipelines.chunks(share)).map(async |(own, share)| {
        for pipeline in share {
            let replies: Vec<Value> = pipeline.query_async(own).await?;
            let admitted = |reply: &Value| match reply {
                Value::Array(_) => true,
                other => *other == Value::Int(1),
            };
            ensure!(replies.iter().all(admitted), "a script has denied");
        }
        Ok(())
    });
    try_join_all(sent).await?;
    Ok(())
}

/// Calls of EVALSHA and the microseconds in them, since the statistics were reset; `None` if there
/// was none.
pub(super) async fn evalsha(connection: &mut MultiplexedConnection) -> Result<Option<(u64, u64)>> {
    let stats: String = cmd("INFO").arg("commandstats").query_async(connection).await?;
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
    let field = |name: &str| {
        let fields = line?.split(',').find_map(|field| field.strip_prefix(name))?;
        fields.strip_prefix('=')?.parse().ok()
    };
    Ok(field("calls").zip(field("usec")))
}
