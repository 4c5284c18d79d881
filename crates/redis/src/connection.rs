//! Connections: how one is made, and the one that carries what is not a decision.

use std::time::Duration;

use deadpool_redis::Connection;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use transom_core::Unavailable;

use crate::primary::Primary;
use crate::settings::STUCK_AFTER;

/// A connection without work is asked for a sign of life this often.
pub(crate) const IDLE_CHECK: Duration = Duration::from_secs(1);
/// The first and the longest pause between two attempts to connect.
const BACKOFF: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];

/// A connection on which Redis has answered, however long that takes. `failed` hears why an
/// attempt failed, and says whether to go on.
pub(crate) async fn establish(
    primary: &Primary,
    mut failed: impl FnMut(String) -> bool,
) -> Option<Connection> {
    let [mut pause, longest] = BACKOFF;
    loop {
        match attempt(primary).await {
            Ok(connection) => return Some(connection),
            Err(reason) => {
                if !failed(reason) {
                    return None;
                }
            }
        }
        // Half of the pause to all of it, so that a fleet does not knock in step.
        sleep(pause * fastrand::u32(50..=100) / 100).await;
        pause = longest.min(pause * 2);
    }
}

async fn attempt(primary: &Primary) -> Result<Connection, String> {
    let mut connection = primary.connection().await?;
    // That it could be made has not shown that Redis answers.
    match ping(&mut connection).await {
        Ok(()) => Ok(connection),
        Err(reason) => {
            discard(connection);
            Err(reason)
        }
    }
}

/// Asks for a sign of life, and says why there is none.
pub(crate) async fn ping(connection: &mut MultiplexedConnection) -> Result<(), String> {
    match timeout(STUCK_AFTER, redis::cmd("PING").exec_async(connection)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.is_timeout() => Err(SILENT.to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(SILENT.to_owned()),
    }
}

const SILENT: &str = "it takes connections and does not answer";

/// Takes a connection out of the pool for good: its state is not known.
pub(crate) fn discard(connection: Connection) {
    drop(Connection::take(connection));
}

/// The connection that carries what is not a decision, shared by all who ask.
#[derive(Clone, Debug)]
pub(crate) struct Shared(watch::Receiver<State>);

#[derive(Clone)]
enum State {
    /// The first attempt is under way.
    Connecting,
    Connected(MultiplexedConnection),
    Lost(String),
}

impl Shared {
    /// Connects in the background, and again when the connection is lost, until all clones of
    /// this are gone.
    pub(crate) fn start(primary: Primary) -> Self {
        let (state, receiver) = watch::channel(State::Connecting);
        tokio::spawn(async move {
            let failed = |reason| state.send(State::Lost(reason)).is_ok();
            while let Some(mut connection) = establish(&primary, failed).await {
                if state.send(State::Connected(connection.clone())).is_err() {
                    return;
                }
                let reason = watch_over(&mut connection, &state).await;
                discard(connection);
                if state.send(State::Lost(reason)).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// The connection. Waits for the first attempt only: while Redis is known to be gone there
    /// is nothing to wait for.
    pub(crate) async fn get(&self) -> Result<MultiplexedConnection, Unavailable> {
        let mut state = self.0.clone();
        let known = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match known.as_deref() {
            Ok(State::Connected(connection)) => Ok(connection.clone()),
            Ok(State::Lost(reason)) => Err(Unavailable::Unreachable { reason: reason.clone() }),
            Ok(State::Connecting) | Err(_) => {
                Err(Unavailable::Unreachable { reason: "not connected yet".to_owned() })
            }
        }
    }
}

/// Returns when the connection has given no sign of life, or nobody uses it.
async fn watch_over(
    connection: &mut MultiplexedConnection,
    state: &watch::Sender<State>,
) -> String {
    loop {
        if let Err(reason) = ping(connection).await {
            return reason;
        }
        if timeout(IDLE_CHECK, state.closed()).await.is_ok() {
            return "nobody uses it".to_owned();
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connecting => "Connecting",
            Self::Connected(_) => "Connected",
            Self::Lost(_) => "Lost",
        })
    }
}
