//! Redis Cluster: which node has which slot, and what happens when that changes.
//!
//! Requests are routed here and not by the client library, which would send one again after a
//! timeout. A node that does not have a slot says so before anything has run, and who has it; the
//! request then goes there.

mod map;
mod reading;
mod route;
pub(crate) mod slot;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use transom_core::Unavailable;

pub(crate) use self::map::Address;
use self::map::{Map, Range};
use self::route::Redirected;
use crate::changes::Listener;
use crate::error::OpenError;
use crate::node::Node;
use crate::primary::{Dialer, Primary};
use crate::script::Script;
use crate::settings::Settings;

/// How often one request may be sent elsewhere.
pub(crate) const HOPS_MAX: u8 = 3;

/// The nodes of a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    this: Weak<Self>,
    /// How each node is reached: as the first of the configuration is.
    dialer: Dialer,
    lanes: usize,
    /// How many connections to a node there may be.
    connections: usize,
    script: Script,
    listener: Option<Listener>,
    map: ArcSwap<Map>,
    /// Held by who replaces the map.
    replacing: Mutex<()>,
    /// Why the map could not be read, the last time; counts the attempts.
    read: watch::Sender<(u64, Result<(), String>)>,
    /// Somebody has seen that the map may be out of date.
    stale: Arc<Notify>,
}

impl Cluster {
    /// Reads the map in the background and keeps it up to date, until all clones of this are gone.
    pub(crate) fn start(
        settings: &Settings,
        seeds: &[String],
        script: Script,
        listener: Option<Listener>,
    ) -> Result<Arc<Self>, OpenError> {
        let dialers = seeds.iter().map(|url| settings.dialer(url));
        let dialers = dialers.collect::<Result<Vec<_>, _>>()?;
        let Some(dialer) = dialers.first().cloned() else {
            return Err(OpenError::Address("a cluster takes the address of a node".to_owned()));
        };
        let seed = |dialer: &Dialer| {
            Ok((address_of(dialer)?, Primary::Fixed(dialer.pool(1)?, Arc::new(dialer.clone()))))
        };
        let seeds = dialers.iter().map(seed).collect::<Result<Vec<_>, OpenError>>()?;
        let cluster = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            dialer,
            lanes: settings.lanes,
            connections: settings.connections(),
            script,
            listener,
            map: ArcSwap::from_pointee(Map::empty()),
            replacing: Mutex::new(()),
            read: watch::Sender::new((0, Err("not connected yet".to_owned()))),
            stale: Arc::default(),
        });
        tokio::spawn(reading::keep_up(Arc::downgrade(&cluster), seeds));
        Ok(cluster)
    }

    /// The node that has a slot, as far as is known.
    pub(crate) fn of_slot(&self, slot: u16) -> Result<Arc<Node>, Unavailable> {
        let map = self.map.load();
        map.of_slot(slot).cloned().ok_or_else(|| {
            let reason = match (&self.read.borrow().1, map.nodes()) {
                (Err(reason), []) => reason.clone(),
                _ => format!("no node has slot {slot}"),
            };
            Unavailable::Unreachable { reason }
        })
    }

    /// Every primary.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.map.load().nodes().to_vec()
    }

    /// Resolves when a first attempt to read the map has ended.
    pub(crate) async fn tried(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.read.subscribe().wait_for(|(attempts, _)| *attempts > 0).await;
    }

    /// Whether all slots have nodes and these are as `of_node` wants them; else which are not.
    pub(crate) fn state(
        &self,
        of_node: impl Fn(&Node) -> Result<(), Unavailable>,
    ) -> Result<(), Unavailable> {
        let map = self.map.load();
        if let (Err(reason), []) = (&self.read.borrow().1, map.nodes()) {
            return Err(Unavailable::Unreachable { reason: reason.clone() });
        }
        let mut said: Vec<_> = map
            .nodes()
            .iter()
            .filter_map(|node| {
                let reason = match of_node(node).err()? {
                    Unavailable::Unreachable { reason } => reason,
                    other => other.to_string(),
                };
                Some(format!("{}: {reason}", node.address))
            })
            .collect();
        let uncovered = map.uncovered();
        if uncovered > 0 {
            said.push(format!("{uncovered} slots have no node"));
        }
        if said.is_empty() {
            return Ok(());
        }
        Err(Unavailable::Unreachable { reason: said.join("; ") })
    }

    /// Where what a node has refused is to go, if that is what it said. The map learns of it.
    fn follow(&self, said: &Unavailable, asked: &Address) -> Option<Redirect> {
        let Redirected { slot, address, asking } = Redirected::read(said, asked)?;
        let node = self.node_at(&address, (!asking).then_some(slot))?;
        if !asking {
            self.stale.notify_one();
        }
        Some(Redirect { node, asking })
    }

    /// The node at an address, which is made where there is none yet. The map learns that it has
    /// the slot.
    fn node_at(&self, address: &Address, slot: Option<u16>) -> Option<Arc<Node>> {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.map.load();
        let node = known.node(address).or_else(|| self.make(address))?;
        if !known.says(&node, slot) {
            let mut map = Map::clone(&known);
            map.add(&node, slot);
            self.map.store(Arc::new(map));
        }
        Some(node)
    }

    fn make(&self, address: &Address) -> Option<Arc<Node>> {
        let dialer = self.dialer.to(&address.host, address.port);
        match dialer.pool(self.connections) {
            Ok(pool) => {
                let member = Member { address: address.clone(), cluster: Weak::clone(&self.this) };
                let (primary, script) =
                    (Primary::Fixed(pool, Arc::new(dialer)), self.script.clone());
                let listener = self.listener.clone();
                Some(Arc::new(Node::start(primary, script, self.lanes, member, listener)))
            }
            Err(error) => {
                tracing::warn!(%address, %error, "a node of the cluster cannot be used");
                None
            }
        }
    }

    /// Puts a map in force. Nodes that are in it no more are given up, unless nobody else has what
    /// they had.
    fn install(&self, ranges: &[Range]) {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.map.load();
        let mut map = Map::of(ranges, |address| known.node(address).or_else(|| self.make(address)));
        map.keep(&known);
        if map.names() != known.names() {
            tracing::info!(primaries = map.names(), "the primaries of the cluster");
        }
        self.map.store(Arc::new(map));
    }
}

fn address_of(dialer: &Dialer) -> Result<Address, OpenError> {
    let alone = Member::of_none().address;
    Address::parse(&dialer.address(), &alone)
        .ok_or_else(|| OpenError::Address("a node of a cluster has a host and a port".to_owned()))
}

/// Where a request is to go, and whether it is to say that it was sent by another node.
#[derive(Debug)]
pub(crate) struct Redirect {
    pub(crate) node: Arc<Node>,
    pub(crate) asking: bool,
}

/// What a node's lanes know of its cluster.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) address: Address,
    cluster: Weak<Cluster>,
}

impl Member {
    /// Of no cluster.
    pub(crate) fn of_none() -> Self {
        let address = Address { host: "".into(), port: 0 };
        Self { address, cluster: Weak::new() }
    }

    /// Where requests go that the node has refused with these words, if they are to go anywhere.
    pub(crate) fn follow(&self, said: &Unavailable) -> Option<Redirect> {
        let cluster = self.cluster.upgrade()?;
        if matches!(said, Unavailable::Refused { code, .. } if code == "CLUSTERDOWN") {
            cluster.stale.notify_one();
        }
        cluster.follow(said, &self.address)
    }

    /// A connection to the node was lost: another may have taken its place.
    pub(crate) fn lost(&self) {
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.stale.notify_one();
        }
    }
}
