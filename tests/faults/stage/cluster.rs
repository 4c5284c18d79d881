//! Three primaries with a replica each. Workers reach a node through its proxy alone, as if it stood
//! there; the nodes speak to each other past the proxies. What is done is done to the first.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::sleep;
use transom_tests::Cluster;
use transom_tests::chaos::{Mode, Which};

use super::{BREAKABLE, Node, address, tell};
use crate::fault::Fault;

const PRIMARIES: usize = 3;
/// How long nodes may take to agree, and to replace one.
const WITHIN: Duration = Duration::from_secs(30);

pub(super) struct Sharded {
    cluster: Cluster,
    /// Primaries, then their replicas.
    nodes: Vec<Node>,
    /// Where the first shard is decided.
    first: usize,
}

impl Sharded {
    pub(super) async fn start() -> Self {
        let breakable = |_| {
            let settings = BREAKABLE.iter();
            settings.flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]).collect()
        };
        let cluster = Cluster::start_with(PRIMARIES, 1, breakable).await;
        let nodes = (0..2 * PRIMARIES).map(|place| Node::start(address(cluster.node(place))));
        let nodes = join_all(nodes).await;
        for node in &nodes {
            let port = node.proxy.address.port();
            node.does(&format!("CONFIG SET cluster-announce-port {port}")).await;
        }
        let sharded = Self { cluster, nodes, first: 0 };
        sharded.knows_the_proxies().await;
        sharded
    }

    /// Waits until every node tells clients of proxies alone.
    async fn knows_the_proxies(&self) {
        let started = Instant::now();
        for node in &self.nodes {
            loop {
                let slots = tell(node.address, "CLUSTER SLOTS").await;
                let tells = |port: u16| slots.contains(&format!(":{port}\r\n"));
                let mut others = self.nodes.iter();
                if others.all(|of| tells(of.proxy.address.port()) && !tells(of.address.port())) {
                    break;
                }
                assert!(started.elapsed() < WITHIN, "some proxies are not known: {slots}");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }

    pub(super) fn config(&self) -> String {
        let urls = self.nodes.iter().take(2).map(|node| node.proxy.address);
        let urls: Vec<_> = urls.map(|address| format!("\"redis://{address}\"")).collect();
        format!("mode = \"cluster\"\nnodes = [{}]", urls.join(", "))
    }

    pub(super) fn node(&self) -> &Node {
        &self.nodes[self.first]
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Those who decide now.
    pub(super) fn deciding(&self) -> Vec<&Node> {
        let others = self.nodes[1..PRIMARIES].iter();
        std::iter::once(self.node()).chain(others).collect()
    }

    pub(super) async fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::Failover => self.cluster.failover(PRIMARIES).await,
            Fault::Kill => self.cluster.kill(0),
            Fault::Stop => self.cluster.freeze(0),
            other => panic!("{other:?} is not done to a node of a cluster"),
        }
    }

    /// Waits until the replica is the primary.
    pub(super) async fn taken_over(&mut self) {
        self.cluster.promoted(PRIMARIES).await;
        self.first = PRIMARIES;
    }

    /// Brings the old primary back, which becomes a replica.
    pub(super) async fn restore(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.cluster.start_again(0).await,
            Fault::Stop => self.cluster.thaw(0),
            _ => self.nodes[0].proxy.set(Mode::Pass, Which::All).await,
        }
    }
}
