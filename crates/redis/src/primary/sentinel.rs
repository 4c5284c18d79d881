//! The master that sentinels name, followed through failovers.
//!
//! They are asked again and again, one after the other until one answers, and that one first the
//! next time. Their word alone is not enough: whoever connects asks the server for its role, and
//! where that leads to nothing the next sentinel is asked.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_redis::Pool;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Dialer;
use crate::error::OpenError;

/// The sentinels are asked this often.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A master, as sentinels name it. Clones follow it together.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    known: watch::Receiver<Known>,
    doubted: Arc<AtomicBool>,
}

/// What the sentinels have said.
#[derive(Clone, Debug)]
enum Known {
    /// Nothing yet.
    Asking,
    /// Nothing that helps, for these reasons.
    Nowhere(String),
    /// That the master is there. It stays while they say nothing else.
    At(Arc<Master>),
}

impl Known {
    fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nowhere(one), Self::Nowhere(two)) => one == two,
            (Self::At(one), Self::At(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

#[derive(Debug)]
struct Master {
    host: String,
    port: u16,
    dialer: Dialer,
    pool: Pool,
}

impl Watched {
    /// Asks in the background, until all clones of this are gone.
    ///
    /// `dialer` makes the connections to whichever server is the master, at most `max` at a time.
    pub(crate) fn start(
        name: &str,
        sentinels: &[Dialer],
        dialer: Dialer,
        max: usize,
    ) -> Result<Self, OpenError> {
        let sentinels: Vec<_> = sentinels.iter().map(Sentinel::new).collect::<Result<_, _>>()?;
        let (sender, known) = watch::channel(Known::Asking);
        let doubted = Arc::new(AtomicBool::new(false));
        let watch = Watch {
            name: name.to_owned(),
            sentinels,
            dialer,
            max,
            sender,
            doubted: Arc::clone(&doubted),
            silent: false,
        };
        tokio::spawn(watch.run());
        Ok(Self { known, doubted })
    }

    /// The master. Waits for the first answer only.
    pub(super) async fn master(&self) -> Result<Mastery, String> {
        let mut known = self.known.clone();
        let said = known.wait_for(|known| !matches!(known, Known::Asking)).await;
        match said.as_deref().cloned() {
            Ok(Known::At(master)) => Ok(Mastery { known: self.known.clone(), master }),
            Ok(Known::Nowhere(reason)) => Err(reason),
            Ok(Known::Asking) | Err(_) => Err("no sentinel was asked".to_owned()),
        }
    }

    /// Hears that what the sentinels say leads to nothing.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Resolves when they say something else than now.
    pub(super) fn news(&self) -> impl Future<Output = ()> + use<> {
        let mut known = self.known.clone();
        known.mark_unchanged();
        async move { changed(&mut known).await }
    }
}

async fn changed(known: &mut watch::Receiver<Known>) {
    if known.changed().await.is_err() {
        // Nobody asks any more.
        std::future::pending::<()>().await;
    }
}

/// That the sentinels name a server as the master.
pub(super) struct Mastery {
    known: watch::Receiver<Known>,
    master: Arc<Master>,
}

impl Mastery {
    /// What makes connections to the server.
    pub(super) fn dialer(&self) -> &Dialer {
        &self.master.dialer
    }

    /// The same, at most so many at a time.
    pub(super) fn pool(&self) -> Pool {
        self.master.pool.clone()
    }

    /// Whether they name another one now.
    pub(super) fn is_over(&self) -> bool {
        !matches!(&*self.known.borrow(), Known::At(master) if Arc::ptr_eq(master, &self.master))
    }

    /// Resolves when they name another one.
    pub(super) async fn over(&mut self) {
        while !self.is_over() {
            changed(&mut self.known).await;
        }
    }
}

/// The task that asks.
struct Watch {
    name: String,
    /// The one to ask first is in front.
    sentinels: Vec<Sentinel>,
    dialer: Dialer,
    max: usize,
    sender: watch::Sender<Known>,
    doubted: Arc<AtomicBool>,
    /// Whether none has answered the last time.
    silent: bool,
}

impl Watch {
    async fn run(mut self) {
        loop {
            if self.doubted.swap(false, Ordering::Relaxed) {
                self.sentinels.rotate_left(1);
            }
            let said = self.ask_in_turn().await;
            self.take_note(said);
            if timeout(ASK_EVERY, self.sender.closed()).await.is_ok() {
                return;
            }
        }
    }

    /// The first address that a sentinel names, or why none does.
    async fn ask_in_turn(&mut self) -> Result<(String, u16), String> {
        let mut reasons = Vec::new();
        for turn in 0..self.sentinels.len() {
            let sentinel = &mut self.sentinels[turn];
            match sentinel.ask(&self.name).await {
                Ok(address) => {
                    self.sentinels.rotate_left(turn);
                    return Ok(address);
                }
                Err(reason) => reasons.push(format!("{}: {reason}", sentinel.address)),
            }
        }
        // In an order that does not turn: what is said again is not logged again.
        reasons.sort_unstable();
        Err(format!("no sentinel names the master {}: {}", self.name, reasons.join("; ")))
    }

    fn take_note(&mut self, said: Result<(String, u16), String>) {
        let silent = said.is_err();
        let known = match said.and_then(|(host, port)| self.at(host, port)) {
            Ok(known) => known,
            Err(reason) => {
                // A master that was named is the master until another one is.
                if self.is_at(|_| true) {
                    if !self.silent {
                        tracing::warn!(reason, "the last master is kept");
                    }
                    None
                } else {
                    Some(Known::Nowhere(reason))
                }
            }
        };
        self.silent = silent;
        if let Some(known) = known {
            self.sender.send_if_modified(|last| {
                let news = !last.says_the_same(&known);
                *last = known;
                news
            });
        }
    }

    /// The master at an address; `None` where that is known.
    fn at(&self, host: String, port: u16) -> Result<Option<Known>, String> {
        if self.is_at(|master| master.host == host && master.port == port) {
            return Ok(None);
        }
        let dialer = self.dialer.to(&host, port);
        let pool = dialer.pool(self.max).map_err(|error| error.to_string())?;
        tracing::info!(
            master = self.name,
            address = format!("{host}:{port}"),
            "the sentinels name the master"
        );
        Ok(Some(Known::At(Arc::new(Master { host, port, dialer, pool }))))
    }

    fn is_at(&self, such: impl FnOnce(&Master) -> bool) -> bool {
        matches!(&*self.sender.borrow(), Known::At(master) if such(master))
    }
}

/// One sentinel, and the connection to it once it has answered.
struct Sentinel {
    address: String,
    client: Client,
    config: AsyncConnectionConfig,
    connection: Option<MultiplexedConnection>,
    patience: Duration,
}

impl Sentinel {
    fn new(dialer: &Dialer) -> Result<Self, OpenError> {
        let (client, config) = dialer.client()?;
        let patience = dialer.patience();
        Ok(Self { address: dialer.address(), client, config, connection: None, patience })
    }

    /// The address of a master by its name.
    async fn ask(&mut self, name: &str) -> Result<(String, u16), String> {
        let asked = timeout(self.patience, self.query(name)).await;
        let asked = asked.unwrap_or_else(|_elapsed| Err("it does not answer".to_owned()));
        if asked.is_err() {
            self.connection = None;
        }
        asked
    }

    async fn query(&mut self, name: &str) -> Result<(String, u16), String> {
        let said = |error: redis::RedisError| error.to_string();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let made = self.client.get_multiplexed_async_connection_with_config(&self.config);
                none.insert(made.await.map_err(said)?)
            }
        };
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let address: Option<(String, u16)> = command.query_async(connection).await.map_err(said)?;
        address.ok_or_else(|| "it knows no such master".to_owned())
    }
}

impl fmt::Debug for Sentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinel").field("address", &self.address).finish_non_exhaustive()
    }
}
