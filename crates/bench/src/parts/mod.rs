//! What is measured, part by part.

mod bytes;
mod cluster;
mod faces;
mod growth;
mod instructions;
mod latency;
mod memory;
mod peers;
mod profile;
mod script;
mod system;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use transom_tests::RedisServer;
use transom_tests::redis_server::repository;

use crate::args::Args;
use crate::bench::Bench;
use crate::machine;
use crate::report::Section;

/// A part of the run, by the name of its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The script against other scripts, in Redis alone
    Script,
    /// Gateway, check, decide and tower layer against a no-op and a PING handler
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
    /// Redis Cluster
    Cluster,
    /// Time of the cores in generator, server and Redis for an answer
    Profile,
}

impl Part {
    /// As it is typed.
    fn name(self) -> &'static str {
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
            Self::Instructions => instructions::measure(bench),
            Self::Cluster => Ok(cluster::section()),
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

/// Names the parts.
pub(crate) fn list() -> Result<()> {
    for part in Part::value_variants() {
        let value = part.to_possible_value().context("a part without a name")?;
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(std::io::stdout(), "{:14}{help}", part.name())?;
    }
    Ok(())
}

/// Measures, and writes the page. A part that cannot be measured is named in it, and the others
/// are measured all the same.
pub(crate) fn measure(args: &Args) -> Result<()> {
    let version =
        machine::redis_version().context("redis-server is missing: ./test installs it")?;
    let out = args.out.clone().unwrap_or_else(|| repository().join("docs"));
    let mut bench = Bench::new(args.quick, out.join("benchmarks"))?;
    let asked = |part: &&Part| args.only.is_empty() || args.only.contains(part);
    let (mut sections, mut failed, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for part in Part::value_variants() {
        if !asked(&part) {
            left_out.push(part.name());
            continue;
        }
        bench.begin(part.name());
        match runtime.block_on(part.measure(&mut bench)) {
            Ok(section) => sections.push(section),
            Err(error) => failed.push(format!("{}: {error:#}", part.name())),
        }
    }
    bench.end();
    let page = page(&bench, &version, &sections, &failed, &left_out);
    let file = out.join("benchmarks.md");
    std::fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(std::io::stdout(), "{}", file.display())?;
    ensure!(failed.is_empty(), "not measured: {}", failed.join("; "));
    Ok(())
}

fn page(
    bench: &Bench,
    redis: &str,
    sections: &[Section],
    failed: &[String],
    left_out: &[&str],
) -> String {
    let mut text =
        "# Benchmarks\n\nWritten by `cargo run --release -p transom-bench`; do not edit.\n\n"
            .to_owned();
    let _ = write!(
        text,
        "Generator, workers and Redis {redis} share one machine: {}. Figures of two systems are \
         compared within one run only, as the median of the ratios of {} rounds of {} s each, in \
         which the systems take turns; warm-up is left out. An absolute figure says little about \
         another machine.\n\n",
        machine::description(),
        bench.rounds(),
        bench.lasts().as_secs_f32(),
    );
    if bench.quick {
        text.push_str("**A quick run: it shows that everything runs, not how fast.**\n\n");
    }
    if cfg!(debug_assertions) {
        text.push_str("**Built without optimisation: no figure of time means anything.**\n\n");
    }
    let _ = write!(text, "## Bounds\n\n{}\n", bench.findings.table());
    for section in sections {
        text.push_str(section.text());
    }
    text.push_str("## Not measured\n\n");
    text.push_str(
        "- Envoy's rate limit service, which this build does not have.\n\
         - A network: everything talks over loopback.\n",
    );
    for reason in failed {
        let _ = writeln!(text, "- {reason}");
    }
    if !left_out.is_empty() {
        let _ = writeln!(text, "- In this run: {}.", left_out.join(", "));
    }
    text
}
