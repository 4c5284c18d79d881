//! Latency at constant rates, from the time at which a request was due.

#![expect(clippy::float_arithmetic, reason = "places on a drawing, not limits or times")]

mod asked;
mod cores;

use anyhow::Result;
use transom_core::Limits;
use transom_tests::RedisServer;

use self::asked::Asked;
use self::cores::Cores;
use super::fill::{Fill, fill};
use super::system::{self, Reached, System};
use crate::args::Kind;
use crate::bench::Bench;
use crate::load::{CALM_KEYS, Traffic};
use crate::must::Figure;
use crate::plot::{self, Axes, Line, place};
use crate::process::{Handler, Program};
use crate::report::Section;
use crate::stats::{Series, grouped, millis, ratio};

/// Rates, in hundredths of the rate at which `decide` is saturated.
const RATES: [u64; 4] = [25, 50, 75, 90];
const HALF: u64 = 50;
/// Drawn and told of.
const QUANTILES: [f64; 7] = [0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0];
/// The place of p99 in them.
const P99: usize = 3;
/// One request in so many is slower than a quantile, by its place; the last one is the worst.
const ONE_IN: [f64; QUANTILES.len() - 1] = [2.0, 4.0, 10.0, 100.0, 1_000.0, 10_000.0];

/// Keys of the workers of this part.
const PREFIX: &str = "latency";
/// What is compared: noop, ping, decide, and decide of callers that Redis knows.
const SYSTEMS: usize = 4;
/// The name of the last one.
const KNOWN: &str = "decide, known";
/// The places of those that are compared at half of their own saturation.
const PING: usize = 1;
const DECIDE: usize = 2;

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let limits = Limits::DEFAULT;
    let (redis, known) = (RedisServer::process(&[]).await, RedisServer::process(&[]).await);
    let noop = Handler::start(Program::Own(Kind::Noop), &redis.url, limits)?;
    let ping = Handler::start(Program::Own(Kind::Ping), &redis.url, limits)?;
    let worker = system::workers(&redis.url, PREFIX, limits, 1);
    let of_known = system::workers(&known.url, PREFIX, limits, 1);
    let traffic = Traffic::decide(CALM_KEYS);
    let asked = |system, redis, emptied| Asked { system, redis, emptied };
    let systems = [
        asked(System::of_handler(&noop, traffic.clone()), &redis, true),
        asked(System::of_handler(&ping, traffic.clone()), &redis, true),
        asked(System::of_workers("decide", &worker, traffic.clone(), limits), &redis, true),
        asked(System::of_workers(KNOWN, &of_known, traffic, limits), &known, false),
    ];
    fill(&known, PREFIX, Fill { identities: CALM_KEYS, units: 1 }).await?;
    let latencies = Latencies::measure(bench, &systems).await?;

    let mut section = Section::new("Latency at a constant rate");
    section.say(&format!(
        "Every request has a time at which it is due, and its latency counts from then, whether or \
         not a connection was free: a stall is charged for all that it held up. `decide` saturates \
         at {} a second in this run (100,000 identities, 64 connections, closed loop, median); each \
         round finds that rate anew and asks for parts of it. Milliseconds, each the median of the \
         rounds' own; a request that failed counts with the time after which it did. The generator \
         lets requests go in steps of 0.25 ms and a little, those that are due: the wait for that \
         is in all of these, and at a high rate several come at once. The callers of `{KNOWN}` are \
         in a Redis of its own, which is never emptied and has grown to what it needs. The last row \
         is at half of the rate at which *ping* is saturated itself.",
        grouped(latencies.saturated.rate.median())
    ));
    latencies.table(&mut section);
    draw_curves(bench, &mut section, &latencies.cells)?;
    latencies.compare(bench, &mut section)?;
    section.say(
        "What makes the tail: a thread that could run while others are on all cores waits, so that \
         *ping* has a tail as well where it keeps them as busy, see the last row. A Redis that was \
         emptied grows: it takes memory that it has not touched before, and moves its keys to a \
         larger table, in steps of a millisecond in which nobody is answered. Below saturation fewer \
         requests share a call of the script, and fewer a wake-up of the worker, so that each takes \
         more of the cores. Time of a core and time of waiting for one are for an answer, over all \
         threads of a process.",
    );
    latencies.table_of_cores(&mut section);
    Ok(section)
}

/// All that is measured.
#[derive(Default)]
struct Latencies {
    /// [`DECIDE`].
    saturated: Reached,
    /// At parts of what saturates [`DECIDE`].
    cells: [[Cell; SYSTEMS]; RATES.len()],
    /// [`PING`] at half of what saturates it.
    ping: Cell,
}

impl Latencies {
    async fn measure(bench: &mut Bench, systems: &[Asked<'_>; SYSTEMS]) -> Result<Self> {
        let mut all = Self::default();
        // Redis grows to what it needs under load.
        let [.., known] = systems;
        known.saturate(bench, &mut Reached::default(), 0).await?;
        for number in 0..bench.rounds() {
            // In each round anew, since the machine may be faster or slower then.
            let own = systems[PING].saturate(bench, &mut Reached::default(), number).await?;
            all.ping.round(bench, &systems[PING], part_of(own, HALF), number).await?;
            let saturation = systems[DECIDE].saturate(bench, &mut all.saturated, number).await?;
            for (hundredths, cells) in RATES.into_iter().zip(&mut all.cells) {
                let rate = part_of(saturation, hundredths);
                for place in system::turns(number, SYSTEMS) {
                    cells[place].round(bench, &systems[place], rate, number).await?;
                }
            }
        }
        Ok(all)
    }

    /// All cells, each with its name.
    fn named(&self) -> impl Iterator<Item = (String, &Cell)> {
        let cells = each(&self.cells).map(|(part, cell)| (format!("{part} %"), cell));
        cells.chain([("half of its own".to_owned(), &self.ping)]).map(|(part, cell)| {
            (format!("{}, {part} ({})", cell.system, grouped(cell.rate.median())), cell)
        })
    }

    fn table(&self, section: &mut Section) {
        let head = [
            "rate, part of saturation",
            "p50",
            "p75",
            "p90",
            "p99",
            "p99, lowest to highest round",
            "p99.9",
            "p99.99",
            "worst",
        ];
        let rows: Vec<_> = self.named().map(|(name, cell)| cell.row(&name)).collect();
        section.table(&head, &rows);
    }

    fn table_of_cores(&self, section: &mut Section) {
        let rows = self.named().map(|(name, cell)| cell.cores.row(name, &cell.reached));
        section.table(&cores::HEAD, &rows.collect::<Vec<_>>());
    }

    /// The tails at half of the saturation rate.
    fn compare(&self, bench: &mut Bench, section: &mut Section) -> Result<()> {
        let half = RATES.into_iter().zip(&self.cells).find(|(rate, _)| *rate == HALF);
        let Some((_, half)) = half else { return Ok(()) };
        let (ping, decide) = (&half[PING], &half[DECIDE]);
        let lapses = decide.reached.lapses.or_worse(ping.reached.lapses);
        let against = |base: &Cell| decide.latency_ns[P99].ratios(&base.latency_ns[P99]);
        section.say(&format!(
            "At half of the saturation rate the p99 of *decide* was that of *ping* in the same \
             round, times {}; and that of *ping* at half of its own, times {}.",
            against(ping).each(ratio),
            against(&self.ping).each(ratio),
        ));
        bench.findings.ratio(Figure::TailLatency, Some(against(ping)), lapses);
        draw_spread(bench, section, half)
    }
}

/// So many hundredths of a rate.
fn part_of(rate: u64, hundredths: u64) -> u64 {
    (rate * hundredths / 100).max(1)
}

/// One system at one part of the saturation rate, round by round.
#[derive(Debug, Default)]
struct Cell {
    system: String,
    rate: Series,
    reached: Reached,
    cores: Cores,
    /// Of each round its own, in the order of [`QUANTILES`].
    latency_ns: [Series; QUANTILES.len()],
}

impl Cell {
    async fn round(
        &mut self,
        bench: &mut Bench,
        asked: &Asked<'_>,
        rate: u64,
        number: usize,
    ) -> Result<()> {
        let (system, redis) = (asked.system.clone().at(rate), asked.turn().await?);
        bench.step(number, &format!("{} at {}", system.name, system.pace));
        let tally = self.cores.round(bench, redis, &system, &mut self.reached).await?;
        self.rate.push(rate);
        for (quantile, latency_ns) in QUANTILES.into_iter().zip(&mut self.latency_ns) {
            latency_ns.push(tally.quantile_ns(quantile));
        }
        self.system = system.name;
        Ok(())
    }

    /// The median of a quantile in ms, by its place.
    fn at(&self, place: usize) -> f64 {
        milliseconds(self.latency_ns[place].median())
    }

    fn row(&self, name: &str) -> Vec<String> {
        let mut row = vec![self.reached.lapses.behind(name)];
        row.extend(self.latency_ns.iter().map(|rounds| rounds.shown(millis)));
        row.insert(P99 + 2, self.latency_ns[P99].shown_range(millis));
        row
    }
}

/// Nanoseconds as milliseconds on a drawing.
fn milliseconds(ns: u64) -> f64 {
    place(ns / 1_000) / 1_000.0
}

/// All cells, with their parts of the saturation rate.
fn each(cells: &[[Cell; SYSTEMS]]) -> impl Iterator<Item = (u64, &Cell)> {
    RATES
        .into_iter()
        .zip(cells)
        .flat_map(|(rate, cells)| cells.iter().map(move |cell| (rate, cell)))
}

fn draw_curves(bench: &Bench, section: &mut Section, cells: &[[Cell; SYSTEMS]]) -> Result<()> {
    let mut lines: Vec<Line> = Vec::new();
    for (hundredths, cell) in each(cells) {
        let (point, range) = (cell.at(P99), cell.latency_ns[P99].range());
        let point = (place(hundredths), point);
        let range = (milliseconds(range.0), milliseconds(range.1));
        if let Some(line) = lines.iter_mut().find(|line| line.name == cell.system) {
            line.points.push(point);
            line.ranges.push(range);
        } else {
            let (points, ranges) = (vec![point], vec![range]);
            lines.push(Line { name: cell.system.clone(), points, ranges });
        }
    }
    let title = "p99 against the rate";
    let axes = Axes {
        title,
        x: "rate, % of what saturates decide",
        y: "p99, ms",
        log_x: false,
        log_y: true,
    };
    plot::lines(&bench.plots.join("latency-by-rate.svg"), axes, &lines)?;
    section.plot("latency-by-rate.svg", title);
    Ok(())
}

fn draw_spread(bench: &Bench, section: &mut Section, cells: &[Cell]) -> Result<()> {
    let line = |cell: &Cell| {
        let points = ONE_IN.into_iter().enumerate();
        let points = points.map(|(place, one_in)| (one_in, cell.at(place))).collect();
        Line { name: cell.system.clone(), points, ranges: vec![] }
    };
    let lines: Vec<Line> = cells.iter().map(line).collect();
    let title = "Latency at half of the saturation rate";
    let axes = Axes {
        title,
        x: "one request in so many is slower",
        y: "latency, ms",
        log_x: true,
        log_y: true,
    };
    plot::lines(&bench.plots.join("latency-half.svg"), axes, &lines)?;
    section.plot("latency-half.svg", title);
    Ok(())
}
