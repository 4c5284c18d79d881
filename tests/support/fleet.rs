//! A fleet: worker processes, and clients that keep them busy and write down every answer.

mod answer;
mod binary;
mod load;
mod scrape;
mod steady;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use answer::Answer;
pub use binary::worker_binary;
pub use load::{Ask, Client, Load, drive};
pub use scrape::{Metrics, Times};
pub use steady::{Sample, Steady, by_redis_permille, records};

const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
/// How long a worker may take until it serves.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// The end of what a worker wrote, shown when its test fails.
const SHOWN_LINES: usize = 40;

/// What the workers of a fleet have in common.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// How many.
    pub workers: usize,
    /// Where their Redis answers.
    pub redis_url: &'a str,
    /// What their keys begin with.
    pub prefix: &'a str,
    /// How long a decision may take. Long, so that no decision is made without Redis on a machine
    /// that is busy with other things.
    pub deadline: &'a str,
    /// The text of their configuration file.
    pub config: &'a str,
    /// Further variables of their environment.
    pub variables: &'a [(&'a str, &'a str)],
}

impl Default for Setup<'_> {
    /// Four workers with nothing configured but the deadline, 5 s.
    fn default() -> Self {
        Self {
            workers: 4,
            redis_url: "",
            prefix: "transom:1",
            deadline: "5s",
            config: "",
            variables: &[],
        }
    }
}

/// Running workers. They end when this is dropped.
#[derive(Debug)]
pub struct Fleet {
    /// In the order of their numbers.
    pub workers: Vec<Worker>,
    _folder: TempDir,
}

impl Fleet {
    /// Starts the workers and waits until all of them serve.
    ///
    /// # Panics
    ///
    /// If one does not; what it wrote is shown.
    pub fn start(setup: &Setup<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the fleet");
        let config = folder.path().join("transom.toml");
        std::fs::write(&config, setup.config).expect("a configuration file");
        let start = |number| {
            let log = folder.path().join(format!("worker-{number}.log"));
            Worker::start(setup, &config, log)
        };
        let mut workers: Vec<Worker> = (0..setup.workers).map(start).collect();
        for worker in &mut workers {
            worker.ready();
        }
        Self { workers, _folder: folder }
    }

    /// Where the decisions are asked for, of each worker.
    pub fn check_addresses(&self) -> Vec<SocketAddr> {
        self.workers.iter().map(|worker| worker.check).collect()
    }
}

/// A worker process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Worker {
    /// The reverse proxy to the built-in echo.
    pub gateway: SocketAddr,
    /// Decisions.
    pub check: SocketAddr,
    /// Decisions for Envoy.
    pub rls: SocketAddr,
    /// Health.
    pub admin: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Worker {
    /// Starts one on free ports of loopback.
    fn start(setup: &Setup<'_>, config: &Path, log: PathBuf) -> Self {
        let out = File::create(&log).expect("a file for what a worker writes");
        let child = Command::new(worker_binary())
            .arg("--config")
            .arg(config)
            .arg("serve")
            .env("TRANSOM__LISTEN__GATEWAY", ANY_PORT.to_string())
            .env("TRANSOM__LISTEN__CHECK", ANY_PORT.to_string())
            .env("TRANSOM__LISTEN__RLS", ANY_PORT.to_string())
            .env("TRANSOM__LISTEN__ADMIN", ANY_PORT.to_string())
            .envs((!setup.redis_url.is_empty()).then_some(("TRANSOM__REDIS__URL", setup.redis_url)))
            .env("TRANSOM__REDIS__PREFIX", setup.prefix)
            .env("TRANSOM__REDIS__DEADLINE", setup.deadline)
            .envs(setup.variables.iter().copied())
            .stdout(out.try_clone().expect("a second handle of the file"))
            .stderr(out)
            .spawn()
            .expect("the binary that was just built");
        Self { gateway: ANY_PORT, check: ANY_PORT, rls: ANY_PORT, admin: ANY_PORT, child, log }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has said where it listens, which it does when it has bound all.
    fn ready(&mut self) {
        let started = Instant::now();
        loop {
            if let [Some(gateway), Some(check), Some(rls), Some(admin)] =
                ["gateway", "check", "rls", "admin"].map(|name| self.said(name))
            {
                (self.gateway, self.check, self.rls, self.admin) = (gateway, check, rls, admin);
                return;
            }
            let ended = self.child.try_wait().expect("the state of a child");
            let waited = started.elapsed();
            assert!(
                ended.is_none() && waited < READY_WITHIN,
                "a worker does not serve after {waited:?} ({ended:?})"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The address in a whole line such as `  gateway  http://127.0.0.1:8080  ...`.
    fn said(&self, listener: &str) -> Option<SocketAddr> {
        let text = std::fs::read_to_string(&self.log).ok()?;
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let mut words = lines.map(str::split_whitespace);
        let mut line = words.find(|words| words.clone().next() == Some(listener))?;
        line.nth(1)?.strip_prefix("http://")?.parse().ok()
    }

    /// The end of what it wrote.
    fn last_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

impl Drop for Worker {
    #[expect(clippy::print_stderr, reason = "what a worker said belongs to a failed test")]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.last_lines());
        }
    }
}

/// The clients' clock: nanoseconds since its first use, never stepping.
pub fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether the durations of `PROMISES.md` are asked for (`./test --long`).
pub fn long() -> bool {
    std::env::var_os("TRANSOM_LONG").is_some()
}
