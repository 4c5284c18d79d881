//! Handlers to compare with, as processes: of this binary, or of the one in `crates/bench/peer`.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use transom_core::Limits;

use crate::args::Kind;
use crate::peer;

/// What a handler is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    /// This binary.
    Own(Kind),
    /// `crates/bench/peer`, by what it calls its limiter.
    Peer(&'static str),
}

impl Program {
    /// limitador on its Redis storage.
    pub(crate) const LIMITADOR_REDIS: Self = Self::Peer("limitador-redis");
    /// limitador in memory.
    pub(crate) const LIMITADOR_MEMORY: Self = Self::Peer("limitador-memory");

    /// As it is typed.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Own(kind) => kind.name(),
            Self::Peer(name) => name.to_owned(),
        }
    }

    fn command(self) -> Result<Command> {
        Ok(match self {
            Self::Own(_) => Command::new(std::env::current_exe()?),
            Self::Peer(_) => Command::new(peer::binary()?),
        })
    }
}

/// A process that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Ending(pub(crate) Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running handler. It ends when this is dropped, and when this process does.
#[derive(Debug)]
pub(crate) struct Handler {
    /// What it is.
    pub(crate) name: String,
    /// Where it answers.
    pub(crate) address: SocketAddr,
    child: Ending,
}

impl Handler {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    ///
    /// A handler that does not; it has said why.
    pub(crate) fn start(program: Program, redis_url: &str, limits: Limits) -> Result<Self> {
        let (mut command, name) = (program.command()?, program.name());
        command
            .args(["serve", &name, "--redis", redis_url])
            .args(["--minute", &limits.minute.to_string()])
            .args(["--second", &limits.second.to_string()])
            // Its end is the end of the handler.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let mut child = Ending(child);
        let said = child.0.stdout.take().map(BufReader::new).map(|mut out| {
            let mut line = String::new();
            out.read_line(&mut line).map(|_| line)
        });
        let mut handler = Self { name, address: SocketAddr::from(([127, 0, 0, 1], 0)), child };
        let line = said.transpose()?.unwrap_or_default();
        let address = line.trim().parse();
        handler.address =
            address.with_context(|| format!("the handler {} does not serve", handler.name))?;
        Ok(handler)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }
}
