//! One file for each command.

pub(crate) mod check_config;
pub(crate) mod echo;
pub(crate) mod health;
pub(crate) mod serve;

use std::fmt::Display;

use transom_server::config::{Config, ConfigError};

use crate::args::Args;

/// The settings that a command runs under: the file, the environment, then the arguments.
fn config(args: &Args) -> Result<Config, ConfigError> {
    let redis = args.redis.as_ref().map(|url| ("TRANSOM__REDIS__URL".to_owned(), url.clone()));
    Config::load(args.config.as_deref(), Config::environment().into_iter().chain(redis))
}

/// What a command has to say.
#[expect(clippy::print_stdout, reason = "this is where the program talks to the person")]
fn say(text: impl Display) {
    println!("{text}");
}

/// Resolves when the process is asked to end: the name of the signal.
async fn asked_to_end() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
