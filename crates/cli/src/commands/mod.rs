//! One file for each command.

pub(crate) mod block;
pub(crate) mod check_config;
pub(crate) mod doctor;
pub(crate) mod echo;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod mode;
pub(crate) mod overrides;
pub(crate) mod reset;
pub(crate) mod serve;
pub(crate) mod top;

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use transom_server::config::{Config, ConfigSource};

use crate::Exit;
use crate::api::Api;
use crate::args::{Args, Command, Form};

/// The variable in whose place `--redis` stands.
const REDIS_URL: &str = "TRANSOM__REDIS__URL";
/// What else says where Redis is, as it is for one server.
const OTHER_REDIS: [(&str, &str); 5] = [
    ("TRANSOM__REDIS__MODE", "single"),
    ("TRANSOM__REDIS__NODES", ""),
    ("TRANSOM__REDIS__MASTER", ""),
    ("TRANSOM__REDIS__SENTINEL_USER", ""),
    ("TRANSOM__REDIS__SENTINEL_PASSWORD", ""),
];

/// Runs a command of operators.
pub(crate) async fn operate(args: &Args, command: Command) -> anyhow::Result<Exit> {
    let api = Api::open(args).await?;
    match command {
        Command::Explain(explain) => explain.run(&api).await,
        Command::Inspect(inspect) => inspect.run(&api).await,
        Command::Reset(reset) => reset.run(&api).await,
        Command::Override(overrides) => overrides.run(&api).await,
        Command::Block(block) => block.run(&api).await,
        Command::Unblock(unblock) => unblock.run(&api).await,
        Command::Key(key) => key.run(&api).await,
        Command::Top(top) => top.run(&api).await,
        Command::Mode(mode) => mode.run(&api).await,
        Command::Doctor(doctor) => doctor.run(&api).await,
        Command::Serve
        | Command::CheckConfig { .. }
        | Command::Health { .. }
        | Command::Echo { .. } => anyhow::bail!("not a command of operators"),
    }
}

/// Where settings come from: the file, the environment, then the arguments.
pub(crate) fn source(args: &Args) -> ConfigSource {
    // `--redis` is one server, in place of whatever the configuration says of Redis.
    let elsewhere = args.redis.as_ref().map(|url| {
        let variable = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        OTHER_REDIS
            .map(|(name, text)| variable(name, text))
            .into_iter()
            .chain([variable(REDIS_URL, url)])
    });
    let environment = Config::environment().into_iter().chain(elsewhere.into_iter().flatten());
    ConfigSource::new(args.config.as_deref(), environment)
}

/// The settings that a command runs under.
pub(crate) fn config(args: &Args, source: &ConfigSource) -> anyhow::Result<Config> {
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
    tell(text).map(drop)
}

/// As [`say`]; whether anybody is left to read.
fn tell(text: impl Display) -> anyhow::Result<bool> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to standard output")),
    }
}

/// Says a document as JSON, or what it comes to for people.
fn say_either(
    form: Form,
    document: &impl Serialize,
    people: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    if form.json { say(serde_json::to_string_pretty(document)?) } else { say(people()) }
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
