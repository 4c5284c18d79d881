//! How Redis is reached.

use std::fmt;
use std::time::Duration;

use deadpool_redis::{Manager, Pool, PoolConfig, Runtime, Timeouts};
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, TlsCertificates,
};

use crate::cluster::Address;
use crate::error::OpenError;
use crate::primary::Primary;

/// The prefix of key names unless configured; its number is the version of the format.
pub const DEFAULT_PREFIX: &str = "transom:1";

/// A call that Redis has not answered for this long has lost its connection.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(1);
/// Setting up a connection takes at most this long: name, TCP, TLS and log-in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Calls that may wait for their turn on one connection.
const PIPELINE: usize = 1_024;
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
    /// The defaults for a server at `url`: 50 ms, two lanes, the prefix `transom:1`.
    pub fn new(url: &str) -> Self {
        Self {
            servers: Servers::Single(url.to_owned()),
            tls: Tls::default(),
            deadline: Duration::from_millis(50),
            prefix: DEFAULT_PREFIX.to_owned(),
            lanes: 2,
        }
    }

    /// The server that decides.
    pub(crate) fn primary(&self) -> Result<Primary, OpenError> {
        match &self.servers {
            Servers::Single(url) => Ok(Primary::Fixed(self.pool(url)?)),
            Servers::Sentinel(_) | Servers::Cluster(_) => {
                Err(OpenError::Address("only a single server is in this build".to_owned()))
            }
        }
    }

    /// A node of a cluster, and where it is.
    pub(crate) fn node(&self, url: &str) -> Result<(Address, Primary), OpenError> {
        let info = self.connection_info(url)?;
        let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) =
            info.addr()
        else {
            let reason = "a node of a cluster has a host and a port".to_owned();
            return Err(OpenError::Address(reason));
        };
        let address = Address { host: host.as_str().into(), port: *port };
        Ok((address, Primary::Fixed(self.pool_of(info)?)))
    }

    /// A node of a cluster that is reached as the one at `url` is, but elsewhere.
    pub(crate) fn node_at(&self, url: &str, at: &Address) -> Result<Primary, OpenError> {
        let info = self.connection_info(url)?;
        let mut addr = info.addr().clone();
        if let ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } =
            &mut addr
        {
            (*host, *port) = (at.host.to_string(), at.port);
        }
        Ok(Primary::Fixed(self.pool_of(info.set_addr(addr))?))
    }

    fn pool(&self, url: &str) -> Result<Pool, OpenError> {
        self.pool_of(self.connection_info(url)?)
    }

    /// A pool that makes, counts and replaces the connections.
    fn pool_of(&self, info: ConnectionInfo) -> Result<Pool, OpenError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(STUCK_AFTER))
            .set_pipeline_buffer_size(PIPELINE);
        let manager = Manager::new_with_config(info, config)
            .map_err(|error| OpenError::Address(error.to_string()))?;
        let mut pool = PoolConfig::new(self.lanes.max(1) + SPARE_CONNECTIONS);
        pool.timeouts = Timeouts {
            wait: Some(CONNECT_TIMEOUT),
            create: Some(CONNECT_TIMEOUT),
            recycle: Some(CONNECT_TIMEOUT),
        };
        Pool::builder(manager)
            .config(pool)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| OpenError::Pool(error.to_string()))
    }

    fn connection_info(&self, url: &str) -> Result<ConnectionInfo, OpenError> {
        if url.ends_with("#insecure") {
            return Err(OpenError::Insecure);
        }
        let address = |error: redis::RedisError| OpenError::Address(error.to_string());
        let info = url.into_connection_info().map_err(address)?;
        let encrypted = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let info = if encrypted { self.with_tls(info)? } else { info };
        // Naming the client library would ask for one more right, and only some servers know it.
        let login = info.redis_settings().clone().set_skip_set_lib_name();
        Ok(info.set_redis_settings(login).set_tcp_settings(tcp()))
    }

    fn with_tls(&self, info: ConnectionInfo) -> Result<ConnectionInfo, OpenError> {
        // Only the first call in a process counts; a provider that is there already will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = TlsCertificates {
            client_tls: self
                .tls
                .client
                .clone()
                .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
            root_cert: self.tls.ca.clone(),
        };
        let client = Client::build_with_tls(info, certificates)
            .map_err(|error| OpenError::Tls(error.to_string()))?;
        Ok(client.get_connection_info().clone())
    }
}

/// Nagle would hold a pipelined call back until the last one is acknowledged. The keepalive, and
/// the user timeout where there is one, find a peer that has vanished without a word.
fn tcp() -> TcpSettings {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(1));
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "fuchsia"))]
    let tcp = tcp.set_user_timeout(Duration::from_millis(1_500));
    tcp
}

/// Shows neither the address, which may hold a password, nor the certificates.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("deadline", &self.deadline)
            .field("prefix", &self.prefix)
            .field("lanes", &self.lanes)
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
    fn every_kind_of_address_is_taken() {
        for url in [
            "redis://127.0.0.1:6379",
            "redis://user:secret@localhost/3",
            "rediss://localhost:6380",
            "unix:///run/redis.sock",
            "redis+unix:///run/redis.sock?db=1",
        ] {
            assert!(Settings::new(url).pool(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_bad_address_is_refused_and_its_password_not_shown() {
        for url in ["http://user:s3cret@localhost", "redis://user:s3cret@[::1", "", "localhost"] {
            let error = Settings::new(url).pool(url).err().map(|error| error.to_string());
            let said = error.unwrap_or_else(|| panic!("{url:?} was taken"));
            assert!(!said.contains("s3cret"), "{said}");
        }
        let insecure = Settings::new("").pool("rediss://localhost/#insecure");
        assert!(matches!(insecure, Err(OpenError::Insecure)));
        let shown = format!("{:?}", Settings::new("redis://u:s3cret@localhost"));
        assert!(!shown.contains("s3cret"));
    }
}
