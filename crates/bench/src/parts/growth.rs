//! How a worker's rate changes with what there is more of.

#![expect(clippy::float_arithmetic, reason = "places on a drawing, not limits or times")]

mod commands;

use anyhow::Result;
use transom_core::Limits;
use transom_tests::RedisServer;
use transom_tests::fleet::Fleet;

use super::fill::{Fill, fill};
use super::system::{self, Reached, System};
use crate::args::Kind;
use crate::bench::Bench;
use crate::load::{CALM_KEYS, Callers, Face, Traffic};
use crate::must::Figure;
use crate::plot::{self, Axes, Line, place};
use crate::process::{Handler, Program};
use crate::report::Section;
use crate::stats::grouped;

/// A limit that nobody reaches.
const AMPLE: Limits = Limits { minute: 100_000, second: 100_000 };
/// Units in all windows together where limits are compared: what 8,000 requests a second leave.
const UNITS: u32 = 480_000;
/// The prefix of the keys of every worker here.
const PREFIX: &str = "growth";

/// One point of a curve.
struct Case {
    x: u64,
    system: System,
    /// What Redis holds when the round begins.
    fill: Fill,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let redis = RedisServer::process(&[]).await;
    let mut section = Section::new("Growth");
    section.say(
        "`POST /v1/decide`, one worker, 100,000 identities, so that hardly any is denied, and 64 \
         connections in a closed loop, unless said otherwise. Each ratio is to the first row.",
    );
    keys(bench, &redis, &mut section).await?;
    limits(bench, &redis, &mut section).await?;
    workers(bench, &redis, &mut section).await?;
    connections(bench, &redis, &mut section).await?;
    denials(bench, &redis, &mut section).await?;
    hot_key(bench, &redis, &mut section).await?;
    Ok(section)
}

async fn keys(bench: &mut Bench, redis: &RedisServer, section: &mut Section) -> Result<()> {
    let worker = system::workers(&redis.url, PREFIX, AMPLE, 1);
    let counts: &[u32] = bench.either(&[1_000, 10_000, 100_000, 1_000_000], &[1_000, 10_000]);
    let case = |keys: &u32| Case {
        x: u64::from(*keys),
        system: decide(&format!("{} keys", grouped(u64::from(*keys))), &worker, *keys, AMPLE),
        fill: Fill { identities: *keys, units: 1 },
    };
    let cases: Vec<_> = counts.iter().map(case).collect();
    let reached = sweep(bench, redis, &cases).await?;
    if let [first, .., last] = &reached[..] {
        last.find(bench, Figure::ManyKeys, first);
    }
    section.say(
        "**Keys.** Each identity is in Redis before a round begins; all are admitted. The fewer \
         there are, the more units their windows hold at the end of a round: some sixty with a \
         thousand keys, one or two with a million. So the first row decides on fuller windows; \
         the last but one is as empty as the last.",
    );
    show(bench, section, &cases, &reached, "keys", "identities")?;
    commands::measure(bench, redis, section, &cases).await
}

async fn limits(bench: &mut Bench, redis: &RedisServer, section: &mut Section) -> Result<()> {
    let limits: &[u32] = bench.either(&[10, 60, 600, 1_000, 6_000, 10_000], &[10, 60, 600]);
    let of = |minute: &u32| Limits { minute: *minute, second: *minute };
    let workers: Vec<Fleet> =
        limits.iter().map(|minute| system::workers(&redis.url, PREFIX, of(minute), 1)).collect();
    let case = |(minute, worker): (&u32, &Fleet)| {
        let identities = 2 * UNITS / minute;
        let name = format!("{} a minute", grouped(u64::from(*minute)));
        Case {
            x: u64::from(*minute),
            system: decide(&name, worker, identities, of(minute)),
            fill: Fill { identities, units: minute / 2 },
        }
    };
    let cases: Vec<_> = limits.iter().zip(&workers).map(case).collect();
    let reached = sweep(bench, redis, &cases).await?;
    let place_of = |limit: u32| limits.iter().position(|minute| *minute == limit);
    if let (Some(long), Some(short)) = (place_of(6_000), place_of(60)) {
        reached[long].find(bench, Figure::LongWindows, &reached[short]);
    }
    section.say(
        "**Limits.** Each window holds half of its limit before a round begins, evenly spread over \
         the minute. There are fewer identities the higher the limit, so that all windows together \
         hold as many units, of which 8,000 leave in a second. As many a second as a minute.",
    );
    show(bench, section, &cases, &reached, "limits", "limit a minute")
}

async fn workers(bench: &mut Bench, redis: &RedisServer, section: &mut Section) -> Result<()> {
    let counts = [1, 2, 4];
    let fleets = counts.map(|count| system::workers(&redis.url, PREFIX, Limits::DEFAULT, count));
    let case = |(count, fleet): (usize, &Fleet)| Case {
        x: count as u64,
        system: decide(&format!("workers: {count}"), fleet, CALM_KEYS, Limits::DEFAULT),
        fill: Fill::NOTHING,
    };
    let cases: Vec<_> = counts.into_iter().zip(&fleets).map(case).collect();
    let reached = sweep(bench, redis, &cases).await?;
    section.say("**Workers**, on the cores that they share with Redis and the generator.");
    show(bench, section, &cases, &reached, "workers", "workers")
}

async fn connections(bench: &mut Bench, redis: &RedisServer, section: &mut Section) -> Result<()> {
    let worker = system::workers(&redis.url, PREFIX, Limits::DEFAULT, 1);
    let counts: &[usize] = bench.either(&[8, 16, 64, 256, 1_024], &[8, 64]);
    let case = |count: &usize| Case {
        x: *count as u64,
        system: decide(
            &format!("{} connections", grouped(*count as u64)),
            &worker,
            CALM_KEYS,
            Limits::DEFAULT,
        )
        .over(*count),
        fill: Fill::NOTHING,
    };
    let cases: Vec<_> = counts.iter().map(case).collect();
    let reached = sweep(bench, redis, &cases).await?;
    section.say("**Connections** of clients: what waits together goes to Redis together.");
    show(bench, section, &cases, &reached, "connections", "connections")
}

async fn denials(bench: &mut Bench, redis: &RedisServer, section: &mut Section) -> Result<()> {
    let worker = system::workers(&redis.url, PREFIX, AMPLE, 1);
    let shares: &[u32] = bench.either(&[0, 250, 500, 750, 900, 990], &[0, 990]);
    let case = |per_mille: &u32| {
        let callers = Callers::PartlySpent(*per_mille);
        let traffic = Traffic { face: Face::Decide, callers };
        let name = format!("{} % denied", per_mille / 10);
        Case {
            x: u64::from(*per_mille / 10),
            system: System::of_workers(&name, &worker, traffic, AMPLE),
            fill: Fill::NOTHING,
        }
    };
    let cases: Vec<_> = shares.iter().map(case).collect();
    let reached = sweep(bench, redis, &cases).await?;
    section.say("**Denials.** A hundred identities have used up what they may and are denied; 20,000 are not.");
    show(bench, section, &cases, &reached, "denials", "% denied")
}

async fn hot_key(bench: &mut Bench, redis: &RedisServer, section: &mut Section) -> Result<()> {
    let worker = system::workers(&redis.url, PREFIX, Limits::DEFAULT, 1);
    let noop = Handler::start(Program::Own(Kind::Noop), &redis.url, Limits::DEFAULT)?;
    let hot = decide("one key", &worker, 1, Limits::DEFAULT);
    let cases = [
        Case { x: 0, system: System::of_handler(&noop, Traffic::decide(1)), fill: Fill::NOTHING },
        Case { x: 1, system: hot, fill: Fill::NOTHING },
    ];
    let reached = sweep(bench, redis, &cases).await?;
    reached[1].find(bench, Figure::HotKey, &reached[0]);
    section.say("**One hot key**, 60 a minute and 2 a second, against the no-op handler.");
    table(section, &cases, &reached);
    Ok(())
}

fn decide(name: &str, fleet: &Fleet, callers: u32, limits: Limits) -> System {
    System::of_workers(name, fleet, Traffic::decide(callers), limits)
}

/// All rounds, each on a Redis that holds what its case says and nothing else.
async fn sweep(bench: &mut Bench, redis: &RedisServer, cases: &[Case]) -> Result<Vec<Reached>> {
    let mut reached: Vec<Reached> = cases.iter().map(|_| Reached::default()).collect();
    for number in 0..bench.rounds() {
        for place in system::turns(number, cases.len()) {
            let case = &cases[place];
            bench.step(number, &case.system.name);
            fill(redis, PREFIX, case.fill).await?;
            system::round(bench, redis, &case.system, &mut reached[place]).await?;
        }
    }
    Ok(reached)
}

fn table(section: &mut Section, cases: &[Case], reached: &[Reached]) {
    let names = cases.iter().map(|case| &*case.system.name);
    system::table(section, names, reached, 0);
}

fn show(
    bench: &Bench,
    section: &mut Section,
    cases: &[Case],
    reached: &[Reached],
    name: &str,
    x: &str,
) -> Result<()> {
    table(section, cases, reached);
    let percent = |per_mille: u64| place(per_mille) / 10.0;
    let (mut points, mut ranges) = (Vec::new(), Vec::new());
    for (case, own) in cases.iter().zip(reached) {
        let rounds = own.rate.ratios(&reached[0].rate);
        let (lowest, highest) = rounds.range();
        points.push((place(case.x), percent(rounds.median())));
        ranges.push((percent(lowest), percent(highest)));
    }
    let title = format!("Decisions a second by {x}, first = 100");
    // By factors, where that is how the cases grow.
    let log_x = cases.iter().all(|case| case.x > 0);
    let axes = Axes { title: &title, x, y: "% of the first", log_x, log_y: false };
    let file = format!("growth-{name}.svg");
    plot::lines(&bench.plots.join(&file), axes, &[Line { name: name.to_owned(), points, ranges }])?;
    section.plot(&file, &title);
    Ok(())
}
