//! Redis Cluster: what a decision costs each node. Not the wall time, since all nodes share the
//! cores of one machine.

use anyhow::{Context as _, Result};
use redis::aio::MultiplexedConnection;
use transom_core::Limits;
use transom_tests::RedisServer;
use transom_tests::cluster::Cluster;
use transom_tests::fleet::Fleet;

use super::system::{self, System};
use super::{calls, connect};
use crate::bench::Bench;
use crate::load::{CALM_KEYS, Lapses, Traffic};
use crate::machine::{CANNOT_BE_MEASURED, between, cpu_ns};
use crate::plot::{self, Bar};
use crate::report::Section;
use crate::stats::{PerMille, Series, grouped, micros};

const MASTERS: [usize; 3] = [1, 2, 3];

/// Servers, and a worker that decides on them.
struct Case<'a> {
    nodes: Vec<&'a RedisServer>,
    connections: Vec<MultiplexedConnection>,
    system: System,
}

/// What a decision took, round by round.
#[derive(Debug, Default)]
struct Spent {
    rate: Series,
    worker_ns: Series,
    /// Of each node.
    nodes_ns: Vec<Series>,
    all_ns: Series,
    busiest_ns: Series,
    calls_per_mille: Series,
    lapses: Lapses,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let limits = Limits::DEFAULT;
    let single = RedisServer::process(&[]).await;
    let mut clusters = Vec::new();
    for masters in MASTERS {
        bench.step(0, &format!("starting masters: {masters}"));
        clusters.push(Cluster::start(masters, 0).await);
    }
    let alone = system::workers(&single.url, "cluster", limits, 1);
    let fleets: Vec<Fleet> = clusters
        .iter()
        .map(|cluster| system::workers_of_cluster(&cluster.urls(), "cluster", limits))
        .collect();

    let mut cases = vec![case("one server, no cluster", vec![&single], &alone).await?];
    for (cluster, fleet) in clusters.iter().zip(&fleets) {
        let nodes: Vec<_> = (0..cluster.primaries()).map(|place| cluster.node(place)).collect();
        let name = format!("cluster, masters: {}", nodes.len());
        cases.push(case(&name, nodes, fleet).await?);
    }
    let mut spent: Vec<Spent> = cases.iter().map(|_| Spent::default()).collect();
    for number in 0..bench.rounds() {
        for place in system::turns(number, cases.len()) {
            let case = &mut cases[place];
            bench.step(number, &case.system.name);
            for node in &case.nodes {
                system::empty(node).await?;
            }
            round(bench, case, &mut spent[place]).await?;
        }
    }
    section(bench, &cases, &spent)
}

async fn case<'a>(name: &str, nodes: Vec<&'a RedisServer>, fleet: &Fleet) -> Result<Case<'a>> {
    let mut connections = Vec::new();
    for node in &nodes {
        connections.push(connect(node).await?);
    }
    let traffic = Traffic::decide(CALM_KEYS);
    let system = System::of_workers(name, fleet, traffic, Limits::DEFAULT);
    Ok(Case { nodes, connections, system })
}

async fn round(bench: &mut Bench, case: &mut Case<'_>, spent: &mut Spent) -> Result<()> {
    for connection in &mut case.connections {
        calls::reset(connection).await?;
    }
    let pids: Option<Vec<u32>> = case.nodes.iter().map(|node| node.pid()).collect();
    let pids = pids.context("servers that run as processes")?;
    let times = |pids: &[u32]| pids.iter().map(|pid| cpu_ns(*pid)).collect::<Vec<_>>();
    let (nodes_before, worker_before) = (times(&pids), times(&case.system.pids));
    let tally = case.system.run(bench).await?;
    let (nodes_after, worker_after) = (times(&pids), times(&case.system.pids));
    case.system.judge(bench, &tally);

    let decisions = tally.all.max(1);
    let each = |after: &[Option<u64>], before: &[Option<u64>]| -> Result<Vec<u64>> {
        let took = after.iter().zip(before).map(|(after, before)| between(*before, *after));
        took.map(|ns| Ok(ns.context(CANNOT_BE_MEASURED)? / decisions)).collect()
    };
    let nodes_ns = each(&nodes_after, &nodes_before)?;
    spent.nodes_ns.resize_with(nodes_ns.len(), Series::default);
    for (series, ns) in spent.nodes_ns.iter_mut().zip(&nodes_ns) {
        series.push(*ns);
    }
    spent.all_ns.push(nodes_ns.iter().sum());
    spent.busiest_ns.push(nodes_ns.iter().copied().max().unwrap_or(0));
    spent.worker_ns.push(each(&worker_after, &worker_before)?.iter().sum());
    spent.rate.push(tally.rate());
    spent.lapses = spent.lapses.and(tally.lapses);
    let mut calls = 0;
    for connection in &mut case.connections {
        calls += calls::evalsha(connection).await?.map_or(0, |(calls, _)| calls);
    }
    spent.calls_per_mille.push(calls * 1_000 / decisions);
    Ok(())
}

fn section(bench: &Bench, cases: &[Case<'_>], spent: &[Spent]) -> Result<Section> {
    let mut section = Section::new("Redis Cluster");
    section.say(
        "`POST /v1/decide` on one worker, 100,000 identities, 64 connections in a closed loop. The \
         nodes share the cores of this machine with each other, the worker and the generator, so \
         the rate says nothing; the time of a core that a decision takes in each node does. *A \
         core for each* is how many decisions a second the busiest node allows where every node \
         has a core of its own: 1 / (its time for one decision of all). On a cluster each slot is \
         a call of its own, since a script may touch one slot only; one server takes many requests \
         in a call.",
    );
    let row = |(case, own): (&Case<'_>, &Spent)| {
        let capacity = |own: &Spent| 1_000_000_000 / own.busiest_ns.median().max(1);
        let against = PerMille(capacity(own) * 1_000 / capacity(&spent[0]).max(1));
        vec![
            own.lapses.behind(&case.system.name),
            micros(own.all_ns.median()),
            micros(own.busiest_ns.median()),
            grouped(capacity(own)),
            against.to_string(),
            PerMille(own.calls_per_mille.median()).to_string(),
            micros(own.worker_ns.median()),
            grouped(own.rate.median()),
        ]
    };
    let rows: Vec<_> = cases.iter().zip(spent).map(row).collect();
    let head = [
        "",
        "all nodes, µs a decision",
        "busiest node, µs a decision",
        "a core for each: decisions a second",
        "ratio",
        "calls a decision",
        "worker, µs a decision",
        "decisions a second here",
    ];
    section.table(&head, &rows);
    let bars: Vec<_> = cases
        .iter()
        .zip(spent)
        .map(|(case, own)| Bar {
            name: case.system.name.clone(),
            parts: own.nodes_ns.iter().map(Series::median).collect(),
            shown: micros(own.all_ns.median()),
        })
        .collect();
    let title = "Time of a core for a decision in each node, µs";
    plot::stacked(&bench.plots.join("cluster.svg"), title, &["node 1", "node 2", "node 3"], &bars)?;
    section.plot("cluster.svg", title);
    Ok(section)
}
