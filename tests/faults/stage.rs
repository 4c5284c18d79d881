//! A Redis of a cell's own, with a proxy in front of it, and how it is broken and mended.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::sleep;
use transom_tests::RedisServer;
use transom_tests::chaos::{Chaos, Mode, Which};
use transom_tests::redis_server::free_port;
use transom_tests::stepped_clock::SteppedClock;

use crate::fault::Fault;

/// A step of the clock.
const HOUR_US: i64 = 3_600_000_000;
/// How often scripts are flushed.
const FLUSH_EVERY: Duration = Duration::from_millis(50);
/// What loading one key takes, so that loading takes as long as the fault is to last.
const LOADED_EVERY: Duration = Duration::from_millis(1);
/// Settings that let a server be broken within seconds: scripts that take long are soon called
/// busy, and one that loads answers meanwhile.
const BREAKABLE: &[&str] = &[
    "--enable-debug-command",
    "local",
    "--lua-time-limit",
    "20",
    "--loading-process-events-interval-bytes",
    "1024",
];
/// Settings under which a server that is killed has lost nothing that it said.
const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// A single server and the way to it.
pub(crate) struct Stage {
    pub(crate) server: RedisServer,
    pub(crate) proxy: Chaos,
    clock: Option<SteppedClock>,
    flushing: Option<AbortHandle>,
    loading: Option<JoinHandle<String>>,
}

impl Stage {
    /// With what this fault needs.
    pub(crate) async fn start(fault: Fault) -> Self {
        let mut arguments = BREAKABLE.to_vec();
        if fault == Fault::Kill {
            arguments.extend(DURABLE);
        }
        let steps = matches!(fault, Fault::ClockBack | Fault::ClockForward);
        let clock = steps.then(SteppedClock::new);
        let variables = clock.iter().flat_map(SteppedClock::variables).collect::<Vec<_>>();
        let variables: Vec<_> = variables.iter().map(|(name, of)| (*name, of.as_str())).collect();
        let server = RedisServer::process_with(&arguments, &variables).await;
        let proxy = Chaos::start(address(&server)).await;
        Self { server, proxy, clock, flushing: None, loading: None }
    }

    /// Where workers find it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.proxy.address)
    }

    /// Breaks it. Some faults end by themselves after `lasts`.
    pub(crate) async fn inject(&mut self, fault: Fault, lasts: Duration) {
        if let Some(mode) = fault.mode() {
            return self.proxy.set(mode, Which::All).await;
        }
        match fault {
            Fault::Stop => self.server.signal("STOP"),
            Fault::Kill => self.server.stop(),
            Fault::ScriptFlush => self.flushing = Some(self.flush()),
            Fault::Loading => self.loading = Some(self.load(lasts).await),
            Fault::Busy => {
                let server = address(&self.server);
                tokio::spawn(async move { tell(server, "EVAL 'while true do end' 0").await });
            }
            Fault::OutOfMemory => self.tells("CONFIG SET maxmemory 1").await,
            Fault::ReadOnly => self.tells(&format!("REPLICAOF 127.0.0.1 {}", free_port())).await,
            Fault::ClockBack => self.step(-HOUR_US),
            Fault::ClockForward => self.step(HOUR_US),
            other => panic!("{other:?} makes no sense for a single server"),
        }
    }

    /// Mends it. When this returns, Redis is back.
    pub(crate) async fn mend(&mut self, fault: Fault) {
        if fault.mode().is_some() {
            return self.proxy.set(Mode::Pass, Which::All).await;
        }
        match fault {
            Fault::Stop => self.server.signal("CONT"),
            Fault::Kill => self.server.start_again().await,
            Fault::Busy => self.tells("SCRIPT KILL").await,
            Fault::OutOfMemory => self.tells("CONFIG SET maxmemory 0").await,
            Fault::ReadOnly => self.tells("REPLICAOF NO ONE").await,
            _ => {}
        }
        if let Some(flushing) = self.flushing.take() {
            flushing.abort();
        }
        if let Some(loading) = self.loading.take() {
            assert_eq!(loading.await.expect("a task that ends well"), "+OK\r\n");
        }
    }

    fn step(&self, us: i64) {
        self.clock.as_ref().expect("a server with a clock of its own").step(us);
    }

    /// Makes it load as many keys as take so long.
    async fn load(&self, lasts: Duration) -> JoinHandle<String> {
        let keys = lasts.as_millis() / LOADED_EVERY.as_millis();
        self.tells(&format!("CONFIG SET key-load-delay {}", LOADED_EVERY.as_micros())).await;
        self.tells(&format!("DEBUG POPULATE {keys} other 10")).await;
        let server = address(&self.server);
        tokio::spawn(async move { tell(server, "DEBUG RELOAD").await })
    }

    fn flush(&self) -> AbortHandle {
        let server = address(&self.server);
        let flushing = async move {
            loop {
                assert_eq!(tell(server, "SCRIPT FLUSH").await, "+OK\r\n");
                sleep(FLUSH_EVERY).await;
            }
        };
        tokio::spawn(flushing).abort_handle()
    }

    /// Has a command carried out, past the proxy.
    pub(crate) async fn tells(&self, command: &str) {
        assert_eq!(tell(address(&self.server), command).await, "+OK\r\n", "{command}");
    }
}

/// Where a server listens.
pub(crate) fn address(server: &RedisServer) -> SocketAddr {
    server.url.trim_start_matches("redis://").parse().expect("an address and a port")
}

/// Sends one command as a person would, and returns the first piece of the answer: a server that
/// is busy or loads answers nothing that a client library says before its first command.
pub(crate) async fn tell(server: SocketAddr, command: &str) -> String {
    let mut stream = TcpStream::connect(server).await.expect("a server that listens");
    stream.write_all(format!("{command}\r\n").as_bytes()).await.expect("a command that is sent");
    let mut answer = vec![0; 4_096];
    let length = stream.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
