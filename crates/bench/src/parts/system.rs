//! Systems that are compared: what runs, what is asked of it, and what each round gave.

use std::net::SocketAddr;

use anyhow::Result;
use redis::cmd;
use transom_core::Limits;
use transom_tests::RedisServer;
use transom_tests::fleet::{Fleet, Setup};

use super::connect;
use crate::bench::Bench;
use crate::load::{CONNECTIONS, Lapses, Load, Pace, SPENT, SPENT_PATH, Tally, Traffic};
use crate::machine::{between, cpu_ns};
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
         [[policy]]\nname = \"spent\"\npath = \"{SPENT_PATH}\"\nminute = {}\nsecond = {}\n",
        SPENT.minute, SPENT.second
    )
}

/// Something that answers.
#[derive(Clone, Debug)]
pub(super) struct System {
    pub(super) name: String,
    servers: Vec<SocketAddr>,
    pub(super) pids: Vec<u32>,
    traffic: Traffic,
    connections: usize,
    pub(super) pace: Pace,
    /// What its default policy admits; checked where Transom decides.
    limits: Option<Limits>,
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
        Self { name, servers, pids, traffic, connections, pace, limits: None }
    }

    /// A handler to compare with.
    pub(super) fn of_handler(handler: &Handler, traffic: Traffic) -> Self {
        Self::new(&handler.name, vec![handler.address], vec![handler.pid()], traffic)
    }

    /// Workers, asked at their check listeners and held to the limits that they were started with.
    pub(super) fn of_workers(name: &str, fleet: &Fleet, traffic: Traffic, limits: Limits) -> Self {
        let pids = fleet.workers.iter().map(|worker| worker.pid()).collect();
        Self::new(name, fleet.check_addresses(), pids, traffic).held_to(limits)
    }

    /// The same over so many connections.
    pub(super) fn over(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// The same, held to what these limits admit.
    pub(super) fn held_to(self, limits: Limits) -> Self {
        Self { limits: Some(limits), ..self }
    }

    /// The same at a constant rate.
    pub(super) fn at(self, per_second: u64) -> Self {
        Self { pace: Pace::PerSecond(per_second), ..self }
    }

    /// Counts what a round of it has admitted above its limits.
    pub(super) fn judge(&self, bench: &mut Bench, tally: &Tally) {
        if let Some(limits) = self.limits {
            let above = tally.above(|caller| self.traffic.callers.limits(caller, limits));
            bench.findings.add(Figure::OverAdmitted, above, tally.lapses);
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
    pub(super) lapses: Lapses,
    pub(super) server_ns: Series,
    pub(super) redis_ns: Series,
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
        let servers: Option<u64> = system.pids.iter().map(|pid| cpu_ns(*pid)).sum();
        [servers, redis.pid().and_then(cpu_ns), cpu_ns(std::process::id())]
    };
    let before = cost();
    let tally = system.run(bench).await?;
    let after = cost();
    let costs = [&mut reached.server_ns, &mut reached.redis_ns, &mut reached.generator_ns];
    for ((before, after), series) in before.into_iter().zip(after).zip(costs) {
        if let Some(took) = between(before, after) {
            series.push(took / tally.all.max(1));
        }
    }
    reached.rate.push(tally.rate());
    reached.p50_ns.push(tally.quantile_ns(0.5));
    reached.p99_ns.push(tally.quantile_ns(0.99));
    reached.denied.push(tally.denied_per_mille());
    reached.lapses = reached.lapses.and(tally.lapses);
    system.judge(bench, &tally);
    Ok(tally)
}

impl Reached {
    /// Finds the ratio of the rates for a figure.
    pub(super) fn find(&self, bench: &mut Bench, figure: Figure, base: &Self) {
        let lapses = self.lapses.or_worse(base.lapses);
        bench.findings.ratio(figure, Some(self.rate.ratios(&base.rate)), lapses);
    }
}

/// Takes all out of a server, so that nobody pays for what another one has left there.
pub(super) async fn empty(redis: &RedisServer) -> Result<()> {
    Ok(cmd("FLUSHALL").exec_async(&mut connect(redis).await?).await?)
}

/// The places of so many systems in one round: each round begins with the next one and goes the
/// other way round, so that none always follows the same.
pub(super) fn turns(number: usize, systems: usize) -> impl Iterator<Item = usize> {
    (0..systems).map(move |turn| {
        let step = if number.is_multiple_of(2) { turn } else { systems - turn };
        (number + step) % systems
    })
}

/// All rounds; in each the systems take turns, and each finds Redis empty.
pub(super) async fn rounds(
    bench: &mut Bench,
    redis: &RedisServer,
    systems: &[System],
) -> Result<Vec<Reached>> {
    let mut reached: Vec<Reached> = systems.iter().map(|_| Reached::default()).collect();
    for number in 0..bench.rounds() {
        for place in turns(number, systems.len()) {
            let system = &systems[place];
            bench.step(number, &system.name);
            empty(redis).await?;
            round(bench, redis, system, &mut reached[place]).await?;
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
    vec![
        reached.lapses.behind(name),
        grouped(reached.rate.median()),
        reached.rate.shown_range(grouped),
        reached.rate.against(&base.rate).to_string(),
        millis(reached.p50_ns.median()),
        millis(reached.p99_ns.median()),
        reached.server_ns.shown(micros),
        reached.redis_ns.shown(micros),
        reached.generator_ns.shown(micros),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_turn_in_a_round_and_follows_now_one_and_now_the_other() {
        let rounds: Vec<Vec<_>> = (0..4).map(|number| turns(number, 3).collect()).collect();
        assert_eq!(rounds, [[0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 2, 1]]);
    }
}
