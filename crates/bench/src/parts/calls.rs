//! What Redis says that was called, and how long it took: `INFO commandstats`.

use anyhow::Result;
use redis::aio::MultiplexedConnection;
use redis::cmd;

/// As `INFO commandstats` spells it.
pub(super) const EVALSHA: &str = "evalsha";

/// A command, since the statistics were reset.
#[derive(Clone, Debug)]
pub(super) struct Command {
    /// In lower case.
    pub(super) name: String,
    pub(super) calls: u64,
    pub(super) us: u64,
}

impl Command {
    /// Nanoseconds in one call of it.
    pub(super) fn ns_a_call(&self) -> u64 {
        self.us * 1_000 / self.calls.max(1)
    }

    /// Whether it is of the measurement.
    fn asks(&self) -> bool {
        self.name.starts_with("config") || self.name == "info"
    }
}

/// Begins to count anew.
pub(super) async fn reset(connection: &mut MultiplexedConnection) -> Result<()> {
    Ok(cmd("CONFIG").arg("RESETSTAT").exec_async(connection).await?)
}

/// What was called since then, by clients and by scripts.
pub(super) async fn commands(connection: &mut MultiplexedConnection) -> Result<Vec<Command>> {
    let stats: String = cmd("INFO").arg("commandstats").query_async(connection).await?;
    let command = |line: &str| {
        let (name, fields) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let field = |name: &str| {
            let field = fields.split(',').find_map(|field| field.strip_prefix(name))?;
            field.strip_prefix('=')?.parse().ok()
        };
        Some(Command { name: name.to_owned(), calls: field("calls")?, us: field("usec")? })
    };
    Ok(stats.lines().filter_map(command).filter(|command| !command.asks()).collect())
}

/// Calls of EVALSHA and the microseconds in them; `None` if there was none.
pub(super) async fn evalsha(connection: &mut MultiplexedConnection) -> Result<Option<(u64, u64)>> {
    let commands = commands(connection).await?;
    let evalsha = commands.iter().find(|command| command.name == EVALSHA);
    Ok(evalsha.map(|command| (command.calls, command.us)))
}
