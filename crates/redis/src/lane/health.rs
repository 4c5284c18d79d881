//! What the lanes of a server know about their connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use transom_core::Unavailable;

/// The reason that is given before the first attempt, and after a connection was lost.
const BEFORE: &str = "not connected yet";
const LOST: &str = "the connection was lost";

#[derive(Debug)]
pub(super) struct Health {
    connected: AtomicUsize,
    attempts: watch::Sender<u64>,
    /// What the last failed attempt to connect said.
    reason: Mutex<String>,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            connected: AtomicUsize::new(0),
            attempts: watch::Sender::new(0),
            reason: Mutex::new(BEFORE.to_owned()),
        }
    }

    /// A lane is connected.
    pub(super) fn found(&self) {
        let first = self.connected.fetch_add(1, Ordering::Relaxed) == 0;
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if first && *reason != BEFORE {
            tracing::info!("connected to redis again");
        }
        *reason = LOST.to_owned();
        drop(reason);
        self.attempts.send_modify(|attempts| *attempts += 1);
    }

    /// A lane has lost its connection, or was asked to end.
    pub(super) fn lost(&self, asked: bool) {
        let left = self.connected.fetch_sub(1, Ordering::Relaxed) - 1;
        if left == 0 && !asked {
            tracing::warn!("the connection to redis was lost");
        }
    }

    /// An attempt to connect has failed.
    pub(super) fn failed(&self, said: String) {
        let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if *reason != said {
            tracing::warn!(reason = said, "cannot connect to redis");
            *reason = said;
        }
        drop(reason);
        self.attempts.send_modify(|attempts| *attempts += 1);
    }

    /// Whether an attempt to connect has ended.
    pub(super) fn has_tried(&self) -> bool {
        *self.attempts.borrow() > 0
    }

    /// Resolves when an attempt to connect has ended, with or without success.
    pub(super) async fn tried(&self) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.attempts.subscribe().wait_for(|attempts| *attempts > 0).await;
    }

    /// Whether any lane is connected; else what the last attempt said.
    pub(super) fn connected(&self) -> Result<(), Unavailable> {
        if self.connected.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(Unavailable::Unreachable { reason })
    }
}
