//! The load generator and the benchmarks: starts what it needs, measures, writes
//! `docs/benchmarks.md` with its plots, and stops.

mod args;
mod bench;
mod hot;
mod load;
mod machine;
mod must;
mod parts;
mod peer;
mod plot;
mod process;
mod report;
mod results;
mod scripts;
mod serve;
mod stats;
mod timed;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use args::{Args, Command};

/// A usage that cannot be followed.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        // Help and version go to standard output and are no mistake.
        Err(asked_for) if !asked_for.use_stderr() => {
            let _ = asked_for.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            complain(&args::misunderstood(&error));
            return USAGE.into();
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    match &args.command {
        Some(Command::Serve(kind)) => serve::run(kind),
        Some(Command::Hot { function, calls }) => hot::run(*function, *calls),
        None if args.list => parts::list(),
        None => parts::measure(args),
    }
}

/// One line on standard error. With nobody left to read it, the exit code still tells.
fn complain(what: &str) {
    let _ = writeln!(std::io::stderr(), "transom-bench: {what}");
}
