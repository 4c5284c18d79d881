//! Walks over the keys of the servers: a step at a time, so that no more is held than a step; one at
//! a time in a worker; and on a connection of its own, so that nothing waits behind it.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;
use transom_core::Unavailable;

use crate::control::{self, Control};
use crate::error;
use crate::node::Node;
use crate::primary::Link;
use crate::settings::STUCK_AFTER;

/// How long a walk waits for those that were asked for before it.
const TURN_WITHIN: Duration = Duration::from_secs(30);

/// Where walks wait for their turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walks {
    turn: Arc<Mutex<()>>,
}

impl Walks {
    /// A connection to a server that nobody else uses, once it is this caller's turn.
    pub(crate) async fn own(&self, node: &Node) -> Result<Own, Unavailable> {
        let turn = timeout(TURN_WITHIN, Arc::clone(&self.turn).lock_owned());
        let turn = turn.await.map_err(|_elapsed| Unavailable::Overloaded)?;
        Ok(Own { connection: Some(connect(node).await?), _turn: turn })
    }
}

async fn connect(node: &Node) -> Result<Link, Unavailable> {
    let connection = node.primary.connection().await;
    connection.map_err(|reason| Unavailable::Unreachable { reason })
}

/// A connection that nobody else uses.
pub(crate) struct Own {
    /// Until it is lost.
    connection: Option<Link>,
    _turn: OwnedMutexGuard<()>,
}

impl Own {
    /// Sends something and reads the reply, for as long as a connection may be silent.
    pub(crate) async fn run<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, Unavailable> {
        let connection = self.connection.as_mut().ok_or(Unavailable::ConnectionLost)?;
        let answer = match timeout(STUCK_AFTER, call(connection)).await {
            Ok(answer) => answer.map_err(|error| error::of_call(&error)),
            Err(_elapsed) => Err(Unavailable::Deadline),
        };
        if answer.as_ref().is_err_and(error::spoils_connection) {
            self.discard();
        }
        answer
    }

    /// Goes on to another server.
    async fn go_on(&mut self, node: &Node) -> Result<(), Unavailable> {
        self.discard();
        self.connection = Some(connect(node).await?);
        Ok(())
    }

    /// Closes the connection: its state is not known.
    pub(crate) fn discard(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.discard();
        }
    }
}

/// A walk under way, over one server after the other. A key that moves meanwhile, from a server
/// that is still to come to one that is done, is not seen.
pub(crate) struct Walk<'a> {
    control: &'a Control,
    own: Own,
    pattern: &'a str,
    count: usize,
    /// Where the next step on this server begins; none after the last.
    cursor: Option<u64>,
    rest: std::vec::IntoIter<(Option<String>, Arc<Node>)>,
}

impl Walk<'_> {
    /// The keys of the next step, maybe none; `None` at the end. A key may come twice.
    pub(crate) async fn step(&mut self) -> Result<Option<Vec<String>>, Unavailable> {
        let cursor = match (self.cursor, self.rest.as_slice()) {
            (Some(cursor), _) => cursor,
            (None, []) => return Ok(None),
            (None, _) => {
                if let Some((_, node)) = self.rest.next() {
                    self.own.go_on(&node).await?;
                }
                0
            }
        };
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(self.pattern).arg("COUNT").arg(self.count);
        let (next, keys): (u64, Vec<String>) =
            self.own.run(async |connection| scan.query_async(connection).await).await?;
        self.cursor = (next != 0).then_some(next);
        Ok(Some(keys))
    }

    /// Sends commands about keys of the last step, on the connection of the walk. What has moved
    /// since is asked for where it is.
    pub(crate) async fn read<T: FromRedisValue>(
        &mut self,
        commands: &mut Pipeline,
    ) -> Result<T, Unavailable> {
        let replies: Vec<RedisResult<Value>> = self
            .own
            .run(async |connection| commands.ignore_errors().query_async(connection).await)
            .await?;
        let replies: Result<Vec<_>, _> = replies.into_iter().collect();
        match replies {
            Ok(replies) => control::read(Value::Array(replies)),
            Err(error) if matches!(error.code(), Some("MOVED" | "ASK")) => {
                self.control.pipeline(commands).await
            }
            Err(error) => Err(error::of_call(&error)),
        }
    }
}

impl Control {
    /// Begins a walk over the keys that match a pattern. It looks at every key of every server,
    /// `count` at a time.
    pub(crate) async fn walk<'a>(
        &'a self,
        pattern: &'a str,
        count: usize,
    ) -> Result<Walk<'a>, Unavailable> {
        let mut rest = self.nodes.all().into_iter();
        let Some((_, first)) = rest.next() else {
            let unknown = || Unavailable::Unreachable { reason: "no node is known".to_owned() };
            return Err(self.nodes.state().err().unwrap_or_else(unknown));
        };
        let own = self.walks.own(&first).await?;
        Ok(Walk { control: self, own, pattern, count, cursor: Some(0), rest })
    }

    /// All keys that match a pattern, sorted: for those of which there are few.
    pub(crate) async fn scan(
        &self,
        pattern: &str,
        count: usize,
    ) -> Result<Vec<String>, Unavailable> {
        let (mut walk, mut keys) = (self.walk(pattern, count).await?, Vec::new());
        while let Some(found) = walk.step().await? {
            keys.extend(found);
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }
}
