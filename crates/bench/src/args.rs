//! What a person types.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::hot::Function;
use crate::parts::Part;

/// Measures Transom and what it is compared with, on this machine.
///
/// Starts Redis servers, workers and handlers on free ports of loopback, and ends them. Writes
/// benchmarks.md, benchmarks/*.svg and benchmarks/results.json, of which the page is made. A whole
/// run takes about half an hour; nothing else should run on the machine. What was measured of a part
/// before stays until it is measured again. Exit codes: 0 done, 1 something could not be measured,
/// 2 usage.
#[derive(Debug, Parser)]
#[command(name = "transom-bench", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Measure this part alone; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<Part>,

    /// Name the parts, with the minutes that each takes, and end
    #[arg(long)]
    pub(crate) list: bool,

    /// Seconds in place of minutes, one round in place of five: shows that it runs, not how fast
    #[arg(long)]
    pub(crate) quick: bool,

    /// Where to write; by default the folder docs of the repository, and with --quick
    /// target/bench/quick
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a handler to compare with, until standard input ends
    Serve(Serve),
    /// Call one function, for a profiler to count its instructions
    Hot {
        /// Which
        function: Function,
        /// How often
        calls: u64,
    },
}

/// A handler to compare with.
#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// What decides
    pub(crate) kind: Kind,
    /// Where its Redis answers
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<String>,
    /// Units in any minute
    #[arg(long, default_value_t = 60)]
    pub(crate) minute: u32,
    /// Units in any second
    #[arg(long, default_value_t = 2)]
    pub(crate) second: u32,
}

/// What a handler decides with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Nothing: parses the request and answers as many bytes
    Noop,
    /// As noop, behind one PING on a connection that all share
    Ping,
    /// Two sorted sets in a plain script, a connection out of deadpool for every request
    Textbook,
    /// Fixed windows, read in one round trip and written in a second one
    TwoSteps,
    /// The crate governor, one limiter for each window
    Governor,
    /// RateLimitLayer of transom-tower on Redis
    Tower,
}

impl Kind {
    /// As it is typed.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What is wrong with the arguments, in one line.
pub(crate) fn misunderstood(error: &clap::Error) -> String {
    let text = error.to_string();
    let said: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let said = said.join(" ");
    format!("{}; see transom-bench --help", said.strip_prefix("error: ").unwrap_or(&said))
}
