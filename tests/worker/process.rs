//! The binary as a process: a worker that serves, or a command that ends.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::sleep;
use transom_tests::fleet::worker_binary;
use transom_tests::signal;

/// How long a process may take to serve, or to end. Long, for a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How often a state is looked at that is waited for.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The last line of a banner begins with this.
const LAST_WORDS: &str = "\n  curl -i ";

/// The file of a worker.
pub(crate) const CONFIG_FILE: &str = "transom.toml";

/// Listeners on any free ports; the banner names them.
pub(crate) const FREE_PORTS: [(&str, &str); 4] = [
    ("TRANSOM__LISTEN__GATEWAY", "127.0.0.1:0"),
    ("TRANSOM__LISTEN__CHECK", "127.0.0.1:0"),
    ("TRANSOM__LISTEN__RLS", "127.0.0.1:0"),
    ("TRANSOM__LISTEN__ADMIN", "127.0.0.1:0"),
];

/// What the allocator reads: memory comes in small pages, so that what is held can be told from how
/// the kernel rounds it. With pages of 2 MiB a few KiB in each of many places are many MiB.
const SMALL_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "0");

/// How a command ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; none where a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// A process. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    /// Starts the binary with these arguments and no variables but these, and [`SMALL_PAGES`].
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for what a process writes");
        let file = |name| File::create(folder.path().join(name)).expect("a file in it");
        let child = Command::new(worker_binary())
            .args(arguments)
            .env_clear()
            .envs(variables.iter().copied())
            .envs([SMALL_PAGES])
            .current_dir(folder.path())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("the binary that was just built");
        Self { child, folder }
    }

    /// Waits until it ends.
    pub(crate) async fn end(&mut self) -> Ended {
        let started = Instant::now();
        while self.exit_status().is_none() {
            assert!(started.elapsed() < PATIENCE, "it does not end: {}", self.all_said());
            sleep(LOOK_AGAIN).await;
        }
        Ended {
            code: self.exit_status().and_then(|status| status.code()),
            stdout: self.said("stdout"),
            stderr: self.said("stderr"),
        }
    }

    /// What it holds open, and the memory that it takes, in KiB.
    pub(crate) fn holds(&self) -> (usize, u64) {
        let of = PathBuf::from(format!("/proc/{}", self.child.id()));
        let open = std::fs::read_dir(of.join("fd")).expect("its descriptors").count();
        let status = std::fs::read_to_string(of.join("status")).expect("its status");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = memory.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        (open, kib.expect("a number of KiB"))
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), &[name]);
    }

    /// Sends several signals, one right after the other.
    pub(crate) fn signals(&self, names: &[&str]) {
        signal(self.child.id(), names);
    }

    /// Standard output and standard error so far.
    pub(crate) fn all_said(&self) -> String {
        self.said("stdout") + &self.said("stderr")
    }

    fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("a file of this process")
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    Process::start(arguments, variables).end().await
}

/// A worker that serves.
#[derive(Debug)]
pub(crate) struct Worker {
    /// The reverse proxy.
    pub(crate) gateway: SocketAddr,
    /// Decisions.
    pub(crate) check: SocketAddr,
    /// Decisions for Envoy.
    pub(crate) rls: SocketAddr,
    /// Health and metrics.
    pub(crate) admin: SocketAddr,
    /// What it printed at the start.
    pub(crate) banner: String,
    /// The process.
    pub(crate) process: Process,
    /// Where its file is, if it has one of its own. It reads that file for as long as it runs.
    pub(crate) folder: Option<TempDir>,
}

impl Worker {
    /// Starts a worker with this file, in TOML, and waits until it serves.
    pub(crate) async fn start(config: &str) -> Self {
        Self::with(config, &[]).await
    }

    /// Starts a worker with this file and these variables, and waits until it serves.
    pub(crate) async fn with(config: &str, variables: &[(&str, &str)]) -> Self {
        Self::with_arguments(&[], config, variables).await
    }

    /// Starts a worker with these arguments, this file and these variables, and waits until it
    /// serves.
    pub(crate) async fn with_arguments(
        arguments: &[&str],
        config: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder for a configuration");
        let path = write(&folder, CONFIG_FILE, config);
        let mut worker = Self::with_file(arguments, &path, variables).await;
        worker.folder = Some(folder);
        worker
    }

    /// Starts a worker with these arguments, a file that stands somewhere and these variables, and
    /// waits until it serves.
    pub(crate) async fn with_file(
        arguments: &[&str],
        path: &Path,
        variables: &[(&str, &str)],
    ) -> Self {
        let variables = [&[("TRANSOM_CONFIG", text(path))], variables].concat();
        Self::serving(arguments, &variables).await
    }

    /// Starts a worker with nothing configured but its ports, and waits until it serves.
    pub(crate) async fn by_default() -> Self {
        Self::serving(&[], &[]).await
    }

    async fn serving(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut process = Process::start(arguments, &[&FREE_PORTS[..], variables].concat());
        let started = Instant::now();
        let banner = loop {
            let said = process.said("stdout");
            if said.contains(LAST_WORDS) && said.ends_with('\n') {
                break said;
            }
            let ended = process.exit_status();
            assert!(ended.is_none(), "a worker ended ({ended:?}): {}", process.all_said());
            assert!(started.elapsed() < PATIENCE, "no banner: {}", process.all_said());
            sleep(LOOK_AGAIN).await;
        };
        let [gateway, check, rls, admin] =
            ["gateway", "check", "rls", "admin"].map(|listener| address(&banner, listener));
        Self { gateway, check, rls, admin, banner, process, folder: None }
    }

    /// Puts another file in the place of the one that it was started with, as a whole.
    pub(crate) fn configure(&self, config: &str) {
        let folder = self.folder.as_ref().expect("a worker with a file of its own");
        let next = write(folder, "next.toml", config);
        std::fs::rename(next, folder.path().join(CONFIG_FILE)).expect("a file in the same folder");
    }

    /// Waits until the log has this line or part of a line, so many times.
    pub(crate) async fn says(&self, part: &str, times: usize) {
        let asked = Instant::now();
        while self.process.all_said().matches(part).count() < times {
            assert!(asked.elapsed() < PATIENCE, "{part:?} is not said {times} times");
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl Drop for Worker {
    #[expect(clippy::print_stderr, reason = "what a worker said belongs to a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the worker on {}\n{}", self.gateway, self.process.all_said());
        }
    }
}

/// Where a banner says that a listener is.
fn address(banner: &str, listener: &str) -> SocketAddr {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut lines = banner.lines().map(words);
    let line = lines.find(|line| line.first().is_some_and(|first| first == listener));
    let url = line.and_then(|line| line.get(1).cloned());
    let url = url.unwrap_or_else(|| panic!("the banner does not name {listener}: {banner}"));
    url.trim_start_matches("http://").parse().expect("an address in the banner")
}

/// Writes a file of a test.
pub(crate) fn write(folder: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).expect("a file of this test");
    path
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in plain letters")
}
