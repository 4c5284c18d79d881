//! The commands of Docker and of both kinds of Compose.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use transom_tests::redis_server::repository;

/// Which Compose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compose {
    /// Compose 2, `docker compose`.
    Plugin,
    /// docker-compose 1.29, a program of its own.
    Classic,
}

impl Compose {
    /// Whether this machine has it.
    pub(crate) fn is_there(self) -> bool {
        static THERE: [OnceLock<bool>; 2] = [OnceLock::new(), OnceLock::new()];
        *THERE[self as usize].get_or_init(|| {
            let version = self.command().arg("version").output();
            // Some machines call Compose 2 by the name of the other.
            version.is_ok_and(|output| {
                let said = String::from_utf8_lossy(&output.stdout);
                output.status.success() && (self == Self::Plugin || said.contains("version 1."))
            })
        })
    }

    /// The one that a stranger has: the plugin where there is one.
    ///
    /// # Panics
    ///
    /// If there is neither.
    pub(crate) fn preferred() -> Self {
        let found = [Self::Plugin, Self::Classic].into_iter().find(|compose| compose.is_there());
        found.expect("Docker Compose is missing: the plugin docker-compose-v2, or docker-compose")
    }

    /// The bare command, in the folder of the compose file.
    pub(crate) fn command(self) -> Command {
        let mut command = match self {
            Self::Plugin => {
                let mut command = Command::new("docker");
                command.arg("compose");
                command
            }
            Self::Classic => Command::new("docker-compose"),
        };
        command.current_dir(repository());
        command
    }

    /// The command for a project of a compose file and what is laid over it.
    pub(crate) fn project(self, name: &str, over: &Path) -> Command {
        let mut command = self.command();
        command.args(["-p", name, "-f", "docker-compose.yml", "-f"]).arg(over);
        command
    }
}

/// What `docker` says.
///
/// # Panics
///
/// If it fails.
pub(crate) fn docker(arguments: &[&str]) -> Output {
    done(Command::new("docker").args(arguments))
}

/// The lines that `docker` prints.
pub(crate) fn lines(arguments: &[&str]) -> Vec<String> {
    String::from_utf8_lossy(&docker(arguments).stdout).lines().map(str::to_owned).collect()
}

/// Runs a command to its end.
///
/// # Panics
///
/// If it fails; what it said is in the message.
pub(crate) fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output
}
