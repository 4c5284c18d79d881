//! What is not a decision: commands to the node that has their key.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Value};
use tokio::time::timeout;
use transom_core::{Request, Unavailable};

use crate::keyspace::Keyspace;
use crate::node::Nodes;
use crate::settings::STUCK_AFTER;
use crate::walk::Walks;

/// The way to Redis for what is not a decision. At each node such commands share a connection.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    pub(crate) nodes: Nodes,
    pub(crate) walks: Walks,
    pub(crate) keyspace: Keyspace,
    pub(crate) deadline: Duration,
    /// A name that no other worker has.
    pub(crate) worker: Arc<str>,
}

impl Control {
    /// Sends one command and reads its reply. For what nobody waits for but an operator or a
    /// task of the worker's own: it takes as long as a connection may be silent.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unavailable> {
        self.query_within(STUCK_AFTER, command).await
    }

    /// Sends one command and reads its reply, within a time of the caller's.
    pub(crate) async fn query_within<T: FromRedisValue>(
        &self,
        within: Duration,
        command: &Cmd,
    ) -> Result<T, Unavailable> {
        let reply = timeout(within, self.nodes.send(command)).await;
        read(reply.unwrap_or(Err(Unavailable::Deadline))?)
    }

    /// Sends some commands at once and reads their replies.
    pub(crate) async fn pipeline<T: FromRedisValue>(
        &self,
        commands: &redis::Pipeline,
    ) -> Result<T, Unavailable> {
        let replies = timeout(STUCK_AFTER, self.nodes.send_all(commands)).await;
        read(replies.unwrap_or(Err(Unavailable::Deadline))?)
    }

    /// The least of the deadline and a time of the caller's. Where nothing is left, nothing is
    /// sent.
    pub(crate) fn within(&self, request: &Request) -> Result<Duration, Unavailable> {
        let within = request.within.map_or(self.deadline, |left| left.min(self.deadline));
        if within.is_zero() { Err(Unavailable::Deadline) } else { Ok(within) }
    }

    /// Sends two commands, and reads the reply of the first: in one transaction on a single
    /// server; on a cluster the second after the first, since their keys are in two slots. What
    /// fails between them has done the first alone.
    pub(crate) async fn both<T: FromRedisValue>(
        &self,
        first: Cmd,
        second: Cmd,
    ) -> Result<T, Unavailable> {
        if matches!(self.nodes, Nodes::Cluster(_)) {
            let reply = self.query(&first).await?;
            self.query::<Value>(&second).await?;
            return Ok(reply);
        }
        let mut both = redis::pipe();
        both.atomic().add_command(first).add_command(second).ignore();
        self.pipeline(&both).await.map(|(reply,): (T,)| reply)
    }
}

/// Reads a reply as what it should be.
pub(crate) fn read<T: FromRedisValue>(reply: Value) -> Result<T, Unavailable> {
    T::from_redis_value(reply).map_err(|error| Unavailable::Reply(error.to_string()))
}
