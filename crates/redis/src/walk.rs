//! Walks over the keys of a server: a step at a time, so that no more is held than a step; one at
//! a time in a worker; and on a connection of its own, so that nothing waits behind it.

use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;
use transom_core::Unavailable;

use crate::error;
use crate::limiter::Control;
use crate::primary::{Link, Primary};
use crate::settings::STUCK_AFTER;

/// How long a walk waits for those that were asked for before it.
const TURN_WITHIN: Duration = Duration::from_secs(30);

/// Where walks take their connections and wait for their turn.
#[derive(Clone, Debug)]
pub(crate) struct Walks {
    primary: Primary,
    turn: Arc<Mutex<()>>,
}

impl Walks {
    pub(crate) fn new(primary: Primary) -> Self {
        Self { primary, turn: Arc::default() }
    }

    /// A connection that nobody else uses, once it is this caller's turn.
    pub(crate) async fn own(&self) -> Result<Own, Unavailable> {
        let turn = timeout(TURN_WITHIN, Arc::clone(&self.turn).lock_owned());
        let turn = turn.await.map_err(|_elapsed| Unavailable::Overloaded)?;
        let connection = self.primary.connection().await;
        let connection = connection.map_err(|reason| Unavailable::Unreachable { reason })?;
        Ok(Own { connection: Some(connection), _turn: turn })
    }
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

    /// Closes the connection: its state is not known.
    pub(crate) fn discard(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.discard();
        }
    }
}

/// A walk under way.
pub(crate) struct Walk<'a> {
    /// What reads the keys of a step may use it too.
    pub(crate) own: Own,
    pattern: &'a str,
    count: usize,
    /// Where the next step begins; none after the last.
    cursor: Option<u64>,
}

impl Walk<'_> {
    /// The keys of the next step, maybe none; `None` at the end. A key may come twice.
    pub(crate) async fn step(&mut self) -> Result<Option<Vec<String>>, Unavailable> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(self.pattern).arg("COUNT").arg(self.count);
        let (next, keys): (u64, Vec<String>) =
            self.own.run(async |connection| scan.query_async(connection).await).await?;
        self.cursor = (next != 0).then_some(next);
        Ok(Some(keys))
    }
}

impl Control {
    /// Begins a walk over the keys that match a pattern. It looks at every key of the server,
    /// `count` at a time.
    pub(crate) async fn walk<'a>(
        &self,
        pattern: &'a str,
        count: usize,
    ) -> Result<Walk<'a>, Unavailable> {
        Ok(Walk { own: self.walks.own().await?, pattern, count, cursor: Some(0) })
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
