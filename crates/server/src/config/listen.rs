//! Where a worker listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Deserializer};

use super::error::Fault;
use super::value::optional;

/// The listeners, `[listen]`. Each is an address with a port, such as `127.0.0.1:8080` or
/// `[::1]:8080`; `localhost` is 127.0.0.1, and port 0 is any free port. `None`, written as an
/// empty string, turns a listener off.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// The reverse proxy to the upstream. Default 127.0.0.1:8080; `listen.gateway` or
    /// `TRANSOM__LISTEN__GATEWAY`.
    #[serde(deserialize_with = "address")]
    pub gateway: Option<SocketAddr>,
    /// Decisions for proxies and services. It trusts whoever reaches it. Default 127.0.0.1:8081;
    /// `listen.check` or `TRANSOM__LISTEN__CHECK`.
    #[serde(deserialize_with = "address")]
    pub check: Option<SocketAddr>,
    /// Envoy's rate limit service. It trusts whoever reaches it. Default 127.0.0.1:8082;
    /// `listen.rls` or `TRANSOM__LISTEN__RLS`.
    #[serde(deserialize_with = "address")]
    pub rls: Option<SocketAddr>,
    /// Health, metrics, the admin API and the console. Default 127.0.0.1:8083; `listen.admin` or `TRANSOM__LISTEN__ADMIN`.
    #[serde(deserialize_with = "address")]
    pub admin: Option<SocketAddr>,
}

impl Default for ListenConfig {
    fn default() -> Self {
        let loopback = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Self {
            gateway: loopback(8080),
            check: loopback(8081),
            rls: loopback(8082),
            admin: loopback(8083),
        }
    }
}

impl ListenConfig {
    /// The listeners by name, in the order of the section.
    pub fn all(&self) -> [(&'static str, Option<SocketAddr>); 4] {
        [("gateway", self.gateway), ("check", self.check), ("rls", self.rls), ("admin", self.admin)]
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        let on: Vec<_> =
            self.all().into_iter().filter_map(|(name, at)| Some((name, at?))).collect();
        if on.is_empty() {
            return Err(Fault::new("listen", "every listener is off, a worker would do nothing"));
        }
        for (place, (name, at)) in on.iter().enumerate() {
            if let Some((other, _)) = on[..place].iter().find(|(_, other)| overlap(*other, *at)) {
                let [one, two] = [other, name].map(|name| format!("listen.{name}"));
                return Err(Fault::pair(&one, &two, format!("both take {at}")));
            }
        }
        Ok(())
    }
}

/// Whether the second of two listeners could not be bound. `::` takes the port on every address,
/// `0.0.0.0` on every IPv4 address.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let takes = |one: IpAddr, other: IpAddr| match one {
        IpAddr::V6(v6) => v6.is_unspecified(),
        IpAddr::V4(v4) => v4.is_unspecified() && other.is_ipv4(),
    };
    let (a, b) = (one.ip(), other.ip());
    one.port() != 0 && one.port() == other.port() && (a == b || takes(a, b) || takes(b, a))
}

fn address<'de, D: Deserializer<'de>>(source: D) -> Result<Option<SocketAddr>, D::Error> {
    optional(source, |text| {
        let local = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok());
        match (local, text.parse()) {
            (Some(port), _) => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            (None, Ok(address)) => Ok(address),
            (None, Err(_)) => Err(format!("{text:?} is no address; write 127.0.0.1:8080")),
        }
    })
}
