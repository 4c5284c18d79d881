//! A Redis of a test's own: a container where a Docker engine answers, else a `redis-server`
//! that the test starts itself on a free port. Never one that happens to run.
//! `TRANSOM_REDIS_SERVER` names another binary to start, of Redis or Valkey, and no container then.

use std::ffi::OsString;
use std::fs::File;
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::runtime::Handle;

use crate::signal;

/// The image and tag of the container.
const IMAGE: (&str, &str) = ("redis", "7-bookworm");
/// What a process says, in its folder.
const SAID: &str = "said";
/// How long a server may take to answer.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    /// Where it answers, `redis://…`.
    pub url: String,
    running: Running,
}

#[derive(Debug)]
struct Process {
    command: Command,
    child: Child,
    folder: TempDir,
}

#[derive(Debug)]
enum Running {
    Container { container: Option<Box<ContainerAsync<GenericImage>>>, runtime: Handle },
    Process(Box<Process>),
}

impl RedisServer {
    /// A server with the settings of the compose file: no eviction, nothing on disk.
    ///
    /// # Panics
    ///
    /// If none can be started; the message says what is missing.
    pub async fn start() -> Self {
        let in_container = named_binary().is_none() && engine_answers();
        let server = if in_container { Self::container().await } else { Self::process(&[]).await };
        server.ready().await;
        server
    }

    /// A `redis-server` of the machine, or the one that was named, with further arguments, in a folder of its own: for tests
    /// that need a socket, certificates, or break the server.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server`.
    pub async fn process(arguments: &[&str]) -> Self {
        Self::process_with(arguments, &[]).await
    }

    /// As [`process`](Self::process), with variables of its environment.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server`.
    pub async fn process_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let server = Self::spawn_on(free_port(), arguments, variables);
        server.ready().await;
        server
    }

    /// The same on this port, and without waiting until it answers.
    pub(crate) fn spawn_on(port: u16, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(binary());
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"])
            .arg("--dir")
            .arg(folder.path())
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(File::create(folder.path().join(SAID)).unwrap());
        let child = spawn(&mut command);
        let url = format!("redis://127.0.0.1:{port}");
        Self { url, running: Running::Process(Box::new(Process { command, child, folder })) }
    }

    /// Whether it runs, and is not frozen.
    pub(crate) fn runs(&self) -> bool {
        self.pid().is_none() || self.state().is_some_and(|state| !"TZ".contains(state))
    }

    /// The letter that the system has for what its process is doing, if it runs as one.
    fn state(&self) -> Option<char> {
        signal::state(self.pid()?)
    }

    /// Sends a signal to a server that runs as a process: `STOP` freezes it, `CONT` thaws it.
    ///
    /// # Panics
    ///
    /// If it runs as a container, or as [`signal`](signal::signal) does.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().expect("a test that breaks its server starts it as a process");
        signal::signal(pid, &[name]);
    }

    async fn container() -> Self {
        let (image, tag) = IMAGE;
        let container = GenericImage::new(image, tag)
            .with_exposed_port(6379.tcp())
            .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"))
            .with_cmd(["redis-server", "--save", "", "--maxmemory-policy", "noeviction"])
            .start()
            .await
            .expect("a Docker engine answers, but the image redis:7-bookworm cannot be started");
        let port = container.get_host_port_ipv4(6379).await.expect("a published port");
        Self {
            url: format!("redis://127.0.0.1:{port}"),
            running: Running::Container {
                container: Some(Box::new(container)),
                runtime: Handle::current(),
            },
        }
    }

    /// The process id, for a server that runs as a process.
    pub fn pid(&self) -> Option<u32> {
        match &self.running {
            Running::Process(process) => Some(process.child.id()),
            Running::Container { .. } => None,
        }
    }

    /// The folder of a server that runs as a process.
    pub fn folder(&self) -> Option<&Path> {
        match &self.running {
            Running::Process(process) => Some(process.folder.path()),
            Running::Container { .. } => None,
        }
    }

    /// Ends a server that runs as a process.
    ///
    /// # Panics
    ///
    /// If it runs as a container.
    pub fn stop(&mut self) {
        let Running::Process(process) = &mut self.running else {
            panic!("a test that breaks its server starts it as a process");
        };
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// Starts a server that was [stopped](Self::stop) on the same port, empty.
    ///
    /// # Panics
    ///
    /// If it runs as a container.
    pub async fn start_again(&mut self) {
        let Running::Process(process) = &mut self.running else {
            panic!("a test that breaks its server starts it as a process");
        };
        process.child = spawn(&mut process.command);
        self.ready().await;
    }

    /// A connection of its own.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    pub async fn connect(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(READY_WITHIN))
            .set_response_timeout(Some(READY_WITHIN));
        let connection = client.get_multiplexed_async_connection_with_config(&config).await;
        connection.expect("the test's redis answers")
    }

    /// What a process has said.
    fn said(&self) -> String {
        let file = self.folder().map(|folder| folder.join(SAID));
        file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default()
    }

    pub(crate) async fn ready(&self) {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        let started = Instant::now();
        loop {
            let answer = match client.get_multiplexed_async_connection().await {
                Ok(mut connection) => redis::cmd("PING").exec_async(&mut connection).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(()) => return,
                Err(_) if self.state() == Some('Z') => panic!("no redis: {}", self.said()),
                Err(error) => {
                    let is_late = started.elapsed() >= READY_WITHIN;
                    assert!(!is_late, "no redis: {error}: {}", self.said());
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        match &mut self.running {
            Running::Process(process) => {
                let _ = process.child.kill();
                let _ = process.child.wait();
            }
            Running::Container { container, runtime } => {
                // Its removal needs a runtime, which is not there at the end of a plain test.
                let _inside = runtime.enter();
                drop(container.take());
            }
        }
    }
}

fn spawn(command: &mut Command) -> Child {
    command.spawn().unwrap_or_else(|error| {
        let program = command.get_program().display();
        panic!("{program}: {error}; ./test installs redis-server, or use your packages")
    })
}

/// The binary that `TRANSOM_REDIS_SERVER` names.
fn named_binary() -> Option<OsString> {
    std::env::var_os("TRANSOM_REDIS_SERVER").filter(|name| !name.is_empty())
}

/// The binary that tests start.
pub fn binary() -> OsString {
    named_binary().unwrap_or_else(|| "redis-server".into())
}

/// Whether the binary that tests start was built with TLS: asked for a listener with TLS and given
/// no certificate, one with TLS misses the certificate, and one without refuses the listener.
///
/// # Panics
///
/// If there is no such binary.
pub fn has_tls() -> bool {
    let mut asked = Command::new(binary());
    asked.args(["--port", "0", "--save", "", "--tls-port", &free_port().to_string()]);
    let output = asked.output().expect("the binary that tests start");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).contains("tls-cert-file")
}

/// Whether a Docker engine answers on this machine.
pub fn engine_answers() -> bool {
    static ANSWERS: OnceLock<bool> = OnceLock::new();
    *ANSWERS.get_or_init(|| {
        let mut info = Command::new("docker");
        info.arg("info").stdout(Stdio::null()).stderr(Stdio::null());
        info.status().is_ok_and(|status| status.success())
    })
}

/// A port that nobody listens on, and that no other test of this process was given. It lies below
/// the ports that the system gives to clients, so that no connection takes it before its server
/// does; 10,000 above, where a node of a cluster has its bus, is as free.
///
/// # Panics
///
/// If the machine has none left.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    const RANGE: Range<u16> = 10_000..20_000;
    let span = RANGE.end - RANGE.start;
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    // Processes begin far apart, in case two run at a time.
    let begin = u16::try_from(std::process::id() * 31 % u32::from(span)).unwrap();
    for _ in 0..span {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed) % span;
        let port = RANGE.start + (begin + given) % span;
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
    panic!("no port of the machine is free");
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
