//! How connections are made, whatever the address: log-in, TLS, TCP, timeouts.

use std::time::Duration;

use deadpool_redis::{Hook, HookError, Manager, Pool, PoolConfig, Runtime, Timeouts};
use redis::aio::PubSub;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo,
    IntoConnectionInfo, RedisConnectionInfo, TlsCertificates,
};
use tokio::time::timeout;

use crate::error::OpenError;
use crate::settings::{CONNECT_TIMEOUT, STUCK_AFTER, Tls};

/// Calls that may wait for their turn on one connection.
const PIPELINE: usize = 1_024;

/// Makes connections to one address, or to others in the same way.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    info: ConnectionInfo,
    /// How long it may take.
    patience: Duration,
}

impl Dialer {
    /// Reads an address. Nothing is sent.
    pub(crate) fn new(url: &str, tls: &Tls) -> Result<Self, OpenError> {
        if url.ends_with("#insecure") {
            return Err(OpenError::Insecure);
        }
        let address = |error: redis::RedisError| OpenError::Address(error.to_string());
        let info = url.into_connection_info().map_err(address)?;
        let encrypted = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let info = if encrypted { with_tls(info, tls)? } else { info };
        // Naming the client library would ask for one more right, and only some servers know it.
        let login = info.redis_settings().clone().set_skip_set_lib_name();
        let info = info.set_redis_settings(login).set_tcp_settings(tcp());
        Ok(Self { info, patience: CONNECT_TIMEOUT })
    }

    /// The same with another bound of the time that it may take.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How long it may take to make a connection.
    pub(crate) const fn patience(&self) -> Duration {
        self.patience
    }

    /// The same to another host and port.
    pub(crate) fn to(&self, host: &str, port: u16) -> Self {
        let host = host.to_owned();
        let address = match self.info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Self { info: self.info.clone().set_addr(address), ..*self }
    }

    /// Puts `port` in place of the one that is taken where a URL names none.
    pub(crate) fn default_port(&mut self, url: &str, port: u16) {
        let named = redis::parse_redis_url(url).is_some_and(|url| url.port().is_some());
        if let (false, ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. }) =
            (named, self.info.addr())
        {
            *self = self.to(host, port);
        }
    }

    /// The same with another log-in, in database 0.
    pub(crate) fn with_login(&self, user: Option<&str>, password: Option<&str>) -> Self {
        let protocol = self.info.redis_settings().protocol();
        let mut login =
            RedisConnectionInfo::default().set_skip_set_lib_name().set_protocol(protocol);
        if let Some(user) = user {
            login = login.set_username(user);
        }
        if let Some(password) = password {
            login = login.set_password(password);
        }
        Self { info: self.info.clone().set_redis_settings(login), ..*self }
    }

    /// Host and port, or the path of a socket.
    pub(crate) fn address(&self) -> String {
        self.info.addr().to_string()
    }

    /// How a connection is to be used, for one that is made beside a pool.
    pub(crate) fn client(&self) -> Result<(Client, AsyncConnectionConfig), OpenError> {
        let client = Client::open(self.info.clone());
        let client = client.map_err(|error| OpenError::Address(error.to_string()))?;
        Ok((client, self.config()))
    }

    /// A connection that can subscribe and nothing else. It has not been checked.
    pub(super) async fn subscriber(&self) -> Result<PubSub, String> {
        let (client, _) = self.client().map_err(|error| error.to_string())?;
        let made = timeout(self.patience, client.get_async_pubsub()).await;
        let made = made.map_err(|_elapsed| "it takes too long".to_owned())?;
        made.map_err(|error| error.to_string())
    }

    /// A pool that makes and counts connections, at most `max` at a time. None is used twice.
    pub(crate) fn pool(&self, max: usize) -> Result<Pool, OpenError> {
        let manager = Manager::new_with_config(self.info.clone(), self.config())
            .map_err(|error| OpenError::Address(error.to_string()))?;
        let mut pool = PoolConfig::new(max);
        pool.timeouts = Timeouts {
            wait: Some(self.patience),
            create: Some(self.patience),
            recycle: Some(self.patience),
        };
        // A connection that lies idle may be dead, and to find out takes as long as another.
        let used = Hook::sync_fn(|_, _| Err(HookError::message("it was used before")));
        Pool::builder(manager)
            .config(pool)
            .pre_recycle(used)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| OpenError::Pool(error.to_string()))
    }

    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(Some(STUCK_AFTER))
            .set_pipeline_buffer_size(PIPELINE)
    }
}

fn with_tls(info: ConnectionInfo, tls: &Tls) -> Result<ConnectionInfo, OpenError> {
    // Only the first call in a process counts; a provider that is there already will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificates = TlsCertificates {
        client_tls: tls
            .client
            .clone()
            .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
        root_cert: tls.ca.clone(),
    };
    let client = Client::build_with_tls(info, certificates)
        .map_err(|error| OpenError::Tls(error.to_string()))?;
    Ok(client.get_connection_info().clone())
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
            let dialer = Dialer::new(url, &Tls::default()).unwrap();
            assert!(dialer.pool(1).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_bad_address_is_refused_and_its_password_not_shown() {
        for url in ["http://user:s3cret@localhost", "redis://user:s3cret@[::1", "", "localhost"] {
            let error = Dialer::new(url, &Tls::default()).err().map(|error| error.to_string());
            let said = error.unwrap_or_else(|| panic!("{url:?} was taken"));
            assert!(!said.contains("s3cret"), "{said}");
        }
        let insecure = Dialer::new("rediss://localhost/#insecure", &Tls::default());
        assert!(matches!(insecure, Err(OpenError::Insecure)));
    }

    #[test]
    fn another_host_keeps_the_log_in_and_tls_and_another_log_in_the_host() {
        let one = Dialer::new("rediss://user:s3cret@a:1/3", &Tls::default()).unwrap();
        let other = one.to("b", 2);
        assert!(matches!(other.info.addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
        assert_eq!(other.address(), "b:2");
        assert_eq!(
            (other.info.redis_settings().username(), other.info.redis_settings().db()),
            (Some("user"), 3)
        );
        let sentinel = one.with_login(None, Some("theirs"));
        assert_eq!(sentinel.address(), "a:1");
        let login = sentinel.info.redis_settings();
        assert_eq!((login.username(), login.password(), login.db()), (None, Some("theirs"), 0));
    }
}
