//! One file for each command.

pub(crate) mod check_config;
pub(crate) mod echo;
pub(crate) mod health;
pub(crate) mod serve;

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use tokio::signal::unix::{Signal, SignalKind, signal};
use transom_server::config::{Config, ConfigSource};

use crate::args::Args;

/// The variable in whose place `--redis` stands.
const REDIS_URL: &str = "TRANSOM__REDIS__URL";

/// Where settings come from: the file, the environment, then the arguments.
fn source(args: &Args) -> ConfigSource {
    let redis = args.redis.as_ref().map(|url| (REDIS_URL.to_owned(), url.clone()));
    ConfigSource::new(args.config.as_deref(), Config::environment().into_iter().chain(redis))
}

/// The settings that a command runs under.
fn config(args: &Args, source: &ConfigSource) -> anyhow::Result<Config> {
    source.load().map_err(|error| {
        // What stands in an argument is not blamed on the environment.
        let text = error.to_string();
        let place = format!("environment variable {REDIS_URL}: redis.url: ");
        match text.strip_prefix(&place) {
            Some(reason) if args.redis.is_some() => anyhow::anyhow!("--redis: {reason}"),
            _ => error.into(),
        }
    })
}

/// What a command has to say. A reader that has gone has read enough.
///
/// # Errors
///
/// Anything else that keeps standard output from taking it.
fn say(text: impl Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// The signals by which a process is asked to end. None is lost between two waits.
struct AskedToEnd {
    terminate: Signal,
    interrupt: Signal,
}

impl AskedToEnd {
    /// From here on the signals are heard.
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
