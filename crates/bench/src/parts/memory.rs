//! Limiters in memory: in process, for a decision, and behind the same handler.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use futures_util::FutureExt as _;
use transom_core::{Cost, Identity, Limiter as _, Limits, Policy, PolicyName, Request};
use transom_local::LocalLimiter;
use transom_tests::RedisServer;

use super::system::{self, System};
use crate::args::Kind;
use crate::bench::Bench;
use crate::load::{KEYS, Traffic};
use crate::peer;
use crate::plot;
use crate::process::{Handler, Program};
use crate::report::Section;
use crate::serve::Governor;
use crate::stats::{Series, grouped};
use crate::timed::{self, Check, Ran, user};

/// How long callers ask who have asked before: less than the second after which a window of
/// limitador's begins anew, and admits.
const LASTS: Duration = Duration::from_millis(900);
/// Threads that decide at once.
const THREADS: [usize; 2] = [1, 2];

/// What a limiter that has seen nobody yet decides.
type Take = fn(&Work, usize) -> Result<Ran>;

const LIMITERS: [(&str, Take); 3] =
    [("transom-local", local), ("governor", governor), (LIMITADOR, limitador)];
/// The one that is a program of its own.
const LIMITADOR: &str = "limitador, in memory";

fn local(work: &Work, threads: usize) -> Result<Ran> {
    let limiter = LocalLimiter::new(1_000_000);
    let policy = Arc::new(Policy::new(PolicyName::default(), Limits::DEFAULT));
    let check: Check = Box::new(move |caller| {
        let request = Request::new(Identity::user(caller)?, Arc::clone(&policy), Cost::ONE);
        let decided = limiter.admit(&request).now_or_never();
        let Some(decision) = decided.transpose()? else { anyhow::bail!("no decision at once") };
        Ok(decision.allowed)
    });
    timed::run(&check, &work.callers, work.lasts, threads)
}

fn governor(work: &Work, threads: usize) -> Result<Ran> {
    let limiter = Governor::new(Limits::DEFAULT)?;
    let check: Check = Box::new(move |caller| Ok(limiter.check(caller)));
    timed::run(&check, &work.callers, work.lasts, threads)
}

fn limitador(work: &Work, threads: usize) -> Result<Ran> {
    peer::time(work.callers.len(), work.lasts, threads)
}

/// Callers, and how long they ask after each has asked once; zero: that first time counts.
struct Work {
    name: &'static str,
    callers: Vec<String>,
    lasts: Duration,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new("In memory");
    section.say(
        "In process, on 60 a minute and 2 a second, from the caller's id as text to allowed or \
         not. *governor* has one limiter for each window, whose cells drain at a constant rate; \
         *limitador* 0.14 counts in fixed windows; *transom-local* keeps a log, and is exact at any \
         moment. The ratio is to governor. Where nearly all are denied each caller has asked once \
         before, and then all of them go on for 0.9 s: the slower a limiter, the less often it is asked \
         by each, and the larger the part that it admits.",
    );
    let callers = |number: u32| (0..number).map(user).collect();
    let works = [
        Work {
            name: "first request of each caller",
            callers: callers(bench.either(200_000, 5_000)),
            lasts: Duration::ZERO,
        },
        Work {
            name: "20,000 callers, nearly all denied",
            callers: callers(KEYS),
            lasts: bench.either(LASTS, LASTS / 10),
        },
    ];
    let limiters = match peer::binary() {
        Ok(_) => &LIMITERS[..],
        Err(reason) => {
            section.not_measured(LIMITADOR, reason);
            &LIMITERS[..2]
        }
    };
    for work in &works {
        for threads in THREADS {
            in_process(bench, &mut section, limiters, work, threads)?;
        }
    }
    behind_a_handler(bench, &mut section).await?;
    Ok(section)
}

/// What a limiter decided, round by round.
#[derive(Debug, Default)]
struct Decided {
    rate: Series,
    denied: Series,
}

fn in_process(
    bench: &Bench,
    section: &mut Section,
    limiters: &[(&str, Take)],
    work: &Work,
    threads: usize,
) -> Result<()> {
    let mut reached: Vec<Decided> = limiters.iter().map(|_| Decided::default()).collect();
    for number in 0..bench.rounds() {
        for place in system::turns(number, limiters.len()) {
            let ((name, take), reached) = (limiters[place], &mut reached[place]);
            bench.step(number, &format!("{name}, {}, {threads} threads", work.name));
            let Ran { decisions, admitted, took } = take(work, threads)?;
            let took_us = u64::try_from(took.as_micros())?.max(1);
            reached.rate.push(decisions * 1_000_000 / took_us);
            reached.denied.push((decisions - admitted.min(decisions)) * 1_000 / decisions.max(1));
        }
    }
    let row = |((name, _), own): (&(&str, _), &Decided)| {
        let rate = own.rate.median();
        vec![
            (*name).to_owned(),
            grouped(rate),
            grouped(threads as u64 * 1_000_000_000 / rate.max(1)),
            own.rate.against(&reached[1].rate).to_string(),
            own.denied.median().to_string(),
        ]
    };
    let rows: Vec<_> = limiters.iter().zip(&reached).map(row).collect();
    let of = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let title = format!("{}, {of}", work.name);
    let head = [&*title, "decisions a second", "ns a decision", "ratio", "denied, of 1,000"];
    section.table(&head, &rows);
    Ok(())
}

async fn behind_a_handler(bench: &mut Bench, section: &mut Section) -> Result<()> {
    // Nobody asks it; what a round costs Redis is 0.
    let redis = RedisServer::process(&[]).await;
    let handler = |program| Handler::start(program, &redis.url, Limits::DEFAULT);
    let mut handlers =
        vec![handler(Program::Own(Kind::Noop))?, handler(Program::Own(Kind::Governor))?];
    if peer::binary().is_ok() {
        handlers.push(handler(Program::LIMITADOR_MEMORY)?);
    }
    let worker = system::workers("", "memory", Limits::DEFAULT, 1);
    let traffic = Traffic::decide(KEYS);
    let mut systems: Vec<_> =
        handlers.iter().map(|handler| System::of_handler(handler, traffic.clone())).collect();
    systems.push(System::of_workers("transom, in process", &worker, traffic, Limits::DEFAULT));
    let reached = system::rounds(bench, &redis, &systems).await?;
    section.say(
        "Behind the same handler and the same load as above (20,000 identities, 64 connections in a \
         closed loop); *transom* is a worker without Redis. The ratio is to noop.",
    );
    system::table(section, system::names(&systems), &reached, 0);
    let title = "Limiters in memory: answers a second against a no-op handler";
    plot::bars(&bench.plots.join("memory.svg"), title, &system::ratio_bars(&systems, &reached, 0))?;
    section.plot("memory.svg", title);
    Ok(())
}
