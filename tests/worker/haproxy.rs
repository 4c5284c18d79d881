//! HAProxy as a process, with the configuration of the compose file, in front of workers.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command};
use std::time::Instant;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;
use transom_tests::redis_server::{free_port, repository};

use crate::process::{LOOK_AGAIN, PATIENCE, text, write};

/// Where a worker listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// A load balancer. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct LoadBalancer {
    /// Where clients come.
    pub(crate) address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl LoadBalancer {
    /// Starts one and waits until it listens.
    pub(crate) async fn start(workers: &[Place]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a configuration");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let path = write(&folder, "haproxy.cfg", &configuration(address, workers));
        let log = File::create(folder.path().join("log")).expect("a file in it");
        let child = Command::new("haproxy")
            .args(["-db", "-f", text(&path)])
            .stdout(log.try_clone().expect("a second handle of the file"))
            .stderr(log)
            .spawn()
            .expect("haproxy is missing: ./test installs it, or use your packages");
        let mut started = Self { address, child, folder };
        let asked = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            let ended = started.child.try_wait().expect("the state of a child");
            let waits = ended.is_none() && asked.elapsed() < PATIENCE;
            assert!(waits, "haproxy does not listen ({ended:?})");
            sleep(LOOK_AGAIN).await;
        }
        started
    }
}

impl Drop for LoadBalancer {
    #[expect(clippy::print_stderr, reason = "what it said belongs to a failed test")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            let log = log.unwrap_or_else(|error| error.to_string());
            // Of what it says of requests, what went wrong is enough.
            let is_shown = |line: &&str| !line.contains(" edge workers/") || line.contains(" 50");
            eprintln!("--- haproxy");
            log.lines().filter(is_shown).for_each(|line| eprintln!("{line}"));
        }
    }
}

/// The file of the repository, with these addresses in the place of Docker's names.
fn configuration(address: SocketAddr, workers: &[Place]) -> String {
    let file = std::fs::read_to_string(repository().join("deploy/haproxy/haproxy.cfg"));
    let mut file = file.expect("the configuration of the compose file");
    let servers = |line: &dyn Fn(&Place) -> String| {
        let lines = workers.iter().enumerate();
        let lines = lines.map(|(number, place)| format!("server worker{number} {}", line(place)));
        lines.collect::<Vec<_>>().join("\n    ")
    };
    let docker = "resolvers docker resolve-prefer ipv4 init-addr none";
    let checked = servers(&|place| format!("{} check port {}", place.gateway, place.admin.port()));
    for (from, to) in [
        ("bind :8080".to_owned(), format!("bind {address}")),
        ("bind :8083".to_owned(), format!("bind 127.0.0.1:{}", free_port())),
        ("bind 127.0.0.1:8404".to_owned(), format!("bind 127.0.0.1:{}", free_port())),
        ("default-server check port 8083 inter".to_owned(), "default-server inter".to_owned()),
        (format!("server-template worker 32 worker:8080 {docker}"), checked),
        (
            format!("server-template admin 32 worker:8083 {docker}"),
            servers(&|place| format!("{} check", place.admin)),
        ),
    ] {
        assert_eq!(file.matches(&from).count(), 1, "{from} in {file}");
        file = file.replace(&from, &to);
    }
    file
}
