//! A master, its replica and three sentinels. Sentinels and workers reach a node through its proxy
//! alone, as if it stood there.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use transom_tests::chaos::{Mode, Which};
use transom_tests::sentinel::{DOWN_AFTER, MASTER, Sentinels};

use super::{Node, tell};
use crate::fault::Fault;

/// How long sentinels may take to find each other, and a failover.
const WITHIN: Duration = Duration::from_secs(30);

pub(super) struct Watched {
    sentinels: Sentinels,
    /// In the order of the nodes of `sentinels`.
    nodes: [Node; 2],
    master: usize,
}

impl Watched {
    pub(super) async fn start() -> Self {
        let sentinels = Sentinels::start().await;
        let [one, other] = sentinels.nodes.each_ref().map(|node| at(node.port));
        let nodes = [Node::start(one).await, Node::start(other).await];
        let watched = Self { sentinels, nodes, master: 0 };
        watched.all_do(&[format!("SENTINEL REMOVE {MASTER}")]).await;
        watched.replicate_through_the_proxy().await;
        watched.watch_the_proxies().await;
        watched
    }

    /// Has every sentinel carry these commands out.
    async fn all_do(&self, commands: &[String]) {
        for sentinel in &self.sentinels.sentinels {
            for command in commands {
                assert_eq!(tell(at(sentinel.port), command).await, "+OK\r\n", "{command}");
            }
        }
    }

    /// Lets each node say that it is where its proxy is. A master learns it of its replica when
    /// the replica comes anew.
    async fn replicate_through_the_proxy(&self) {
        let [master, replica] = &self.nodes;
        replica.does("REPLICAOF NO ONE").await;
        for node in &self.nodes {
            node.does("CONFIG SET replica-announce-ip 127.0.0.1").await;
            let port = node.proxy.address.port();
            node.does(&format!("CONFIG SET replica-announce-port {port}")).await;
        }
        replica.does(&format!("REPLICAOF 127.0.0.1 {}", master.proxy.address.port())).await;
        let started = Instant::now();
        while !tell(replica.address, "INFO replication").await.contains("master_link_status:up") {
            assert!(started.elapsed() < WITHIN, "the replica does not follow its master");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Has the sentinels watch the master behind its proxy.
    async fn watch_the_proxies(&self) {
        let master = self.nodes[0].proxy.address.port();
        let commands = [
            format!("SENTINEL MONITOR {MASTER} 127.0.0.1 {master} 2"),
            format!("SENTINEL SET {MASTER} down-after-milliseconds {}", DOWN_AFTER.as_millis()),
            format!("SENTINEL SET {MASTER} failover-timeout 5000"),
        ];
        self.all_do(&commands).await;
        let replica = format!("127.0.0.1:{}", self.nodes[1].proxy.address.port());
        for sentinel in &self.sentinels.sentinels {
            let started = Instant::now();
            loop {
                let master = tell(at(sentinel.port), &format!("SENTINEL MASTER {MASTER}")).await;
                let replicas =
                    tell(at(sentinel.port), &format!("SENTINEL REPLICAS {MASTER}")).await;
                let has = |said: &str, name: &str, value: &str| {
                    let mut lines = said.lines();
                    lines.any(|line| line == name) && lines.nth(1) == Some(value)
                };
                if has(&master, "num-other-sentinels", "2")
                    && has(&replicas, "name", &replica)
                    && has(&replicas, "master-link-status", "ok")
                {
                    break;
                }
                assert!(started.elapsed() < WITHIN, "no replica: {master} {replicas}");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }

    pub(super) fn config(&self) -> String {
        let nodes: Vec<_> =
            self.sentinels.urls("").iter().map(|url| format!("\"{url}\"")).collect();
        format!("mode = \"sentinel\"\nmaster = \"{MASTER}\"\nnodes = [{}]", nodes.join(", "))
    }

    pub(super) fn node(&self) -> &Node {
        &self.nodes[self.master]
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) async fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::Failover => self.sentinels.fail_over().await,
            Fault::Kill => self.sentinels.nodes[self.master].kill(),
            Fault::Stop => self.sentinels.nodes[self.master].freeze(),
            other => panic!("{other:?} is not done to a master that is watched"),
        }
    }

    /// Waits until the other node is the master.
    pub(super) async fn taken_over(&mut self) {
        let (other, started) = (1 - self.master, Instant::now());
        while !self.sentinels.nodes[other].is_master().await {
            assert!(started.elapsed() < WITHIN, "nobody takes over");
            sleep(Duration::from_millis(10)).await;
        }
        self.master = other;
    }

    /// Brings the old master back, which becomes a replica.
    pub(super) async fn restore(&mut self, fault: Fault) {
        let old = 1 - self.master;
        match fault {
            Fault::Kill => self.sentinels.nodes[old].start_again(),
            Fault::Stop => self.sentinels.nodes[old].thaw(),
            _ => self.nodes[old].proxy.set(Mode::Pass, Which::All).await,
        }
    }
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
