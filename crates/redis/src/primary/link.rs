//! A connection to the server that decides, and what tells that it is that no more.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Once;
use std::time::Duration;

use deadpool_redis::Connection;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use tokio::time::{Instant, sleep_until, timeout};

use super::sentinel::Mastery;
use crate::settings::STUCK_AFTER;

/// A connection is checked this often, whether it is busy or not.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// Said of a server that gives no answer.
const SILENT: &str = "it takes connections and does not answer";

/// A connection that nobody else uses.
pub(crate) struct Link {
    connection: Connection,
    /// Of the server, where sentinels name it.
    mastery: Option<Mastery>,
    /// Whether the server tells its role.
    tells_role: bool,
    checked: Instant,
    /// How long the server may take for the next answer.
    patience: Duration,
}

impl Link {
    /// `patience` is with the server's first answer.
    pub(super) fn new(
        connection: Connection,
        mastery: Option<Mastery>,
        patience: Option<Duration>,
    ) -> Self {
        let patience = patience.unwrap_or(STUCK_AFTER);
        Self { connection, mastery, tells_role: true, checked: Instant::now(), patience }
    }

    /// Closes the connection.
    pub(crate) fn discard(self) {
        drop(Connection::take(self.connection));
    }

    /// Resolves when it is time for a check.
    pub(crate) async fn due(&mut self) {
        let at = sleep_until(self.checked + CHECK_EVERY);
        match &mut self.mastery {
            None => at.await,
            Some(mastery) => tokio::select! {
                () = at => {}
                () = mastery.over() => {}
            },
        }
    }

    /// The connection, if it is one that decisions can be asked on.
    pub(super) async fn first_check(mut self) -> Result<Self, String> {
        match self.check().await {
            Ok(()) => {
                self.patience = STUCK_AFTER;
                Ok(self)
            }
            Err(reason) => {
                self.discard();
                Err(reason)
            }
        }
    }

    /// Asks for a sign of life and the role of the server; says why it should not be asked for
    /// decisions any more.
    ///
    /// A replica answers too, and as long as it denies it does not show by errors that it is one.
    pub(crate) async fn check(&mut self) -> Result<(), String> {
        if self.mastery.as_ref().is_some_and(Mastery::is_over) {
            return Err("the sentinels name another master".to_owned());
        }
        let found = if self.tells_role { self.role().await } else { self.ping().await };
        self.checked = Instant::now();
        found
    }

    async fn role(&mut self) -> Result<(), String> {
        match self.ask("ROLE").await {
            Ok(role) => of_role(&role),
            Err(error) if keeps_role_back(&error) => {
                self.tells_role = false;
                say_once(&error);
                self.ping().await
            }
            Err(error) => of_error(&error),
        }
    }

    async fn ping(&mut self) -> Result<(), String> {
        self.ask("PING").await.map_or_else(|error| of_error(&error), |_pong| Ok(()))
    }

    async fn ask(&mut self, command: &str) -> Result<Value, RedisError> {
        let command = redis::cmd(command);
        let answer = timeout(self.patience, command.query_async(&mut **self)).await;
        answer.unwrap_or_else(|_elapsed| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
    }
}

/// What is left of a server that was the right one when its connection was made.
fn of_role(role: &Value) -> Result<(), String> {
    let Value::Array(parts) = role else { return Ok(()) };
    match parts.first() {
        Some(Value::BulkString(role)) if role == b"slave" => {
            Err("it is a replica, which cannot admit".to_owned())
        }
        Some(Value::BulkString(role)) if role == b"sentinel" => {
            Err("it is a sentinel; with redis.mode = \"sentinel\" it is asked for its master"
                .to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether the server will not tell its role to this user, or to anybody.
fn keeps_role_back(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
        || error.detail().is_some_and(|said| said.to_lowercase().contains("unknown command"))
}

fn say_once(error: &RedisError) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tracing::warn!(
            %error,
            "redis does not tell its role; that it became a replica will show by its refusals alone"
        );
    });
}

fn of_error(error: &RedisError) -> Result<(), String> {
    match error.code() {
        _ if error.is_timeout() => Err(SILENT.to_owned()),
        // It lives, and whoever asks for a decision is told the same.
        Some("BUSY" | "LOADING") => Ok(()),
        _ => Err(error.to_string()),
    }
}

impl Deref for Link {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &MultiplexedConnection {
        &self.connection
    }
}

impl DerefMut for Link {
    fn deref_mut(&mut self) -> &mut MultiplexedConnection {
        &mut self.connection
    }
}
