//! Systems that are compared: what runs, what is asked of it, and what each round gave.

use std::net::SocketAddr;

use anyhow::Result;
use transom_core::Limits;
use transom_tests::RedisServer;
use transom_tests::fleet::{Fleet, Setup};

use crate::bench::Bench;
use crate::load::{CONNECTIONS, Load, Pace, Tally, Traffic};
use crate::machine::cpu_ns;
use crate::must::Figure;
use crate::process::Handler;
use crate::report::Section;
use crate::stats::{PerMille, Series, grouped, micros, millis};

/// For one decision of a worker. Longer than the default, so that a saturated machine decides by
/// Redis all the same.
const DEADLINE: &str = "1s";

/// Workers whose users are named by the generator.
pub(super) fn workers(redis_url: &str, prefix: &str, limits: Limits, number: usize) -> Fleet {
    let config = config(limits);
    let setup = Setup { workers: number, redis_url, prefix, config: &config, ..Setup::default() };
    Fleet::start(&Setup { deadline: DEADLINE, ..setup })
}

/// One worker on the cluster of these nodes.
pub(super) fn workers_of_cluster(nodes: &[String], prefix: &str, limits: Limits) -> Fleet {
    let cluster = format!("[redis]\nmode = \"cluster\"\nnodes = {nodes:?}\n");
    let config = cluster + &config(limits);
    let setup = Setup { workers: 1, prefix, config: &config, ..Setup::default() };
    Fleet::start(&Setup { deadline: DEADLINE, ..setup })
}

fn config(limits: Limits) -> String {
    let Limits { minute, second } = limits;
    format!(
        "[identity]\nmode = \"header\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [[policy]]\nname = \"default\"\nminute = {minute}\nsecond = {second}\n\
         [[policy]]\nname = \"spent\"\npath = \"/v1/spent\"\nminute = 1\nsecond = 1\n"
    )
}

/// Something that answers.
#[derive(Debug)]
pub(super) struct System {
    pub(super) name: String,
    servers: Vec<SocketAddr>,
    pub(super) pids: Vec<u32>,
    traffic: Traffic,
    connections: usize,
    pub(super) pace: Pace,
    /// Admissions of one caller in a round that are due; checked where Transom decides.
    due: Option<u32>,
}

impl System {
    /// Of processes that answer at these addresses.
    pub(super) fn new(
        name: &str,
        servers: Vec<SocketAddr>,
        pids: Vec<u32>,
        traffic: Traffic,
    ) -> Self {
        let (connections, pace, name) = (CONNECTIONS, Pace::Closed, name.to_owned());
        Self { name, servers, pids, traffic, connections, pace, due: None }
    }

    /// A handler to compare with.
    pub(super) fn of_handler(handler: &Handler, traffic: Traffic) -> Self {
        Self::new(&handler.name, vec![handler.address], vec![handler.pid()], traffic)
    }

    /// Workers, asked at their check listeners.
    pub(super) fn of_workers(name: &str, fleet: &Fleet, traffic: Traffic) -> Self {
        let pids = fleet.workers.iter().map(|worker| worker.pid()).collect();
        Self::new(name, fleet.check_addresses(), pids, traffic)
    }

    /// The same over so many connections.
    pub(super) fn over(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// The same, held to what these limits admit within a round.
    pub(super) fn held_to(self, bench: &Bench, limits: Limits) -> Self {
        let lasts_s = (bench.lasts() + bench.warm_up()).as_secs();
        // Whole seconds that fit, one that has begun, and two for the last answers.
        let seconds = u32::try_from(lasts_s).unwrap_or(u32::MAX).saturating_add(3);
        let due = limits.minute.min(limits.second.saturating_mul(seconds));
        Self { due: Some(due), ..self }
    }

    /// The same at a constant rate.
    pub(super) fn at(self, per_second: u64) -> Self {
        Self { pace: Pace::PerSecond(per_second), ..self }
    }

    /// Counts what a round of it has admitted above what was due.
    pub(super) fn judge(&self, bench: &mut Bench, tally: &Tally) {
        if let Some(due) = self.due {
            bench.findings.add(Figure::OverAdmitted, tally.above(due));
        }
    }

    /// One round.
    pub(super) async fn run(&self, bench: &Bench) -> Result<Tally> {
        let load = Load {
            servers: self.servers.clone(),
            traffic: self.traffic.clone(),
            connections: self.connections,
            pace: self.pace,
            warm_up: bench.warm_up(),
            lasts: bench.lasts(),
        };
        load.run().await
    }
}

/// What one system reached, round by round.
#[derive(Debug, Default)]
pub(super) struct Reached {
    pub(super) rate: Series,
    pub(super) p50_ns: Series,
    pub(super) p99_ns: Series,
    pub(super) denied: Series,
    /// Decisions without Redis.
    degraded: u64,
    failed: u64,
    server_ns: Series,
    redis_ns: Series,
    pub(super) generator_ns: Series,
}

/// One round of a system, with what it cost the processes.
pub(super) async fn round(
    bench: &mut Bench,
    redis: &RedisServer,
    system: &System,
    reached: &mut Reached,
) -> Result<Tally> {
    let cost = || {
        let servers: u64 = system.pids.iter().map(|pid| cpu_ns(*pid)).sum();
        [servers, redis.pid().map_or(0, cpu_ns), cpu_ns(std::process::id())]
    };
    let before = cost();
    let tally = system.run(bench).await?;
    let after = cost();
    let each = |place: usize| (after[place] - before[place].min(after[place])) / tally.all.max(1);
    reached.server_ns.push(each(0));
    reached.redis_ns.push(each(1));
    reached.generator_ns.push(each(2));
    reached.rate.push(tally.rate());
    reached.p50_ns.push(tally.quantile_ns(0.5));
    reached.p99_ns.push(tally.quantile_ns(0.99));
    reached.denied.push(tally.denied_per_mille());
    reached.degraded += tally.degraded;
    reached.failed += tally.failed;
    system.judge(bench, &tally);
    Ok(tally)
}

/// All rounds; in each the systems take turns.
pub(super) async fn rounds(
    bench: &mut Bench,
    redis: &RedisServer,
    systems: &[System],
) -> Result<Vec<Reached>> {
    let mut reached: Vec<Reached> = systems.iter().map(|_| Reached::default()).collect();
    for number in 0..bench.rounds() {
        for (system, reached) in systems.iter().zip(&mut reached) {
            bench.step(number, &system.name);
            round(bench, redis, system, reached).await?;
        }
    }
    Ok(reached)
}

/// Their names.
pub(super) fn names(systems: &[System]) -> impl Iterator<Item = &str> {
    systems.iter().map(|system| &*system.name)
}

/// A table of what systems reached, with ratios to one of them.
pub(super) fn table<'a>(
    section: &mut Section,
    names: impl Iterator<Item = &'a str>,
    reached: &[Reached],
    base: usize,
) {
    let rows = names.zip(reached).map(|(name, own)| row(name, own, &reached[base]));
    section.table(&HEAD, &rows.collect::<Vec<_>>());
}

/// The head of [`table`].
const HEAD: [&str; 10] = [
    "",
    "answers a second",
    "lowest to highest round",
    "ratio",
    "p50 ms",
    "p99 ms",
    "server µs of a core each",
    "Redis µs each",
    "generator µs each",
    "denied, of 1,000",
];

/// What a system reached, against another one.
fn row(name: &str, reached: &Reached, base: &Reached) -> Vec<String> {
    let (lowest, highest) = reached.rate.range();
    let mut name = name.to_owned();
    for (count, what) in [(reached.degraded, "decided without Redis"), (reached.failed, "failed")] {
        if count > 0 {
            name = format!("{name} ({} {what})", grouped(count));
        }
    }
    vec![
        name,
        grouped(reached.rate.median()),
        format!("{} to {}", grouped(lowest), grouped(highest)),
        reached.rate.against(&base.rate).to_string(),
        millis(reached.p50_ns.median()),
        millis(reached.p99_ns.median()),
        micros(reached.server_ns.median()),
        micros(reached.redis_ns.median()),
        micros(reached.generator_ns.median()),
        reached.denied.median().to_string(),
    ]
}

/// Bars of the ratios to one of the systems.
pub(super) fn ratio_bars(
    systems: &[System],
    reached: &[Reached],
    base: usize,
) -> Vec<(String, u64, String)> {
    let bar = |(system, own): (&System, &Reached)| {
        let PerMille(value) = own.rate.against(&reached[base].rate);
        (system.name.clone(), value, PerMille(value).to_string())
    };
    systems.iter().zip(reached).map(bar).collect()
}
