//! How Redis is reached.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::OpenError;
use crate::primary::{Dialer, Primary, Watched};

/// The prefix of key names unless configured; its number is the version of the format.
pub const DEFAULT_PREFIX: &str = "transom:1";

/// A call that Redis has not answered for this long has lost its connection.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(1);
/// Setting up a connection takes at most this long: name, TCP, TLS and log-in, and so does its first
/// answer. With the longest pause between two attempts it is less than a second, within which a
/// worker finds a server that is back.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Where decisions may take longer the server is far away, and so may that; but not longer than this.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(2);
/// Where a sentinel listens unless its address says otherwise.
const SENTINEL_PORT: u16 = 26_379;
/// Connections beside the lanes: one for what is not a decision, one for walks over the keys, and
/// one to be replaced by.
const SPARE_CONNECTIONS: usize = 3;

/// How Redis is reached and how long it may take.
#[derive(Clone)]
pub struct Settings {
    /// Where it is.
    pub servers: Servers,
    /// Certificates beyond the public ones.
    pub tls: Tls,
    /// The longest a decision may take.
    pub deadline: Duration,
    /// What key names begin with.
    pub prefix: String,
    /// Connections that carry decisions; at least 1.
    pub lanes: usize,
    /// Whether a denial that is known to hold is said again without asking Redis.
    pub known_denials: bool,
}

/// Where Redis is. An address is `redis://` or, with TLS, `rediss://`, with user, password and
/// database.
#[derive(Clone)]
#[non_exhaustive]
pub enum Servers {
    /// One server; `unix://` leads to it too.
    Single(String),
    /// A master that sentinels watch.
    Sentinel(Sentinels),
    /// Some nodes of a cluster, which tell of the others.
    Cluster(Vec<String>),
}

/// Sentinels, and the master that they are asked for.
#[derive(Clone)]
pub struct Sentinels {
    /// Their addresses, port 26379 unless given. User, password, database and TLS are those of the
    /// master; TLS holds for the sentinels too.
    pub nodes: Vec<String>,
    /// The name of the master.
    pub master: String,
    /// The user that the sentinels ask for.
    pub user: Option<String>,
    /// The password that the sentinels ask for.
    pub password: Option<String>,
}

/// Certificates for TLS, in PEM.
#[derive(Clone, Default)]
pub struct Tls {
    /// The authority that signed the server's certificate, in place of the public ones.
    pub ca: Option<Vec<u8>>,
    /// The certificate and the key by which this worker shows who it is.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Settings {
    /// The defaults for a server at `url`: 50 ms, two lanes, the prefix `transom:1`, denials that are known.
    pub fn new(url: &str) -> Self {
        Self {
            servers: Servers::Single(url.to_owned()),
            tls: Tls::default(),
            deadline: Duration::from_millis(50),
            prefix: DEFAULT_PREFIX.to_owned(),
            lanes: 2,
            known_denials: true,
        }
    }

    /// The server that decides.
    pub(crate) fn primary(&self) -> Result<Primary, OpenError> {
        let max = self.connections();
        match &self.servers {
            Servers::Single(url) => {
                let dialer = self.dialer(url)?;
                Ok(Primary::Fixed(dialer.pool(max)?, Arc::new(dialer)))
            }
            Servers::Sentinel(sentinels) => Ok(Primary::Watched(self.watched(sentinels, max)?)),
            Servers::Cluster(_) => {
                Err(OpenError::Address("a cluster has more than one primary".to_owned()))
            }
        }
    }

    /// How many connections to one server there may be.
    pub(crate) fn connections(&self) -> usize {
        self.lanes.max(1) + SPARE_CONNECTIONS
    }

    /// What makes connections to an address.
    pub(crate) fn dialer(&self, url: &str) -> Result<Dialer, OpenError> {
        let patience = self.deadline.clamp(CONNECT_TIMEOUT, CONNECT_TIMEOUT_MAX);
        Ok(Dialer::new(url, &self.tls)?.with_patience(patience))
    }

    /// The master of sentinels. Its log-in is that in their addresses, and theirs their own.
    fn watched(&self, sentinels: &Sentinels, max: usize) -> Result<Watched, OpenError> {
        let (user, password) = (sentinels.user.as_deref(), sentinels.password.as_deref());
        let (mut dialers, mut master) = (Vec::new(), None);
        for url in &sentinels.nodes {
            let mut dialer = self.dialer(url)?;
            master.get_or_insert_with(|| dialer.clone());
            dialer.default_port(url, SENTINEL_PORT);
            dialers.push(dialer.with_login(user, password));
        }
        let master = master.ok_or_else(|| OpenError::Address("no sentinel is named".to_owned()))?;
        Watched::start(&sentinels.master, &dialers, master, max)
    }
}

/// Shows neither the address, which may hold a password, nor the certificates.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("servers", &self.servers)
            .field("deadline", &self.deadline)
            .field("prefix", &self.prefix)
            .field("lanes", &self.lanes)
            .field("known_denials", &self.known_denials)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Single(…)",
            Self::Sentinel(_) => "Sentinel(…)",
            Self::Cluster(_) => "Cluster(…)",
        })
    }
}

impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinels").field("master", &self.master).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_longer_for_decisions_waits_longer_for_connections() {
        for (deadline_ms, patience_ms) in [(1, 500), (50, 500), (1_000, 1_000), (10_000, 2_000)] {
            let deadline = Duration::from_millis(deadline_ms);
            let dialer = Settings { deadline, ..Settings::new("") }.dialer("redis://h").unwrap();
            assert_eq!(dialer.patience(), Duration::from_millis(patience_ms));
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let sentinels = Sentinels {
            nodes: vec!["redis://u:s3cret@a".to_owned()],
            master: "m".to_owned(),
            user: None,
            password: Some("s3cret".to_owned()),
        };
        for servers in [
            Servers::Single("redis://u:s3cret@localhost".to_owned()),
            Servers::Cluster(sentinels.nodes.clone()),
            Servers::Sentinel(sentinels),
        ] {
            let shown = format!("{:?}", Settings { servers, ..Settings::new("") });
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
