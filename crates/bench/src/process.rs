//! Handlers to compare with, as processes of this binary.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use transom_core::Limits;

use crate::args::Kind;

/// A running handler. It ends when this is dropped, and when this process does.
#[derive(Debug)]
pub(crate) struct Handler {
    /// Where it answers.
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Handler {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    ///
    /// A handler that does not; it has said why.
    pub(crate) fn start(kind: Kind, redis_url: &str, limits: Limits) -> Result<Self> {
        let name = kind.name();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["serve", &name, "--redis", redis_url])
            .args(["--minute", &limits.minute.to_string()])
            .args(["--second", &limits.second.to_string()])
            // Its end is the end of the handler.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("this binary could not be started again")?;
        let said = child.stdout.take().map(BufReader::new).map(|mut out| {
            let mut line = String::new();
            out.read_line(&mut line).map(|_| line)
        });
        let line = said.transpose()?.unwrap_or_default();
        let mut handler = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), child };
        handler.address =
            line.trim().parse().with_context(|| format!("the handler {name} does not serve"))?;
        Ok(handler)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
