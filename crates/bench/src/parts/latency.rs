//! Latency at constant rates, from the time at which a request was due.

use anyhow::Result;
use hdrhistogram::Histogram;
use transom_core::Limits;
use transom_tests::RedisServer;

use super::system::{self, Reached, System};
use crate::args::Kind;
use crate::bench::Bench;
use crate::load::{CALM_KEYS, Traffic};
use crate::must::Figure;
use crate::plot::{self, Axes, Line, place};
use crate::process::{Handler, Program};
use crate::report::Section;
use crate::stats::{grouped, millis};

/// Rates, in hundredths of the rate at which `decide` is saturated.
const RATES: [u64; 4] = [25, 50, 75, 90];
const HALF: u64 = 50;
/// Drawn and told of.
const QUANTILES: [f64; 7] = [0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0];

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let (redis, limits) = (RedisServer::process(&[]).await, Limits::DEFAULT);
    let noop = Handler::start(Program::Own(Kind::Noop), &redis.url, limits)?;
    let ping = Handler::start(Program::Own(Kind::Ping), &redis.url, limits)?;
    let worker = system::workers(&redis.url, "latency", limits, 1);
    let traffic = Traffic::decide(CALM_KEYS);
    let all = || {
        [
            System::of_handler(&noop, traffic.clone()),
            System::of_handler(&ping, traffic.clone()),
            System::of_workers("decide", &worker, traffic.clone(), limits),
        ]
    };
    let saturated = system::rounds(bench, &redis, &all()[2..]).await?;
    let saturation = saturated[0].rate.median();

    let mut section = Section::new("Latency at a constant rate");
    section.say(&format!(
        "Every request has a time at which it is due, and its latency counts from then, whether or \
         not a connection was free: a stall is charged for all that it held up. `decide` saturates \
         at {} a second in this run (100,000 identities, 64 connections, closed loop, median). Milliseconds, all \
         rounds together; a request that failed counts with the time after which it did. The generator wakes up by a timer of about 0.1 ms, which is in all of \
         these.",
        grouped(saturation)
    ));
    let (mut rows, mut curves, mut spread) = (Vec::new(), Vec::new(), Vec::new());
    for hundredths in RATES {
        let rate = (saturation * hundredths / 100).max(1);
        let systems = all().map(|system| system.at(rate));
        let (reached, latencies) = rounds(bench, &redis, &systems).await?;
        for (own, system) in reached.iter().zip(&systems) {
            curves.push((system.name.clone(), hundredths, own.p99_ns.median()));
        }
        for ((latency, own), system) in latencies.iter().zip(&reached).zip(&systems) {
            let name = format!("{}, {hundredths} % ({})", system.name, grouped(rate));
            let at = |quantile: &f64| millis(latency.value_at_quantile(*quantile));
            rows.push(
                [own.lapses.behind(&name)].into_iter().chain(QUANTILES.iter().map(at)).collect(),
            );
        }
        if hundredths == HALF {
            let ratio = reached[2].p99_ns.against(&reached[1].p99_ns);
            let lapses = reached[2].lapses.or_worse(reached[1].lapses);
            bench.findings.ratio(Figure::TailLatency, Some(ratio), lapses);
            spread = latencies;
        }
    }
    let head = ["rate, part of saturation", "p50", "p75", "p90", "p99", "p99.9", "p99.99", "worst"];
    section.table(&head, &rows);
    draw_curves(bench, &mut section, &curves)?;
    draw_spread(bench, &mut section, &spread, &all())?;
    Ok(section)
}

/// All rounds, and the latencies of all of them together.
async fn rounds(
    bench: &mut Bench,
    redis: &RedisServer,
    systems: &[System],
) -> Result<(Vec<Reached>, Vec<Histogram<u64>>)> {
    let mut reached: Vec<Reached> = systems.iter().map(|_| Reached::default()).collect();
    let mut latencies: Vec<Option<Histogram<u64>>> = systems.iter().map(|_| None).collect();
    for number in 0..bench.rounds() {
        for (place, system) in systems.iter().enumerate() {
            bench.step(number, &format!("{} at {}", system.name, system.pace));
            let tally = system::round(bench, redis, system, &mut reached[place]).await?;
            match &mut latencies[place] {
                Some(all) => all.add(&tally.latency_ns)?,
                none => *none = Some(tally.latency_ns),
            }
        }
    }
    Ok((reached, latencies.into_iter().flatten().collect()))
}

fn draw_curves(bench: &Bench, section: &mut Section, curves: &[(String, u64, u64)]) -> Result<()> {
    let mut lines: Vec<Line> = Vec::new();
    for (name, hundredths, p99_ns) in curves {
        let point = (place(*hundredths), place(p99_ns / 1_000));
        match lines.iter_mut().find(|line| line.name == *name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: name.clone(), points: vec![point] }),
        }
    }
    let title = "p99 against the rate";
    let axes = Axes {
        title,
        x: "rate, % of what saturates decide",
        y: "p99, µs",
        marks: &[],
        log_x: false,
        log_y: true,
    };
    plot::lines(&bench.plots.join("latency-by-rate.svg"), axes, &lines)?;
    section.plot("latency-by-rate.svg", title);
    Ok(())
}

fn draw_spread(
    bench: &Bench,
    section: &mut Section,
    latencies: &[Histogram<u64>],
    systems: &[System],
) -> Result<()> {
    /// One in so many is slower, and the quantile that this is.
    const POINTS: [(f64, f64); 7] = [
        (2.0, 0.5),
        (4.0, 0.75),
        (10.0, 0.9),
        (30.0, 0.966_667),
        (100.0, 0.99),
        (1_000.0, 0.999),
        (10_000.0, 0.9999),
    ];
    let line = |(latency, system): (&Histogram<u64>, &System)| {
        let point =
            |(one_in, quantile)| (one_in, place(latency.value_at_quantile(quantile) / 1_000));
        Line { name: system.name.clone(), points: POINTS.map(point).to_vec() }
    };
    let lines: Vec<Line> = latencies.iter().zip(systems).map(line).collect();
    let title = "Latency at half of the saturation rate";
    let axes = Axes {
        title,
        x: "one request in so many is slower",
        y: "latency, µs",
        marks: &[],
        log_x: true,
        log_y: true,
    };
    plot::lines(&bench.plots.join("latency-half.svg"), axes, &lines)?;
    section.plot("latency-half.svg", title);
    Ok(())
}
