//! A proxy of somebody else's as a process, with a configuration of the repository.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Instant;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;
use transom_tests::redis_server::repository;

use crate::process::{LOOK_AGAIN, PATIENCE, write};

/// A proxy. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct ProxyProcess {
    /// Where clients come.
    pub(crate) address: SocketAddr,
    name: &'static str,
    child: Child,
    folder: TempDir,
    is_shown: fn(&str) -> bool,
}

impl ProxyProcess {
    /// Starts one that is to listen at `address`, and waits until it does. `command` is given the
    /// file with its configuration. A test that fails shows what it said, line by line as
    /// `is_shown` has it.
    pub(crate) async fn start(
        name: &'static str,
        address: SocketAddr,
        configuration: &str,
        command: impl FnOnce(&Path) -> Command,
        is_shown: fn(&str) -> bool,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a configuration");
        // Envoy tells the format by the name; others do not look at it.
        let path = write(&folder, "proxy.yaml", configuration);
        let log = File::create(folder.path().join("log")).expect("a file in it");
        let child = command(&path)
            .stdout(log.try_clone().expect("a second handle of the file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}; ./test installs it"));
        let mut started = Self { address, name, child, folder, is_shown };
        let asked = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            let ended = started.child.try_wait().expect("the state of a child");
            let waits = ended.is_none() && asked.elapsed() < PATIENCE;
            assert!(waits, "{name} does not listen ({ended:?})");
            sleep(LOOK_AGAIN).await;
        }
        started
    }
}

impl Drop for ProxyProcess {
    #[expect(clippy::print_stderr, reason = "what it said belongs to a failed test")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            let log = log.unwrap_or_else(|error| error.to_string());
            eprintln!("--- {}", self.name);
            log.lines().filter(|line| (self.is_shown)(line)).for_each(|line| eprintln!("{line}"));
        }
    }
}

/// A file of the repository with other text in some places, each of which is there once.
pub(crate) fn replaced<'a>(
    file: &str,
    places: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let text = std::fs::read_to_string(repository().join(file));
    let mut text = text.expect("a configuration of the repository");
    for (from, to) in places {
        assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
        text = text.replace(from, to);
    }
    text
}
