//! Envoy as a process, with the configuration in `deploy/envoy`, in front of an API and a worker.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Instant;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;
use transom_tests::redis_server::{free_port, repository};

use crate::process::{LOOK_AGAIN, PATIENCE, Worker, text, write};

/// Envoy. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Envoy {
    /// Where clients come.
    pub(super) address: SocketAddr,
    child: Child,
    folder: TempDir,
}

/// The binary, where `./test` could get one.
pub(super) fn binary() -> Option<PathBuf> {
    Some(repository().join("target/envoy/envoy")).filter(|binary| binary.exists())
}

impl Envoy {
    /// Starts one with more or other text in its file, and waits until it listens.
    pub(super) async fn start(
        binary: &PathBuf,
        worker: &Worker,
        api: SocketAddr,
        changes: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a configuration");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let path = write(&folder, "envoy.yaml", &configuration(address, worker, api, changes));
        let log = File::create(folder.path().join("log")).expect("a file in it");
        let child = Command::new(binary)
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "warning", "-c"])
            .arg(text(&path))
            .stdout(log.try_clone().expect("a second handle of the file"))
            .stderr(log)
            .spawn()
            .expect("an envoy that starts on this machine");
        let mut started = Self { address, child, folder };
        let asked = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            let ended = started.child.try_wait().expect("the state of a child");
            let waits = ended.is_none() && asked.elapsed() < PATIENCE;
            assert!(waits, "envoy does not listen ({ended:?})");
            sleep(LOOK_AGAIN).await;
        }
        started
    }
}

impl Drop for Envoy {
    #[expect(clippy::print_stderr, reason = "what it said belongs to a failed test")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            eprintln!("--- envoy\n{}", log.unwrap_or_else(|error| error.to_string()));
        }
    }
}

/// The file of the repository, with these addresses in the place of names.
fn configuration(
    address: SocketAddr,
    worker: &Worker,
    api: SocketAddr,
    changes: &[(&str, &str)],
) -> String {
    let file = std::fs::read_to_string(repository().join("deploy/envoy/envoy.yaml"));
    let mut file = file.expect("the configuration of the repository");
    let at = |address: SocketAddr| {
        format!("{{address: {}, port_value: {}}}", address.ip(), address.port())
    };
    let rls = at(worker.rls);
    let admin = format!("{{port_value: {}}}", worker.admin.port());
    let (address, api) = (at(address), at(api));
    let places = [
        ("{address: 0.0.0.0, port_value: 8080}", address.as_str()),
        ("{address: api, port_value: 3000}", &api),
        ("{address: worker, port_value: 8082}", &rls),
        ("{port_value: 8083}", &admin),
    ];
    for (from, to) in places.iter().chain(changes) {
        assert_eq!(file.matches(from).count(), 1, "{from} in {file}");
        file = file.replace(from, to);
    }
    file
}
