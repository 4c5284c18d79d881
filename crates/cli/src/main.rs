//! The binary `transom`: reads its arguments, runs one command, ends with its exit code.

mod args;
mod commands;

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
        Err(error) => {
            // Help and version go to standard output and are no mistake.
            let asked_for = !error.use_stderr();
            let _ = error.print();
            return if asked_for { Exit::Done.into() } else { Exit::Usage.into() };
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

/// One line on standard error, causes included.
#[expect(clippy::print_stderr, reason = "this is where the program talks to the person")]
fn complain(error: &anyhow::Error) {
    eprintln!("transom: {error:#}");
}
