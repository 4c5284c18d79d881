//! What a decision costs Redis, by script, without workers and HTTP.

mod kind;
mod savings;

use std::cmp::Reverse;
use std::iter::once;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value, cmd};
use transom_tests::RedisServer;

use self::kind::{ADMIT_16, GCRA, KINDS, Kind, PIPELINED, WITHOUT};
use super::connect;
use crate::bench::Bench;
use crate::load::{KEYS, Lapses};
use crate::machine::{CANNOT_BE_MEASURED, between, cpu_ns};
use crate::must::{Figure, Findings};
use crate::plot;
use crate::report::Section;
use crate::stats::{PerMille, Series, grouped, micros};

/// As `INFO commandstats` spells it.
const EVALSHA: &str = "evalsha";
/// Connections, each with a pipeline under way.
const CONNECTIONS: usize = 2;

#[derive(Debug, Default)]
struct Reached {
    rate: Series,
    /// Decisions for a second of Redis' core.
    per_core_second: Series,
    cpu_ns: Series,
    script_ns: Series,
    calls_per_mille: Series,
    /// Of the last round.
    decisions: u64,
    /// What the script called in the last round.
    called: Vec<Command>,
}

/// A line of `INFO commandstats`.
#[derive(Debug)]
struct Command {
    name: String,
    calls: u64,
    us: u64,
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
    find(&mut bench.findings, &reached[ADMIT_16], &reached[GCRA]);

    let mut section = Section::new("The script");
    section.say(&format!(
        "Redis alone, {} identities, every request admitted, pipelines of {PIPELINED} decisions on \
         {CONNECTIONS} connections. *Redis µs* is time of its core, reading commands and writing \
         replies included; *script µs* is what `INFO commandstats` says of EVALSHA. The ratio is \
         of decisions for a second of Redis' core, to the GCRA script that says yes or no. Both \
         GCRA scripts keep one value for one limit; the second one says what is left, and when, \
         as admit.lua does for its two limits.",
        grouped(u64::from(KEYS))
    ));
    let row = |(kind, own): (&Kind, &Reached)| {
        vec![
            kind.name(),
            own.against(&reached[GCRA]).map_or_else(|| "-".to_owned(), |it| it.to_string()),
            grouped(own.rate.median()),
            own.rate.against(&reached[GCRA].rate).to_string(),
            own.cpu_ns.shown(micros),
            micros(own.script_ns.median()),
            format!("0.{:03}", own.calls_per_mille.median()).replace("0.1000", "1.000"),
        ]
    };
    let compared = || KINDS.iter().zip(&reached).take(WITHOUT);
    let rows: Vec<_> = compared().map(row).collect();
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
    if reached.iter().any(|own| own.cpu_ns.is_empty()) {
        section.not_measured("time of Redis' core for a decision", CANNOT_BE_MEASURED);
        return Ok(section);
    }
    let title = "Time of Redis' core for a decision, µs";
    let bars: Vec<_> = compared()
        .map(|(kind, own)| (kind.name(), own.cpu_ns.median(), micros(own.cpu_ns.median())))
        .collect();
    plot::bars(&bench.plots.join("script.svg"), title, &bars)?;
    section.plot("script.svg", title);
    by_command(&mut section, &reached[ADMIT_16]);
    savings(&mut section, &reached);
    Ok(section)
}

/// Where the script's time goes, as far as Redis tells it.
fn by_command(section: &mut Section, admit: &Reached) {
    let mut called: Vec<_> = admit.called.iter().collect();
    called.sort_by_key(|command| Reverse(command.us));
    section.say(
        "What admit.lua calls with 16 requests a call, by `INFO commandstats` of the last round. \
         The time is of the command itself; what is missing to *script µs* is Lua, the way from \
         Lua to the command and back, and the statistics.",
    );
    let row = |command: &&Command| {
        vec![
            command.name.to_uppercase(),
            admit.a_decision(command.calls),
            micros(command.us * 1_000 / command.calls.max(1)),
            micros(command.us * 1_000 / admit.decisions.max(1)),
        ]
    };
    let rows: Vec<_> = called.iter().map(row).collect();
    section.table(&["command", "calls a decision", "µs a call", "µs a decision"], &rows);
}

/// What each saving saves.
fn savings(section: &mut Section, reached: &[Reached]) {
    let admit = &reached[ADMIT_16];
    section.say(
        "What the script saves: with 16 requests a call, the same script that saves one thing \
         less. The ratio is to the script as it is.",
    );
    let row = |(kind, own): (&Kind, &Reached)| {
        Some(vec![
            kind.name(),
            own.against(admit)?.to_string(),
            own.cpu_ns.shown(micros),
            own.a_decision(own.called.iter().map(|command| command.calls).sum()),
        ])
    };
    let as_it_is = once((&KINDS[ADMIT_16], admit));
    let undone = KINDS.iter().zip(reached).skip(WITHOUT);
    let rows: Vec<_> = as_it_is.chain(undone).filter_map(row).collect();
    section.table(&["", "ratio", "Redis µs a decision", "commands a decision"], &rows);
}

impl Reached {
    /// Calls of the last round for each decision.
    fn a_decision(&self, calls: u64) -> String {
        let hundredths = calls * 100 / self.decisions.max(1);
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }

    /// Decisions for a second of Redis' core, against another one's; `None` where the machine does
    /// not tell the time of a core in every round.
    fn against(&self, base: &Self) -> Option<PerMille> {
        let all = |own: &Self| !own.rate.is_empty() && own.per_core_second.len() == own.rate.len();
        (all(self) && all(base)).then(|| self.per_core_second.against(&base.per_core_second))
    }
}

fn find(findings: &mut Findings, admit: &Reached, gcra: &Reached) {
    // The part fails with the first call that does.
    findings.ratio(Figure::Script16, admit.against(gcra), Lapses::default());
}

async fn round(
    bench: &Bench,
    server: &RedisServer,
    connections: &mut [MultiplexedConnection],
    kind: Kind,
    reached: &mut Reached,
) -> Result<()> {
    let passes: u64 = bench.either(5, 1);
    let source = kind.source()?;
    cmd("FLUSHALL").exec_async(&mut connections[0]).await?;
    cmd("SCRIPT").arg("LOAD").arg(source).exec_async(&mut connections[0]).await?;
    let pipelines = kind.pipelines()?;
    // The first pass makes the keys, and is not measured.
    pass(kind, connections, &pipelines).await?;
    cmd("CONFIG").arg("RESETSTAT").exec_async(&mut connections[0]).await?;
    let pid = server.pid().context("a server that runs as a process")?;
    let (cpu_before, started) = (cpu_ns(pid), Instant::now());
    for _ in 0..passes {
        pass(kind, connections, &pipelines).await?;
    }
    let (elapsed, cpu) = (started.elapsed(), between(cpu_before, cpu_ns(pid)));
    let decisions = passes * u64::from(KEYS);
    let mut commands = commands(&mut connections[0]).await?;
    let evalsha = commands.iter().position(|command| command.name == EVALSHA);
    let evalsha = commands.swap_remove(evalsha.context("no EVALSHA in INFO commandstats")?);
    let elapsed_us = u64::try_from(elapsed.as_micros())?.max(1);
    reached.rate.push(decisions * 1_000_000 / elapsed_us);
    if let Some(cpu_ns) = cpu {
        reached.per_core_second.push(decisions * 1_000_000 / (cpu_ns / 1_000).max(1));
        reached.cpu_ns.push(cpu_ns / decisions);
    }
    reached.script_ns.push(evalsha.us * 1_000 / decisions);
    reached.calls_per_mille.push(evalsha.calls * 1_000 / decisions);
    // CONFIG and INFO are of the measurement.
    commands.retain(|command| !command.name.starts_with("config") && command.name != "info");
    (reached.decisions, reached.called) = (decisions, commands);
    Ok(())
}

/// Every pipeline once, spread over the connections.
async fn pass(
    kind: Kind,
    connections: &mut [MultiplexedConnection],
    pipelines: &[Pipeline],
) -> Result<()> {
    let share = pipelines.len().div_ceil(connections.len());
    let sent = connections.iter_mut().zip(pipelines.chunks(share)).map(async |(own, share)| {
        for pipeline in share {
            let replies: Vec<Value> = pipeline.query_async(own).await?;
            ensure!(replies.iter().all(|reply| kind.admits(reply)), "a script has denied");
        }
        Ok(())
    });
    try_join_all(sent).await?;
    Ok(())
}

/// Calls of EVALSHA and the microseconds in them, since the statistics were reset; `None` if there
/// was none.
pub(super) async fn evalsha(connection: &mut MultiplexedConnection) -> Result<Option<(u64, u64)>> {
    let commands = commands(connection).await?;
    let evalsha = commands.iter().find(|command| command.name == EVALSHA);
    Ok(evalsha.map(|command| (command.calls, command.us)))
}

/// What was called since the statistics were reset, by clients and by scripts.
async fn commands(connection: &mut MultiplexedConnection) -> Result<Vec<Command>> {
    let stats: String = cmd("INFO").arg("commandstats").query_async(connection).await?;
    let command = |line: &str| {
        let (name, fields) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let field = |name: &str| {
            let field = fields.split(',').find_map(|field| field.strip_prefix(name))?;
            field.strip_prefix('=')?.parse().ok()
        };
        Some(Command { name: name.to_owned(), calls: field("calls")?, us: field("usec")? })
    };
    Ok(stats.lines().filter_map(command).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::must::Found;

    fn reached(per_core_second: &[u64]) -> Reached {
        let (rate, per_core_second) = ([3, 3].into_iter().collect(), per_core_second.iter());
        Reached { rate, per_core_second: per_core_second.copied().collect(), ..Reached::default() }
    }

    #[test]
    fn a_machine_that_does_not_tell_reaches_no_bound() {
        let found = |admit: &[u64], gcra: &[u64]| {
            let mut findings = Findings::default();
            find(&mut findings, &reached(admit), &reached(gcra));
            findings.get(Figure::Script16).unwrap()
        };
        let lapses = Lapses::default();
        assert_eq!(found(&[8, 4], &[10, 5]), Found::Value { value: 800, lapses });
        for (admit, gcra) in [(&[][..], &[][..]), (&[8, 4], &[]), (&[8], &[10, 5])] {
            assert_eq!(found(admit, gcra), Found::CannotBeMeasured);
        }
    }
}
