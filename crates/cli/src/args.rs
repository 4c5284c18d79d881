//! What a person types.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Transom: a rate limiter for HTTP APIs, exact over a fleet of workers.
///
/// Without a command it runs a worker. Settings come from the file, then from environment
/// variables TRANSOM__SECTION__KEY.
///
/// Exit codes: 0 done, 1 not healthy, 2 usage or configuration.
#[derive(Debug, Parser)]
#[command(name = "transom", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The configuration, TOML or YAML; a worker takes up its changes
    #[arg(long, global = true, env = "TRANSOM_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The Redis to use, in place of the one configured
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) redis: Option<String>,

    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a worker (the default)
    Serve,
    /// Read the configuration and print what would be in force
    CheckConfig {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask a worker whether it lives; exit code 0 or 1
    Health {
        /// What to ask
        #[arg(long, default_value = "http://127.0.0.1:8083/healthz", value_name = "URL")]
        url: String,
    },
    /// Run the echo upstream alone, as an API to try the gateway on
    Echo {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
        listen: SocketAddr,
    },
}

impl Args {
    /// The command, `serve` if there is none.
    pub(crate) fn command(&self) -> Command {
        self.command.clone().unwrap_or(Command::Serve)
    }
}
