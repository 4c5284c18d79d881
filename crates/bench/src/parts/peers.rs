//! Limiters on Redis behind the same handler and the same load: how fast, and how exact.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use transom_core::Limits;
use transom_tests::RedisServer;
use transom_tests::fleet::Fleet;

use super::system::{self, System};
use crate::args::Kind;
use crate::bench::Bench;
use crate::load::{
    CALM_KEYS, CONNECTIONS, Connection, Face, KEYS, Lapses, Load, Pace, Traffic, decide_request,
};
use crate::must::Figure;
use crate::peer;
use crate::plot;
use crate::process::{Handler, Program};
use crate::report::Section;
use crate::stats::grouped;

const PEERS: [Program; 3] =
    [Program::LIMITADOR_REDIS, Program::Own(Kind::TwoSteps), Program::Own(Kind::Textbook)];
/// Limits that callers at once must not get past.
const TIGHT: Limits = Limits { minute: 8, second: 8 };

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let redis = RedisServer::process(&[]).await;
    let limits = Limits::DEFAULT;
    let worker = system::workers(&redis.url, "peers", limits, 1);
    let mut section = Section::new("On Redis");
    let peers = match peer::binary() {
        Ok(_) => &PEERS[..],
        Err(reason) => {
            section.not_measured("limitador on Redis", reason);
            &PEERS[1..]
        }
    };
    let handlers: Vec<Handler> = peers
        .iter()
        .map(|peer| Handler::start(*peer, &redis.url, limits))
        .collect::<Result<_>>()?;
    let noop = Handler::start(Program::Own(Kind::Noop), &redis.url, limits)?;
    let systems = |callers| {
        let traffic = Traffic::decide(callers);
        let own = System::of_workers("transom", &worker, traffic.clone(), limits);
        let others = handlers.iter().chain([&noop]);
        let others = others.map(|it| System::of_handler(it, traffic.clone()));
        [own].into_iter().chain(others).collect::<Vec<_>>()
    };
    let (busy, calm) = (systems(KEYS), systems(CALM_KEYS));
    section.say(
        "The same load for all, 60 a minute and 2 a second, 64 connections in a closed loop. \
         *limitador-redis* is the crate limitador 0.6.0 on its Redis storage: fixed windows, three \
         round trips for an admission; 0.14 does it in two, but no version after 0.6 builds with \
         that storage alone. *two-steps* stands for it: the same fixed windows in two round trips \
         on a connection that all share, without the crate's own work. *textbook* takes a \
         connection out of a deadpool for every request and calls a plain script on two sorted \
         sets. All stand behind the same handler, and all clients of Redis are without Nagle's \
         algorithm. *noop* is that handler with no \
         limiter, so that no limiter behind it can have a higher ratio. The ratio is to the first \
         peer.",
    );
    let reached = system::rounds(bench, &redis, &busy).await?;
    if peers.len() == PEERS.len() {
        reached[0].find(bench, Figure::PeerOnRedis, &reached[1]);
    }
    section.say("20,000 identities:");
    system::table(&mut section, system::names(&busy), &reached, 1);
    let title = format!("Answers a second against {}", busy[1].name);
    plot::bars(&bench.plots.join("peers.svg"), &title, &system::ratio_bars(&busy, &reached, 1))?;
    section.plot("peers.svg", &title);
    let reached = system::rounds(bench, &redis, &calm).await?;
    section.say("100,000 identities, so that hardly any is denied:");
    system::table(&mut section, system::names(&calm), &reached, 1);
    over_admission(bench, &redis, peers, &mut section).await?;
    sliding(bench, &redis, &mut section).await?;
    Ok(section)
}

/// Few callers that never stop, for longer than a minute: the windows slide, and the minute's is
/// the one that denies.
async fn sliding(bench: &mut Bench, redis: &RedisServer, section: &mut Section) -> Result<()> {
    const CALLERS: u32 = 50;
    let limits = Limits { minute: 20, second: 5 };
    system::empty(redis).await?;
    let workers: Fleet = system::workers(&redis.url, "sliding", limits, 2);
    let lasts = bench.either(Duration::from_secs(75), Duration::from_secs(3));
    bench.step(0, &format!("callers that never stop, {} s", lasts.as_secs()));
    let load = Load {
        servers: workers.check_addresses(),
        traffic: Traffic::decide(CALLERS),
        connections: CONNECTIONS,
        pace: Pace::PerSecond(2_000),
        warm_up: Duration::ZERO,
        lasts,
    };
    let tally = load.run().await?;
    let above = tally.above(|_| limits);
    bench.findings.add(Figure::OverAdmitted, above, tally.lapses);
    let admitted = tally.answered - tally.denied;
    let by_minute = u64::from(limits.minute) * (1 + lasts.as_secs() / 60);
    let due = u64::from(CALLERS) * by_minute.min(u64::from(limits.second) * lasts.as_secs());
    section.say(&format!(
        "Windows that slide: {CALLERS} callers ask two workers 2,000 times a second for {} s, at {} a \
         minute and {} a second. Of {} requests {} were admitted, {above} above the limits; {} are due \
         where each caller takes all that it may as soon as it may.",
        lasts.as_secs(),
        limits.minute,
        limits.second,
        grouped(tally.answered),
        grouped(admitted),
        grouped(due)
    ));
    Ok(())
}

/// Many callers at once on one key after the other.
async fn over_admission(
    bench: &mut Bench,
    redis: &RedisServer,
    peers: &[Program],
    section: &mut Section,
) -> Result<()> {
    let keys: u32 = bench.either(200, 10);
    let workers: Fleet = system::workers(&redis.url, "tight", TIGHT, 2);
    let mut rows = Vec::new();
    let found = at_once(bench, "transom, two workers", &workers.check_addresses(), keys).await?;
    ensure!(
        found.without_redis == 0 && found.admitted >= u64::from(keys) * u64::from(TIGHT.minute),
        "not all of it was decided by Redis: {} of {} admitted, {} answers without Redis",
        found.admitted,
        u64::from(keys) * u64::from(TIGHT.minute),
        found.without_redis,
    );
    // Nothing of it was decided without Redis.
    bench.findings.add(Figure::OverAdmitted, found.above, Lapses::default());
    rows.push(found.row("transom, two workers", keys));
    for peer in peers {
        // Its keys of before are those of the load.
        system::empty(redis).await?;
        let one = Handler::start(*peer, &redis.url, TIGHT)?;
        let other = Handler::start(*peer, &redis.url, TIGHT)?;
        let name = format!("{}, two processes", peer.name());
        let found = at_once(bench, &name, &[one.address, other.address], keys).await?;
        rows.push(found.row(&name, keys));
    }
    section.say(&format!(
        "Over-admission: {CONNECTIONS} callers at once on a key with a limit of {} a minute and as \
         many a second, {keys} keys one after the other.",
        TIGHT.minute
    ));
    let head = ["", "due", "admitted", "most on one key", "above the limit"];
    section.table(&head, &rows);
    Ok(())
}

struct AtOnce {
    admitted: u64,
    most: u64,
    above: u64,
    /// Answers that failed or were degraded.
    without_redis: usize,
}

impl AtOnce {
    fn row(&self, name: &str, keys: u32) -> Vec<String> {
        let due = u64::from(keys) * u64::from(TIGHT.minute);
        let numbers = [due, self.admitted, self.most, self.above].map(grouped);
        [name.to_owned()].into_iter().chain(numbers).collect()
    }
}

async fn at_once(bench: &Bench, name: &str, servers: &[SocketAddr], keys: u32) -> Result<AtOnce> {
    bench.step(0, &format!("callers at once, {name}"));
    let open = (0..CONNECTIONS)
        .map(|number| Connection::open(servers[number % servers.len()], Face::Decide));
    let mut callers = try_join_all(open).await?;
    let mut found = AtOnce { admitted: 0, most: 0, above: 0, without_redis: 0 };
    for key in 0..keys {
        let asked = callers.iter_mut().map(|caller| {
            decide_request(caller.request(), key);
            caller.exchange()
        });
        let verdicts = try_join_all(asked).await.with_context(|| name.to_owned())?;
        let admitted = u64::try_from(verdicts.iter().filter(|it| it.allowed).count())?;
        found.without_redis += verdicts.iter().filter(|it| it.failed || it.degraded).count();
        found.admitted += admitted;
        found.most = found.most.max(admitted);
        found.above += admitted.saturating_sub(u64::from(TIGHT.minute));
    }
    Ok(found)
}
