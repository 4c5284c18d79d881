//! The connection that carries what is not a decision.

use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use transom_core::Unavailable;

use crate::primary::{Link, Primary};

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
            while let Some(mut link) = primary.establish(failed).await {
                if state.send(State::Connected(link.clone())).is_err() {
                    return;
                }
                let reason = watch_over(&mut link, &state).await;
                link.discard();
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

    /// Resolves when the connection of now is lost, or there is none.
    pub(crate) async fn lost(&self) {
        let mut state = self.0.clone();
        let connected = |state: &State| matches!(state, State::Connected(_));
        if connected(&state.borrow_and_update()) {
            // What comes next is another one, or none.
            let _ = state.changed().await;
        }
    }
}

/// Returns when the server should not be asked any more, or nobody asks.
async fn watch_over(link: &mut Link, state: &watch::Sender<State>) -> String {
    loop {
        tokio::select! {
            () = link.due() => {}
            () = state.closed() => return "nobody uses it".to_owned(),
        }
        if let Err(reason) = link.check().await {
            return reason;
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
