//! The binary `transom`: reads its arguments, runs one command, ends with its exit code.

mod args;
mod commands;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Runtime;

use args::{Args, Command};

/// How a command ends. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Done.
    Done = 0,
    /// Denied, not found, not healthy.
    No = 1,
    /// Usage or configuration.
    Usage = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

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
            Exit::Usage.into()
        }
    }
}

fn run(args: &Args) -> anyhow::Result<Exit> {
    match args.command() {
        Command::Serve => Runtime::new()?.block_on(commands::serve::run(args)),
        Command::CheckConfig { json } => commands::check_config::run(args, json),
        Command::Health { url } => Runtime::new()?.block_on(commands::health::run(&url)),
        Command::Echo { listen } => Runtime::new()?.block_on(commands::echo::run(listen)),
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
    let _ = writeln!(std::io::stderr(), "transom: {error:#}");
}
