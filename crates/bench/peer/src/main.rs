//! The crate limitador behind the handler that `crates/bench` asks, and alone in memory. The
//! handler and the way to measure are the files of `crates/bench` itself.

#[path = "../../src/serve/handler.rs"]
mod handler;
mod limiter;
#[path = "../../src/timed.rs"]
mod timed;
#[path = "../../src/serve/wire.rs"]
mod wire;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use limiter::{InMemory, OnRedis};

/// Runs what crates/bench compares with and does not link itself.
#[derive(Debug, Parser)]
enum Peer {
    /// Serve POST /v1/decide until standard input ends
    Serve {
        /// Where limitador counts
        kind: Kind,
        /// Where its Redis answers
        #[arg(long, value_name = "URL")]
        redis: Option<String>,
        /// Units in a minute
        #[arg(long)]
        minute: u32,
        /// Units in a second
        #[arg(long)]
        second: u32,
    },
    /// Decide in this process, on 60 a minute and 2 a second, and print decisions, admissions and ns
    Time {
        /// How many callers ask
        callers: u32,
        /// For how many ms after each has asked once; 0: count that first time
        lasts_ms: u64,
        /// From how many threads
        threads: usize,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// On its Redis storage
    LimitadorRedis,
    /// In memory
    LimitadorMemory,
}

fn main() -> ExitCode {
    match run(&Peer::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "transom-bench-peer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(peer: &Peer) -> Result<()> {
    match peer {
        Peer::Serve { kind, redis, minute, second } => handler::serve(async {
            let limits = [(*minute, 60), (*second, 1)];
            Ok(match kind {
                Kind::LimitadorMemory => handler::routes(InMemory::new(limits)?),
                Kind::LimitadorRedis => {
                    let url = redis.as_deref().context("--redis: this handler needs one")?;
                    handler::routes(OnRedis::open(url, limits).await?)
                }
            })
        }),
        Peer::Time { callers, lasts_ms, threads } => {
            let callers: Vec<_> = (0..*callers).map(timed::user).collect();
            let limiter = InMemory::new([(60, 60), (2, 1)])?;
            let check: timed::Check = Box::new(move |caller| limiter.check(caller));
            let ran = timed::run(&check, &callers, Duration::from_millis(*lasts_ms), *threads)?;
            Ok(writeln!(std::io::stdout(), "{ran}")?)
        }
    }
}
