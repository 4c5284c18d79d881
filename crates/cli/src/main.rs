//! The binary `transom`: reads its arguments, runs one command, ends with its exit code.

mod api;
mod args;
mod commands;
mod show;

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use tokio::runtime::Runtime;

use args::{Args, Command};

/// The threads of a worker free what others have allocated, request by request.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How a command ends. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Done.
    Done = 0,
    /// Denied, not found, not healthy, or a problem that a doctor found.
    No = 1,
    /// Usage or configuration.
    Usage = 2,
    /// Redis, or the admin API in its place, does not answer.
    Unavailable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command has failed, and how it ends. Any other error ends with [`Exit::Usage`].
#[derive(Debug)]
struct Failure {
    exit: Exit,
    said: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Failure {}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        // Help and version go to standard output and are no mistake.
        Err(asked_for) if !asked_for.use_stderr() => {
            let _ = asked_for.print();
            return Exit::Done.into();
        }
        Err(error) => {
            complain(&misunderstood(&error));
            return Exit::Usage.into();
        }
    };
    match run(&args) {
        Ok(exit) => exit.into(),
        Err(error) => {
            complain(&error);
            error.downcast_ref::<Failure>().map_or(Exit::Usage, |failure| failure.exit).into()
        }
    }
}

fn run(args: &Args) -> anyhow::Result<Exit> {
    match args.command() {
        Command::Serve => Runtime::new()?.block_on(commands::serve::run(args)),
        Command::CheckConfig { json } => commands::check_config::run(args, json),
        Command::Health { url } => Runtime::new()?.block_on(commands::health::run(&url)),
        Command::Echo { listen } => Runtime::new()?.block_on(commands::echo::run(listen)),
        operators => Runtime::new()?.block_on(commands::operate(args, operators)),
    }
}

/// What is wrong with the arguments, in one line.
fn misunderstood(error: &clap::Error) -> anyhow::Error {
    let text = error.to_string();
    let said: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let said = said.join(" ");
    anyhow::anyhow!("{}; see transom --help", said.strip_prefix("error: ").unwrap_or(&said))
}

/// One line on standard error, causes included.
fn complain(error: &anyhow::Error) {
    // With nobody left to read it there is nothing more to do; the exit code still tells.
    let _ = writeln!(std::io::stderr(), "transom: {}", show::plain(&format!("{error:#}")));
}
