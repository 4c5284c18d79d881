//! A running stack of the compose file, with names, ports and a network of its own.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use transom_tests::redis_server::free_port;

use crate::docker::{Compose, docker, done, lines};

/// Who has it may act as an operator.
pub(crate) const ADMIN_TOKEN: &str = "operators-of-a-test";
/// The image, under a name that no other project uses. Its two services are one image.
const IMAGE: &str = "transom-containers-test";
/// How long a container may take until it is well.
const WELL_WITHIN: Duration = Duration::from_secs(60);
/// The end of a container's log, shown when its test fails.
const SHOWN_LINES: &str = "25";

/// What is laid over the compose file, but for the configuration file's place. The deadline is
/// long, so that no decision is made without Redis on a machine that is busy with other things.
const OVER: &str = r#"
services:
  demo-api:
    image: IMAGE
  worker:
    image: IMAGE
    environment:
      TRANSOM_CONFIG: /etc/transom.toml
      TRANSOM__LOG__DECISIONS: "true"
      TRANSOM__LOG__FORMAT: json
      TRANSOM__REDIS__DEADLINE: 5s
    volumes: ["FOLDER/transom.toml:/etc/transom.toml:ro"]
  redis:
    ports: ["127.0.0.1::6379"]
"#;

/// A running stack. It is taken down, with its volumes, when this is dropped.
#[derive(Debug)]
pub(crate) struct Stack {
    compose: Compose,
    name: String,
    net: String,
    port: u16,
    folder: TempDir,
}

impl Stack {
    /// Builds the image, unless this run has, and starts so many workers with this configuration.
    ///
    /// # Panics
    ///
    /// If that fails, or Compose does not say within a minute that all is well.
    pub(crate) fn up(compose: Compose, workers: usize, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the stack");
        let over = OVER.replace("IMAGE", IMAGE).replace("FOLDER", &folder.path().to_string_lossy());
        fs::write(folder.path().join("over.yml"), over).expect("a compose file");
        fs::write(folder.path().join("transom.toml"), config).expect("a configuration file");
        let port = free_port();
        let name = format!("transom-test-{port}");
        let stack = Self { compose, name, net: free_net(), port, folder };
        static BUILT: OnceLock<()> = OnceLock::new();
        BUILT.get_or_init(|| stack.build());
        stack.scale(workers);
        stack
    }

    /// Builds the image, and removes the one that had its name before.
    fn build(&self) {
        let id = || lines(&["images", "-q", "--no-trunc", IMAGE]);
        let before = id();
        self.compose(&["build", "worker"]);
        if let [before] = before.as_slice()
            && before != &id()[0]
        {
            // Another run may be using it.
            let _ = Command::new("docker").args(["rmi", before]).output();
        }
    }

    /// Starts what is not running, so many workers in all, and waits until all are well.
    pub(crate) fn scale(&self, workers: usize) {
        let scale = format!("worker={workers}");
        self.compose(&["up", "-d", "--no-build", "--no-recreate", "--scale", &scale]);
        let containers = self.containers(None);
        for container in &containers {
            self.well(container);
        }
        assert_eq!(containers.len(), workers + 3, "beside the workers: redis, lb, demo-api");
    }

    /// Where the load balancer answers.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts its Prometheus, and says where that answers.
    pub(crate) fn observe(&self) -> SocketAddr {
        self.compose(&["up", "-d", "--no-build", "--no-recreate", "--no-deps", "prometheus"]);
        for container in self.containers(Some("prometheus")) {
            self.well(&container);
        }
        let output = self.compose(&["port", "prometheus", "9090"]);
        output.trim().parse().expect("an address")
    }

    /// Where operators get in.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.compose(&["port", "lb", "8083"]).trim().parse().expect("an address")
    }

    /// The URL of its Redis.
    pub(crate) fn redis_url(&self) -> String {
        let output = self.compose(&["port", "redis", "6379"]);
        format!("redis://{}", output.trim())
    }

    /// What the load balancer takes a client on this machine for.
    pub(crate) fn gateway_address(&self) -> String {
        format!("{}.1", self.net)
    }

    /// The ids of the workers' containers, running or not, by name.
    pub(crate) fn workers(&self) -> Vec<String> {
        self.containers(Some("worker"))
    }

    /// The ids of the containers of one service or of all, by name.
    fn containers(&self, service: Option<&str>) -> Vec<String> {
        let mut list = vec!["ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}}", "--filter"];
        let project = format!("label=com.docker.compose.project={}", self.name);
        let service = service.map(|name| format!("label=com.docker.compose.service={name}"));
        list.push(&project);
        if let Some(service) = &service {
            list.extend(["--filter", service]);
        }
        let mut found = lines(&list);
        found.sort_unstable();
        let ids = found.iter().filter_map(|line| line.split_once(' '));
        ids.map(|(_, id)| id.to_owned()).collect()
    }

    /// Waits until the health check of a container has passed.
    pub(crate) fn well(&self, container: &str) {
        let started = Instant::now();
        loop {
            let said = lines(&["inspect", "--format", "{{.State.Health.Status}}", container]);
            if said == ["healthy"] {
                return;
            }
            assert!(started.elapsed() < WELL_WITHIN, "{container}: {said:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Everything a container has written, on both of its streams.
    pub(crate) fn log(container: &str) -> String {
        let output = docker(&["logs", container]);
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&both).into_owned()
    }

    /// Runs a command of Compose on this stack and returns what it prints.
    fn compose(&self, arguments: &[&str]) -> String {
        let output = done(self.command().args(arguments));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn command(&self) -> Command {
        let mut command = self.compose.project(&self.name, &self.folder.path().join("over.yml"));
        command.env("TRANSOM_NET", &self.net).env("TRANSOM_PORT", self.port.to_string());
        // Any that is free.
        command.env("TRANSOM_PROMETHEUS_PORT", "0").env("TRANSOM_ADMIN_PORT", "0");
        command.env("TRANSOM_ADMIN_TOKEN", ADMIN_TOKEN);
        command
    }
}

impl Drop for Stack {
    #[expect(clippy::print_stderr, reason = "what the containers said belongs to a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for arguments in
                [["ps", "-a"].as_slice(), &["logs", "--no-color", "--tail", SHOWN_LINES]]
            {
                if let Ok(output) = self.command().args(arguments).output() {
                    eprintln!("{}", String::from_utf8_lossy(&output.stdout));
                }
            }
        }
        // Nothing in it is worth a graceful end.
        let mut down = self.command();
        down.args(["--profile", "observability", "down", "-v", "--remove-orphans", "-t", "0"]);
        let down = down.output();
        if !down.is_ok_and(|output| output.status.success()) {
            eprintln!("the stack {} was not taken down", self.name);
        }
    }
}

/// The first three numbers of a network that no other of this engine's is in. The range is one
/// that is set aside for tests of networks, so the machine is in none of it either.
fn free_net() -> String {
    let networks = lines(&["network", "ls", "-q"]);
    let mut inspect =
        vec!["network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}"];
    inspect.extend(networks.iter().map(String::as_str));
    // One may be gone by now.
    let taken = Command::new("docker").args(&inspect).output().expect("docker");
    let taken = String::from_utf8_lossy(&taken.stdout);
    loop {
        let net = format!("198.{}.{}", fastrand::u8(18..=19), fastrand::u8(..));
        if !taken.lines().any(|subnet| subnet.starts_with(&format!("{net}."))) {
            return net;
        }
    }
}
