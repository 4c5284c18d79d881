//! Limiters in memory: in process, for a decision, and behind the same handler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::FutureExt as _;
use transom_core::{Cost, Identity, Limiter as _, Limits, Policy, PolicyName, Request};
use transom_local::LocalLimiter;
use transom_tests::RedisServer;

use super::system::{self, HEAD, System};
use crate::args::Kind;
use crate::bench::Bench;
use crate::load::{KEYS, Traffic, user};
use crate::plot;
use crate::process::Handler;
use crate::report::Section;
use crate::serve::{Governor, LimitadorMemory};
use crate::stats::{Series, grouped};

/// Threads that decide at once.
const THREADS: [usize; 2] = [1, 2];

/// Whether one request of a caller passes, given the caller's text as a handler has it.
type Check = Box<dyn Fn(&str) -> Result<bool> + Send + Sync>;

/// A limiter that has seen nobody yet.
type Make = fn() -> Result<Check>;

const LIMITERS: [(&str, Make); 3] =
    [("transom-local", local), ("governor", governor), ("limitador, in memory", limitador)];

fn local() -> Result<Check> {
    let limiter = LocalLimiter::new(1_000_000);
    let policy = Arc::new(Policy::new(PolicyName::default(), Limits::DEFAULT));
    Ok(Box::new(move |caller| {
        let request = Request::new(Identity::user(caller)?, Arc::clone(&policy), Cost::ONE);
        let decided = limiter.admit(&request).now_or_never();
        let Some(decision) = decided.transpose()? else { anyhow::bail!("no decision at once") };
        Ok(decision.allowed)
    }))
}

fn governor() -> Result<Check> {
    let limiter = Governor::new(Limits::DEFAULT)?;
    Ok(Box::new(move |caller| Ok(limiter.check(caller))))
}

fn limitador() -> Result<Check> {
    let limiter = LimitadorMemory::new(Limits::DEFAULT);
    Ok(Box::new(move |caller| limiter.check(caller)))
}

/// Callers, and how often each of them asks.
struct Work {
    name: &'static str,
    callers: Vec<String>,
    times: u32,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new("In memory");
    section.say(
        "In process, on 60 a minute and 2 a second, from the caller's id as text to allowed or \
         not. *governor* has one limiter for each window, whose cells drain at a constant rate; \
         *limitador* counts in fixed windows; *transom-local* keeps a log, and is exact at any \
         moment. The ratio is to governor.",
    );
    let callers = |number: u32| (0..number).map(user).collect();
    let works = [
        Work {
            name: "first request of each caller",
            callers: callers(bench.either(500_000, 5_000)),
            times: 1,
        },
        Work {
            name: "20,000 callers, nearly all denied",
            callers: callers(KEYS),
            times: bench.either(50, 2),
        },
    ];
    for work in &works {
        for threads in THREADS {
            in_process(bench, &mut section, work, threads)?;
        }
    }
    behind_a_handler(bench, &mut section).await?;
    Ok(section)
}

fn in_process(bench: &Bench, section: &mut Section, work: &Work, threads: usize) -> Result<()> {
    let mut reached: Vec<Series> = LIMITERS.iter().map(|_| Series::default()).collect();
    for number in 0..bench.rounds() {
        for ((name, make), reached) in LIMITERS.iter().zip(&mut reached) {
            bench.step(number, &format!("{name}, {}, {threads} threads", work.name));
            let elapsed_ns = u64::try_from(run(&*make()?, work, threads)?.as_nanos())?;
            let calls = u64::try_from(work.callers.len())? * u64::from(work.times);
            reached.push(calls * 1_000_000 / (elapsed_ns / 1_000).max(1));
        }
    }
    let row = |((name, _), own): (&(&str, _), &Series)| {
        vec![
            (*name).to_owned(),
            grouped(own.median()),
            (threads as u64 * 1_000_000_000 / own.median().max(1)).to_string(),
            own.against(&reached[1]).to_string(),
        ]
    };
    let rows: Vec<_> = LIMITERS.iter().zip(&reached).map(row).collect();
    let of = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let title = format!("{}, {of}", work.name);
    section.table(&[&title, "decisions a second", "ns a decision", "ratio"], &rows);
    Ok(())
}

/// Every caller as often as it asks; the threads share the callers.
fn run(
    check: &(dyn Fn(&str) -> Result<bool> + Send + Sync),
    work: &Work,
    threads: usize,
) -> Result<Duration> {
    let started = Instant::now();
    let shares = work.callers.chunks(work.callers.len().div_ceil(threads));
    std::thread::scope(|scope| {
        let deciding: Vec<_> = shares
            .map(|share| {
                scope.spawn(move || {
                    let mut admitted = 0_usize;
                    for _ in 0..work.times {
                        for caller in share {
                            admitted += usize::from(check(caller)?);
                        }
                    }
                    ensure!(admitted >= share.len(), "a first request was denied");
                    Ok(())
                })
            })
            .collect();
        for thread in deciding {
            thread.join().map_err(|_| anyhow::anyhow!("a thread has ended badly"))??;
        }
        Ok(started.elapsed())
    })
}

async fn behind_a_handler(bench: &mut Bench, section: &mut Section) -> Result<()> {
    // Nobody asks it; what a round costs Redis is 0.
    let redis = RedisServer::process(&[]).await;
    let handler = |kind| Handler::start(kind, &redis.url, Limits::DEFAULT);
    let kinds = [Kind::Noop, Kind::Governor, Kind::LimitadorMemory];
    let handlers = [handler(kinds[0])?, handler(kinds[1])?, handler(kinds[2])?];
    let worker = system::workers("", "memory", Limits::DEFAULT, 1);
    let traffic = Traffic::decide(KEYS);
    let mut systems: Vec<_> = handlers
        .iter()
        .zip(kinds)
        .map(|(handler, kind)| System::of_handler(handler, kind, traffic.clone()))
        .collect();
    let own = System::of_workers("transom, in process", &worker, traffic);
    systems.push(own.held_to(bench, Limits::DEFAULT));
    let reached = system::rounds(bench, &redis, &systems).await?;
    section.say(
        "Behind the same handler and the same load as above (20,000 identities, 64 connections in a \
         closed loop); *transom* is a worker without Redis. The ratio is to noop.",
    );
    let rows = systems.iter().zip(&reached);
    let rows: Vec<_> =
        rows.map(|(system, own)| system::row(&system.name, own, &reached[0])).collect();
    section.table(&HEAD, &rows);
    let title = "Limiters in memory: answers a second against a no-op handler";
    plot::bars(&bench.plots.join("memory.svg"), title, &system::ratio_bars(&systems, &reached, 0))?;
    section.plot("memory.svg", title);
    Ok(())
}
