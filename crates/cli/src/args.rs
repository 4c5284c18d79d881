//! What a person types.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use transom_core::{DEFAULT_IPV6_PREFIX, Identity, IdentityError};

use crate::commands::{block, doctor, explain, inspect, key, mode, overrides, reset, top};

/// Transom: a rate limiter for HTTP APIs, exact over a fleet of workers.
///
/// Without a command it runs a worker. Settings come from the file, then from environment
/// variables TRANSOM__SECTION__KEY.
///
/// The commands from `explain` on are for operators. They talk to the Redis of the configuration
/// or of --redis. With --admin, or where no Redis is configured, they talk to the admin API of a
/// worker. An IDENTITY is user:ID or ip:ADDRESS.
///
/// Exit codes: 0 done, 1 denied, not found, not healthy, or a problem that `doctor` found, 2 usage
/// or configuration, 3 Redis or the admin API does not answer.
#[derive(Debug, Parser)]
#[command(name = "transom", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The configuration, TOML or YAML; a worker takes up its changes
    #[arg(long, global = true, env = "TRANSOM_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The Redis to use, in place of the one configured
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) redis: Option<String>,

    /// For operators: ask the admin API of this worker, and not Redis. Where no Redis is
    /// configured either, it is the one in TRANSOM_ADMIN, else listen.admin of the configuration
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) admin: Option<String>,

    /// The admin API to ask where no Redis is configured
    #[arg(long, global = true, hide = true, env = "TRANSOM_ADMIN", value_name = "URL")]
    pub(crate) default_admin: Option<String>,

    /// For operators: the token of the admin API, better in TRANSOM_TOKEN, where it is not seen in
    /// a list of processes; by default admin.token of the configuration
    #[arg(
        long,
        global = true,
        env = "TRANSOM_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(crate) token: Option<String>,

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
    /// Say why a request would be admitted or denied now; consumes nothing
    Explain(explain::Explain),
    /// Show everything that is kept of an identity, its windows on a time line
    Inspect(inspect::Inspect),
    /// Empty the windows of an identity, and end its block and strikes
    Reset(reset::Reset),
    /// Give an identity limits of its own
    Override(overrides::Override),
    /// Deny everything to an identity, or list who is blocked
    Block(block::Block),
    /// End the block of an identity, and forget its strikes
    Unblock(block::Unblock),
    /// Create, list and revoke API keys
    Key(key::Key),
    /// Show who was denied most in the last five to ten minutes
    Top(top::Top),
    /// Show or set the mode of the whole fleet
    Mode(mode::Mode),
    /// Look for what is wrong with this Redis or this configuration
    Doctor(doctor::Doctor),
}

impl Args {
    /// The command, `serve` if there is none.
    pub(crate) fn command(&self) -> Command {
        self.command.clone().unwrap_or(Command::Serve)
    }
}

/// Who makes a change, and why.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Signed {
    /// Why, for the record
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) by: By,
}

/// Who makes a change.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct By {
    /// Who, for the record; by default USER of the environment
    #[arg(
        long,
        env = "USER",
        hide_env = true,
        default_value = "",
        hide_default_value = true,
        value_name = "NAME"
    )]
    pub(crate) by: String,
}

/// In which form something is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Form {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Refuses what is no identity. The text stays as it is: how far an address of IPv6 counts is the
/// business of the configuration that will read it.
pub(crate) fn identity(text: &str) -> Result<String, IdentityError> {
    let text = text.trim();
    Identity::parse(text, DEFAULT_IPV6_PREFIX).map(|_| text.to_owned())
}
