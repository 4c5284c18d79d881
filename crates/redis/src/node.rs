//! One server: its lanes, and the connection that carries what is not a decision. One server has
//! all keys, or those of its slots.

use std::sync::{Arc, Weak};

use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::task::JoinSet;
use transom_core::Unavailable;

use crate::changes::Listener;
use crate::cluster::{Address, Cluster, Member, slot};
use crate::connection::Shared;
use crate::ears::Ears;
use crate::error;
use crate::lane::Lanes;
use crate::primary::Primary;
use crate::script::Script;

/// A server that decides.
#[derive(Debug)]
pub(crate) struct Node {
    /// Where it is in its cluster.
    pub(crate) address: Address,
    pub(crate) primary: Primary,
    pub(crate) lanes: Lanes,
    /// Whether changes at it are heard of.
    pub(crate) ears: Ears,
    control: Shared,
    _listening: Option<JoinSet<()>>,
}

impl Node {
    /// Starts the lanes, which connect on their own, and listens for changes.
    pub(crate) fn start(
        primary: Primary,
        script: Script,
        lanes: usize,
        member: Member,
        listener: Option<Listener>,
    ) -> Self {
        let (address, control) = (member.address.clone(), Shared::start(primary.clone()));
        let lanes = Lanes::start(&primary, script, lanes, member);
        let ears = Ears::new();
        let listening =
            listener.map(|listener| listener.start(primary.clone(), control.clone(), ears.clone()));
        Self { address, primary, lanes, ears, control, _listening: listening }
    }

    /// Sends one command. `asking` is for a slot that is being moved to this node.
    pub(crate) async fn send(&self, command: &Cmd, asking: bool) -> Result<Value, Unavailable> {
        let mut connection = self.control.get().await?;
        let answer = if asking {
            let mut both = redis::pipe();
            both.cmd("ASKING").ignore().add_command(command.clone()).ignore_errors();
            let answers: RedisResult<Vec<RedisResult<Value>>> =
                both.query_async(&mut connection).await;
            answers.and_then(|mut answers| answers.pop().unwrap_or(Ok(Value::Nil)))
        } else {
            command.query_async(&mut connection).await
        };
        answer.map_err(|error| error::of_call(&error))
    }

    /// Sends some commands at once, each of which gets an answer of its own.
    pub(crate) async fn send_each(
        &self,
        commands: &mut Pipeline,
    ) -> Result<Vec<RedisResult<Value>>, Unavailable> {
        let mut connection = self.control.get().await?;
        let answers = commands.ignore_errors().query_async(&mut connection).await;
        answers.map_err(|error| error::of_call(&error))
    }

    /// Sends some commands at once, as a transaction if they are one.
    async fn send_all(&self, commands: &Pipeline) -> Result<Value, Unavailable> {
        let mut connection = self.control.get().await?;
        commands.query_async(&mut connection).await.map_err(|error| error::of_call(&error))
    }
}

/// The servers that decide.
#[derive(Clone, Debug)]
pub(crate) enum Nodes {
    /// One, which has all keys.
    One(Arc<Node>),
    /// Those of a cluster, each of which has the keys of some slots.
    Cluster(Arc<Cluster>),
}

/// As [`Nodes`], which end when nobody else uses them.
#[derive(Clone, Debug)]
pub(crate) enum WeakNodes {
    One(Weak<Node>),
    Cluster(Weak<Cluster>),
}

impl WeakNodes {
    pub(crate) fn upgrade(&self) -> Option<Nodes> {
        Some(match self {
            Self::One(node) => Nodes::One(node.upgrade()?),
            Self::Cluster(cluster) => Nodes::Cluster(cluster.upgrade()?),
        })
    }
}

impl Nodes {
    pub(crate) fn downgrade(&self) -> WeakNodes {
        match self {
            Self::One(node) => WeakNodes::One(Arc::downgrade(node)),
            Self::Cluster(cluster) => WeakNodes::Cluster(Arc::downgrade(cluster)),
        }
    }

    /// The node that has a key, and the key's slot; where there is one node, all keys are in one.
    pub(crate) fn of_key(&self, key: &str) -> Result<(Arc<Node>, u16), Unavailable> {
        match self {
            Self::One(node) => Ok((Arc::clone(node), 0)),
            Self::Cluster(cluster) => {
                let slot = slot::of_key(key.as_bytes());
                Ok((cluster.of_slot(slot)?, slot))
            }
        }
    }

    /// Whether it is this node that has the slot.
    pub(crate) fn is_of_slot(&self, node: &Arc<Node>, slot: u16) -> bool {
        match self {
            Self::One(_) => true,
            Self::Cluster(cluster) => {
                cluster.of_slot(slot).is_ok_and(|known| Arc::ptr_eq(&known, node))
            }
        }
    }

    /// All of them, and how each is called where there are several.
    pub(crate) fn all(&self) -> Vec<(Option<String>, Arc<Node>)> {
        match self {
            Self::One(node) => vec![(None, Arc::clone(node))],
            Self::Cluster(cluster) => {
                let nodes = cluster.nodes().into_iter();
                nodes.map(|node| (Some(node.address.to_string()), node)).collect()
            }
        }
    }

    /// Resolves when a first attempt to connect has ended at each.
    pub(crate) async fn tried(&self) {
        if let Self::Cluster(cluster) = self {
            cluster.tried().await;
        }
        for (_, node) in self.all() {
            node.lanes.tried().await;
        }
    }

    /// Whether each is connected; else what the last attempt said.
    pub(crate) fn connected(&self) -> Result<(), Unavailable> {
        match self {
            Self::One(node) => node.lanes.connected(),
            Self::Cluster(cluster) => cluster.state(|node| node.lanes.connected()),
        }
    }

    /// Whether requests are sent to each; else why not.
    pub(crate) fn state(&self) -> Result<(), Unavailable> {
        match self {
            Self::One(node) => node.lanes.state(),
            Self::Cluster(cluster) => cluster.state(|node| node.lanes.state()),
        }
    }

    /// How many requests wait for a lane now.
    pub(crate) fn waiting(&self) -> usize {
        self.all().iter().map(|(_, node)| node.lanes.waiting()).sum()
    }

    /// Sends one command to the node that has its key.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, Unavailable> {
        match self {
            Self::One(node) => node.send(command, false).await,
            Self::Cluster(cluster) => cluster.send(command).await,
        }
    }

    /// Sends some commands at once, each to the node that has its key. On a cluster they are no
    /// transaction.
    pub(crate) async fn send_all(&self, commands: &Pipeline) -> Result<Value, Unavailable> {
        match self {
            Self::One(node) => node.send_all(commands).await,
            Self::Cluster(cluster) => cluster.send_all(commands).await,
        }
    }
}
