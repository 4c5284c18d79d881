//! What a decision costs Redis, by script, without workers and HTTP.

mod instructions;
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

pub(super) use self::instructions::count;
use self::kind::{ADMIT_16, FULLER, GCRA, KINDS, Kind, PIPELINED, WITHOUT};
use super::calls::{self, Command, EVALSHA};
use super::connect;
use super::fill::{Fill, fill};
use super::system::turns;
use crate::bench::Bench;
use crate::load::{KEYS, Lapses};
use crate::machine::{CANNOT_BE_MEASURED, between, cpu_ns};
use crate::must::{Figure, Findings};
use crate::plot;
use crate::report::Section;
use crate::stats::{Series, grouped, micros, ratio};

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

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let server = RedisServer::process(&[]).await;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(&server).await?);
    }
    let mut reached: Vec<Reached> = KINDS.iter().map(|_| Reached::default()).collect();
    let mut fuller: Vec<Reached> = FULLER.iter().map(|_| Reached::default()).collect();
    for number in 0..bench.rounds() {
        for place in turns(number, KINDS.len()) {
            let kind = KINDS[place];
            bench.step(number, &kind.name());
            round(bench, &server, &mut connections, (kind, 0), &mut reached[place]).await?;
        }
        for place in turns(number, FULLER.len()) {
            let (kind, units) = FULLER[place];
            bench.step(number, &format!("{}, {units} units in the minute", kind.name()));
            round(bench, &server, &mut connections, (kind, units), &mut fuller[place]).await?;
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
         as admit.lua does for its two limits. The last row calls what admit.lua has to call for \
         every admission, answers as much, and decides nothing: what admit.lua takes beyond \
         it is Lua, and the commands that it calls now and then.",
        grouped(u64::from(KEYS))
    ));
    let row = |(kind, own): (&Kind, &Reached)| {
        vec![
            kind.name(),
            own.ratios(&reached[GCRA]).map_or_else(|| "-".to_owned(), |it| it.shown(ratio)),
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
    when_fuller(&mut section, &fuller);
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
            micros(command.ns_a_call()),
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
         less. The ratio is to the script as it is. What a saving saves may be less than what the \
         rounds differ by; *Instructions* counts the same without that.",
    );
    let row = |(kind, own): (&Kind, &Reached)| {
        let ratios = own.ratios(admit)?;
        Some(vec![
            kind.name(),
            ratios.shown(ratio),
            ratios.shown_range(ratio),
            own.cpu_ns.shown(micros),
            own.a_decision(own.called.iter().map(|command| command.calls).sum()),
        ])
    };
    let as_it_is = once((&KINDS[ADMIT_16], admit));
    let undone = KINDS.iter().zip(reached).skip(WITHOUT);
    let rows: Vec<_> = as_it_is.chain(undone).filter_map(row).collect();
    let head =
        ["", "ratio", "lowest to highest round", "Redis µs a decision", "commands a decision"];
    section.table(&head, &rows);
}

/// What a decision takes where the minute's window holds half of what it may.
fn when_fuller(section: &mut Section, fuller: &[Reached]) {
    section.say(
        "The same where the minute of every identity holds 30 units before the first pass, evenly \
         spread over it. A value of GCRA is as long as before.",
    );
    let row = |((kind, _), own): (&(Kind, u32), &Reached)| {
        Some(vec![
            kind.name(),
            own.ratios(&fuller[0])?.shown(ratio),
            own.cpu_ns.shown(micros),
            own.a_decision(own.called.iter().map(|command| command.calls).sum()),
        ])
    };
    let rows: Vec<_> = FULLER.iter().zip(fuller).filter_map(row).collect();
    section.table(&["", "ratio", "Redis µs a decision", "commands a decision"], &rows);
}

impl Reached {
    /// Calls of the last round for each decision.
    fn a_decision(&self, calls: u64) -> String {
        let hundredths = calls * 100 / self.decisions.max(1);
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }

    /// Decisions for a second of Redis' core, against another one's in the same round; `None` where
    /// the machine does not tell the time of a core in every round.
    fn ratios(&self, base: &Self) -> Option<Series> {
        let all = |own: &Self| !own.rate.is_empty() && own.per_core_second.len() == own.rate.len();
        (all(self) && all(base)).then(|| self.per_core_second.ratios(&base.per_core_second))
    }
}

fn find(findings: &mut Findings, admit: &Reached, gcra: &Reached) {
    // The part fails with the first call that does.
    findings.ratio(Figure::Script16, admit.ratios(gcra), Lapses::default());
}

async fn round(
    bench: &Bench,
    server: &RedisServer,
    connections: &mut [MultiplexedConnection],
    (kind, units): (Kind, u32),
    reached: &mut Reached,
) -> Result<()> {
    let passes: u64 = bench.either(5, 1);
    let source = kind.source()?;
    let identities = if units > 0 { KEYS } else { 0 };
    fill(server, kind::PREFIX, Fill { identities, units }).await?;
    cmd("SCRIPT").arg("LOAD").arg(source).exec_async(&mut connections[0]).await?;
    // A set of its own for each pass: no request of the textbook's may have another one's member.
    let sets = (0..=passes).map(|_| kind.pipelines(KEYS)).collect::<Result<Vec<_>>>()?;
    let (first, others) = sets.split_first().context("no pass")?;
    // It makes the keys, and is not measured.
    pass(kind, connections, first).await?;
    calls::reset(&mut connections[0]).await?;
    let pid = server.pid().context("a server that runs as a process")?;
    let (cpu_before, started) = (cpu_ns(pid), Instant::now());
    for pipelines in others {
        pass(kind, connections, pipelines).await?;
    }
    let (elapsed, cpu) = (started.elapsed(), between(cpu_before, cpu_ns(pid)));
    let decisions = passes * u64::from(KEYS);
    let mut commands = calls::commands(&mut connections[0]).await?;
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
        let rounds = Some((800, 900));
        assert_eq!(found(&[8, 9], &[10, 10]), Found::Value { value: 800, lapses, rounds });
        for (admit, gcra) in [(&[][..], &[][..]), (&[8, 4], &[]), (&[8], &[10, 5])] {
            assert_eq!(found(admit, gcra), Found::CannotBeMeasured);
        }
    }
}
