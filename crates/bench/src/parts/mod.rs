//! What is measured, part by part.

mod bytes;
mod calls;
mod cluster;
mod faces;
mod fill;
mod growth;
mod instructions;
mod latency;
mod memory;
mod peers;
mod profile;
mod script;
mod system;

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use transom_tests::RedisServer;
use transom_tests::redis_server::repository;

use crate::args::Args;
use crate::bench::Bench;
use crate::machine::{self, HostTime};
use crate::report::Section;
use crate::results::{Measured, Results};

/// A part of the run, by the name of its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The script against other scripts, in Redis alone
    Script,
    /// Gateway, check, decide, RLS and tower layer against a no-op and a PING handler
    Faces,
    /// Latency at constant rates
    Latency,
    /// In process: against governor and limitador
    Memory,
    /// On Redis: against limitador and a textbook limiter, over-admission included
    Peers,
    /// More keys, higher limits, more workers and connections, one hot key, more denials
    Growth,
    /// Bytes in Redis for an identity
    Bytes,
    /// Instructions of the functions on the way of every request
    Instructions,
    /// Redis Cluster with 1, 2 and 3 masters: what a decision costs each node
    Cluster,
    /// Time of the cores in generator, server and Redis for an answer
    Profile,
}

impl Part {
    /// In the order of the page.
    pub(crate) fn all() -> impl Iterator<Item = Self> + Clone {
        Self::value_variants().iter().copied()
    }

    /// Seconds of a whole run of it, on two cores that nothing else uses.
    const fn takes_s(self) -> u64 {
        match self {
            Self::Script => 290,
            Self::Faces => 125,
            Self::Latency => 295,
            Self::Memory => 200,
            Self::Peers => 225,
            Self::Growth => 470,
            Self::Bytes => 20,
            Self::Instructions => 70,
            Self::Cluster => 70,
            Self::Profile => 65,
        }
    }

    /// Whether Transom decides in it, behind HTTP, so that over-admissions are looked for.
    pub(crate) const fn decides(self) -> bool {
        match self {
            Self::Faces
            | Self::Latency
            | Self::Memory
            | Self::Peers
            | Self::Growth
            | Self::Cluster
            | Self::Profile => true,
            Self::Script | Self::Bytes | Self::Instructions => false,
        }
    }

    /// As it is typed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Faces => "faces",
            Self::Latency => "latency",
            Self::Memory => "memory",
            Self::Peers => "peers",
            Self::Growth => "growth",
            Self::Bytes => "bytes",
            Self::Instructions => "instructions",
            Self::Cluster => "cluster",
            Self::Profile => "profile",
        }
    }

    async fn measure(self, bench: &mut Bench) -> Result<Section> {
        match self {
            Self::Script => script::measure(bench).await,
            Self::Faces => faces::measure(bench).await,
            Self::Latency => latency::measure(bench).await,
            Self::Memory => memory::measure(bench).await,
            Self::Peers => peers::measure(bench).await,
            Self::Growth => growth::measure(bench).await,
            Self::Bytes => bytes::measure(bench).await,
            Self::Instructions => instructions::measure(bench).await,
            Self::Cluster => cluster::measure(bench).await,
            Self::Profile => profile::measure(bench).await,
        }
    }
}

/// What Redis does in one step here, such as to empty itself of ten million units, may take longer
/// than a client waits by default.
const STEP_WITHIN: Duration = Duration::from_secs(60);

/// A connection for what a part has to say to its server.
async fn connect(server: &RedisServer) -> Result<MultiplexedConnection> {
    let client = redis::Client::open(server.url.as_str())?;
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(STEP_WITHIN));
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

/// Names the parts, and says how long they take.
pub(crate) fn list() -> Result<()> {
    let mut out = std::io::stdout();
    for part in Part::all() {
        let value = part.to_possible_value().context("a part without a name")?;
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(out, "{:14}{:>5}  {help}", part.name(), minutes(part.takes_s()))?;
    }
    let all = Part::all().map(Part::takes_s).sum();
    writeln!(
        out,
        "{:14}{:>5}  minutes, without what is built at the first run",
        "all",
        minutes(all)
    )?;
    Ok(())
}

/// `m:ss`.
fn minutes(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// Measures, and writes the page. A part that cannot be measured is named in it, and the others
/// are measured all the same; what was measured of it before stays.
pub(crate) fn measure(args: &Args) -> Result<()> {
    let redis = machine::redis_version().context("redis-server is missing: ./test installs it")?;
    let places = Places::of(args);
    let mut bench = Bench::new(args.quick, places.page.join("benchmarks"))?;
    let parts: Vec<Part> =
        Part::all().filter(|part| args.only.is_empty() || args.only.contains(part)).collect();
    let (mut results, revision) = (Results::read(&places.results)?, machine::revision());
    let mut failed = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (number, part) in parts.iter().enumerate() {
        let expected = if args.quick { "seconds".to_owned() } else { minutes(part.takes_s()) };
        bench.begin(format!("{} ({} of {}, {expected})", part.name(), number + 1, parts.len()));
        let (at, started, host) = (machine::time(), Instant::now(), HostTime::now());
        match outcome(&runtime, part.measure(&mut bench)) {
            Err(Ended::Stopped) => {
                bench.end();
                bail!("stopped; what was measured before stays");
            }
            Ok(section) => {
                let (title, text, not_measured) = section.into_parts();
                let measured = Measured {
                    at,
                    took_s: started.elapsed().as_secs(),
                    stolen_per_mille: HostTime::now()
                        .zip(host)
                        .map(|(now, since)| now.stolen_per_mille(since)),
                    revision: revision.clone(),
                    machine: machine::description(),
                    redis: redis.clone(),
                    rounds: bench.rounds(),
                    lasts_ms: bench.lasts().as_millis(),
                    quick: args.quick,
                    optimised: !cfg!(debug_assertions),
                    title,
                    text,
                    findings: std::mem::take(&mut bench.findings),
                    not_measured,
                };
                results.put(part.name(), measured);
                results.write(&places.results)?;
            }
            Err(Ended::Failed(reason)) => failed.push(format!("{}: {reason}", part.name())),
        }
    }
    bench.end();
    let file = places.page.join("benchmarks.md");
    let page = results.page(&failed);
    std::fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(std::io::stdout(), "{}", file.display())?;
    ensure!(failed.is_empty(), "not measured: {}", failed.join("; "));
    Ok(())
}

/// How a part ends that is not measured.
enum Ended {
    Failed(String),
    /// Somebody wants no more of it.
    Stopped,
}

/// What a part has to say. What it has started ends with it, however it ends.
fn outcome(
    runtime: &Runtime,
    measuring: impl Future<Output = Result<Section>>,
) -> Result<Section, Ended> {
    let measured = async {
        tokio::select! {
            biased;
            why = stopped() => Err(why),
            measured = measuring => measured.map_err(|error| Ended::Failed(format!("{error:#}"))),
        }
    };
    // A server that does not start is a panic of what the tests share with this; it says why.
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(measured))).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        Err(Ended::Failed(said.unwrap_or_else(|| "it has ended badly".to_owned())))
    })
}

/// Returns when the process is asked to end.
async fn stopped() -> Ended {
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => return Ended::Failed(error.to_string()),
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    Ended::Stopped
}

/// Where a run writes.
#[derive(Debug)]
struct Places {
    /// The folder of the page.
    page: PathBuf,
    /// The file of results.
    results: PathBuf,
}

impl Places {
    /// Of what was asked for: a quick run leaves the page of the repository alone.
    fn of(args: &Args) -> Self {
        let page = match (&args.out, args.quick) {
            (Some(out), _) => out.clone(),
            (None, true) => repository().join("target/bench/quick"),
            (None, false) => repository().join("docs"),
        };
        Self { results: page.join("benchmarks/results.json"), page }
    }
}
