//! A Redis of a cell's own, with a proxy in front of each server that decides, and how it is
//! broken and mended.

mod cluster;
mod sentinel;
mod single;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::sleep;
use transom_tests::RedisServer;
use transom_tests::chaos::{Chaos, Mode, Which};
use transom_tests::redis_server::free_port;
use transom_tests::windows::Windows;

use crate::fault::Fault;
use cluster::Sharded;
use sentinel::Watched;
use single::Single;

/// How often scripts are flushed.
const FLUSH_EVERY: Duration = Duration::from_millis(50);
/// What loading one key takes, so that loading takes as long as the fault is to last.
const LOADED_EVERY: Duration = Duration::from_millis(1);
/// Settings that let a server be broken within seconds: scripts that take long are soon called
/// busy, and one that loads answers meanwhile.
const BREAKABLE: [(&str, &str); 3] = [
    ("enable-debug-command", "local"),
    ("lua-time-limit", "20"),
    ("loading-process-events-interval-bytes", "1024"),
];

/// What workers stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topology {
    /// One server.
    Single,
    /// A master and its replica, and three sentinels.
    Sentinel,
    /// Three primaries with a replica each.
    Cluster,
}

/// One server, and the way to it.
struct Node {
    address: SocketAddr,
    proxy: Chaos,
}

enum Servers {
    Single(Single),
    Sentinel(Box<Watched>),
    Cluster(Sharded),
}

/// A Redis, and what is being done to it.
pub(crate) struct Stage {
    servers: Servers,
    flushing: Vec<AbortHandle>,
    loading: Option<JoinHandle<String>>,
}

impl Stage {
    /// With what this fault needs.
    pub(crate) async fn start(topology: Topology, fault: Fault) -> Self {
        let servers = match topology {
            Topology::Single => Servers::Single(Single::start(fault).await),
            Topology::Sentinel => Servers::Sentinel(Box::new(Watched::start().await)),
            Topology::Cluster => Servers::Cluster(Sharded::start().await),
        };
        Self { servers, flushing: Vec::new(), loading: None }
    }

    /// How workers find it, as lines of their section `redis`.
    pub(crate) fn config(&self) -> String {
        match &self.servers {
            Servers::Single(single) => format!("url = \"redis://{}\"", single.node.proxy.address),
            Servers::Sentinel(watched) => watched.config(),
            Servers::Cluster(sharded) => sharded.config(),
        }
    }

    /// Whether another server has to take over before Redis is back.
    pub(crate) fn fails_over(&self, fault: Fault) -> bool {
        use Fault::{BlackHole, Failover, Kill, Refuse, Stop};
        match self.servers {
            Servers::Single(_) => false,
            Servers::Sentinel(_) => matches!(fault, Refuse | BlackHole | Stop | Kill | Failover),
            // Its nodes see each other past the proxies.
            Servers::Cluster(_) => matches!(fault, Stop | Kill | Failover),
        }
    }

    /// Breaks it. Some faults end by themselves after `lasts`.
    pub(crate) async fn inject(&mut self, fault: Fault, lasts: Duration) {
        if let Some(mode) = fault.mode() {
            return self.node().proxy.set(mode, Which::All).await;
        }
        match fault {
            Fault::ScriptFlush => self.flushing = self.nodes().iter().map(flush).collect(),
            Fault::Loading => self.loading = Some(load(self.node().address, lasts).await),
            Fault::Busy => {
                let address = self.node().address;
                tokio::spawn(async move { tell(address, "EVAL 'while true do end' 0").await });
            }
            Fault::OutOfMemory => self.node().does("CONFIG SET maxmemory 1").await,
            Fault::ReadOnly => {
                self.node().does(&format!("REPLICAOF 127.0.0.1 {}", free_port())).await;
            }
            other => match &mut self.servers {
                Servers::Single(single) => single.inject(other),
                Servers::Sentinel(watched) => watched.inject(other).await,
                Servers::Cluster(sharded) => sharded.inject(other).await,
            },
        }
    }

    /// Mends it, or waits until another server has taken over. When this returns, Redis is back.
    pub(crate) async fn mend(&mut self, fault: Fault) {
        self.flushing.drain(..).for_each(|flushing| flushing.abort());
        if self.fails_over(fault) {
            match &mut self.servers {
                Servers::Single(_) => {}
                Servers::Sentinel(watched) => watched.taken_over().await,
                Servers::Cluster(sharded) => sharded.taken_over().await,
            }
            return;
        }
        if fault.mode().is_some() {
            return self.node().proxy.set(Mode::Pass, Which::All).await;
        }
        match fault {
            Fault::Busy => self.node().does("SCRIPT KILL").await,
            Fault::OutOfMemory => self.node().does("CONFIG SET maxmemory 0").await,
            Fault::ReadOnly => self.node().does("REPLICAOF NO ONE").await,
            Fault::Loading => {
                let loading = self.loading.take().expect("a server that loads");
                assert_eq!(loading.await.expect("a task that ends well"), "+OK\r\n");
            }
            other => {
                if let Servers::Single(single) = &mut self.servers {
                    single.mend(other).await;
                }
            }
        }
    }

    /// Mends what was left broken for another server to take over.
    pub(crate) async fn restore(&mut self, fault: Fault) {
        if !self.fails_over(fault) {
            return;
        }
        match &mut self.servers {
            Servers::Single(_) => {}
            Servers::Sentinel(watched) => watched.restore(fault).await,
            Servers::Cluster(sharded) => sharded.restore(fault).await,
        }
    }

    /// Connections through the proxy: the most at a time, and how many were made since. Where a
    /// proxy is in front of more than workers nobody knows whose they are.
    pub(crate) fn connections(&self, since: Instant) -> Option<[usize; 2]> {
        match &self.servers {
            Servers::Single(Single { node, .. }) => {
                let made = node.proxy.accepts_since(since).iter().sum();
                Some([node.proxy.most_open(), made])
            }
            Servers::Sentinel(_) | Servers::Cluster(_) => None,
        }
    }

    /// The windows of whoever decides now, read past the proxies.
    pub(crate) async fn windows(&self, prefix: &str) -> Vec<Windows> {
        let deciding = match &self.servers {
            Servers::Cluster(sharded) => sharded.deciding(),
            _ => vec![self.node()],
        };
        let mut windows = Vec::new();
        for node in deciding {
            let client = redis::Client::open(format!("redis://{}", node.address));
            let connection = client.expect("an address").get_multiplexed_async_connection().await;
            let mut connection = connection.expect("a server that answers");
            windows.push(Windows::read(&mut connection, prefix).await);
        }
        windows
    }

    /// The server that decides, or one of them.
    fn node(&self) -> &Node {
        match &self.servers {
            Servers::Single(single) => &single.node,
            Servers::Sentinel(watched) => watched.node(),
            Servers::Cluster(sharded) => sharded.node(),
        }
    }

    fn nodes(&self) -> &[Node] {
        match &self.servers {
            Servers::Single(single) => std::slice::from_ref(&single.node),
            Servers::Sentinel(watched) => watched.nodes(),
            Servers::Cluster(sharded) => sharded.nodes(),
        }
    }
}

impl Node {
    async fn start(address: SocketAddr) -> Self {
        Self { address, proxy: Chaos::start(address).await }
    }

    /// Carries a command out, past the proxy.
    async fn does(&self, command: &str) {
        assert_eq!(tell(self.address, command).await, "+OK\r\n", "{command}");
    }
}

/// Flushes the scripts of a server again and again.
fn flush(node: &Node) -> AbortHandle {
    let address = node.address;
    let flushing = async move {
        loop {
            assert_eq!(tell(address, "SCRIPT FLUSH").await, "+OK\r\n");
            sleep(FLUSH_EVERY).await;
        }
    };
    tokio::spawn(flushing).abort_handle()
}

/// Makes a server load as many keys as take so long.
async fn load(address: SocketAddr, lasts: Duration) -> JoinHandle<String> {
    let keys = lasts.as_millis() / LOADED_EVERY.as_millis();
    let delay = LOADED_EVERY.as_micros();
    assert_eq!(tell(address, &format!("CONFIG SET key-load-delay {delay}")).await, "+OK\r\n");
    assert_eq!(tell(address, &format!("DEBUG POPULATE {keys} other 10")).await, "+OK\r\n");
    tokio::spawn(async move { tell(address, "DEBUG RELOAD").await })
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
