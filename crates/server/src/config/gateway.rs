//! The reverse proxy: where it sends requests, and what bounds them.

use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use serde::{Deserialize, Deserializer};

use super::error::Fault;
use super::listen::overlap;
use super::network::is_host_and_port;
use super::value::{duration, optional, size, whole};

/// The gateway, `[gateway]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// What stands behind: `http://`, a host, a port unless it is 80, and a path if one is to be put
    /// before that of every request. Absent by default, which is a built-in echo; `gateway.upstream` or `TRANSOM__GATEWAY__UPSTREAM`.
    #[serde(deserialize_with = "upstream")]
    pub upstream: Option<Uri>,
    /// The longest time to connect to the upstream. Default 2 s, 1 ms to 1 h;
    /// `gateway.connect_timeout` or `TRANSOM__GATEWAY__CONNECT_TIMEOUT`.
    #[serde(deserialize_with = "duration::<_, 1, 3_600_000>")]
    pub connect_timeout: Duration,
    /// The longest time until the upstream answers with the head of a response. Default 30 s,
    /// 1 ms to 1 h; `gateway.response_timeout` or `TRANSOM__GATEWAY__RESPONSE_TIMEOUT`.
    #[serde(deserialize_with = "duration::<_, 1, 3_600_000>")]
    pub response_timeout: Duration,
    /// The longest body of a request, in bytes; written with a unit, `10MiB`. Absent by default,
    /// which is no bound; `gateway.max_body` or `TRANSOM__GATEWAY__MAX_BODY`.
    #[serde(deserialize_with = "max_body")]
    pub max_body: Option<u64>,
    /// Whether the upstream sees the `Host` that the client asked for, and not its own. Default
    /// true; `gateway.preserve_host` or `TRANSOM__GATEWAY__PRESERVE_HOST`.
    pub preserve_host: bool,
    /// The longest time a client may take to send the head of a request. Default 10 s, 1 ms to
    /// 1 h; `gateway.header_timeout` or `TRANSOM__GATEWAY__HEADER_TIMEOUT`.
    #[serde(deserialize_with = "duration::<_, 1, 3_600_000>")]
    pub header_timeout: Duration,
    /// How long a client is waited for within the body of a request, over all pauses, and a second
    /// more for every 256 bytes. Default 30 s, 1 ms to 1 h; `gateway.body_timeout` or
    /// `TRANSOM__GATEWAY__BODY_TIMEOUT`.
    #[serde(deserialize_with = "duration::<_, 1, 3_600_000>")]
    pub body_timeout: Duration,
    /// How long a client may take nothing of a response. Default 30 s, 1 ms to 1 h;
    /// `gateway.write_timeout` or `TRANSOM__GATEWAY__WRITE_TIMEOUT`.
    #[serde(deserialize_with = "duration::<_, 1, 3_600_000>")]
    pub write_timeout: Duration,
    /// How long a connection of HTTP/2 may be without a request; one of HTTP/1.1 ends after
    /// `header_timeout`, if that is shorter. Default 1 min, 1 ms to 1 h; `gateway.idle_timeout` or
    /// `TRANSOM__GATEWAY__IDLE_TIMEOUT`.
    #[serde(deserialize_with = "duration::<_, 1, 3_600_000>")]
    pub idle_timeout: Duration,
    /// How long a connection that has changed its protocol, such as a WebSocket, may carry nothing;
    /// it ends within twice that. Default 1 h, 1 ms to 1 d; `gateway.tunnel_timeout` or `TRANSOM__GATEWAY__TUNNEL_TIMEOUT`.
    #[serde(deserialize_with = "duration::<_, 1, 86_400_000>")]
    pub tunnel_timeout: Duration,
    /// How many connections of clients are served at a time. Default 10,000, 1 to 1,000,000;
    /// `gateway.max_connections` or `TRANSOM__GATEWAY__MAX_CONNECTIONS`.
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000_000>")]
    pub max_connections: usize,
    /// How many of them one address may have at the gateway, IPv6 by its /64, unless it is a trusted
    /// proxy's. Default 1,000, 1 to 1,000,000; `gateway.max_connections_per_address` or
    /// `TRANSOM__GATEWAY__MAX_CONNECTIONS_PER_ADDRESS`.
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000_000>")]
    pub max_connections_per_address: usize,
    /// How long a worker that was asked to end says that it is not ready and serves on, so that a
    /// load balancer sends it nothing more. Connections of HTTP/1.1 end with their next answer
    /// meanwhile. Default 0 s, at most 1 h; `gateway.drain_delay` or
    /// `TRANSOM__GATEWAY__DRAIN_DELAY`.
    #[serde(deserialize_with = "duration::<_, 0, 3_600_000>")]
    pub drain_delay: Duration,
    /// How long requests under way may take to end at shutdown. Default 10 s, 0 s to 1 h;
    /// `gateway.drain` or `TRANSOM__GATEWAY__DRAIN`.
    #[serde(deserialize_with = "duration::<_, 0, 3_600_000>")]
    pub drain: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            upstream: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(30),
            max_body: None,
            preserve_host: true,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            tunnel_timeout: Duration::from_secs(3_600),
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            drain_delay: Duration::ZERO,
            drain: Duration::from_secs(10),
        }
    }
}

impl GatewayConfig {
    /// Refuses a gateway at `listen` that would call itself for ever.
    pub(super) fn check(&self, listen: Option<SocketAddr>) -> Result<(), Fault> {
        let (Some(upstream), Some(listen)) = (&self.upstream, listen) else {
            return Ok(());
        };
        let host = upstream.host().unwrap_or_default();
        let host = if host == "localhost" { "127.0.0.1" } else { host };
        let port = upstream.port_u16().unwrap_or(80);
        match format!("{host}:{port}").parse() {
            Ok(behind) if overlap(behind, listen) && is_here(behind, listen) => Err(Fault::pair(
                "gateway.upstream",
                "listen.gateway",
                format!("the gateway on {listen} would be its own upstream"),
            )),
            _ => Ok(()),
        }
    }
}

/// Whether an address is this machine's own: another machine may use the port of `0.0.0.0` here.
fn is_here(behind: SocketAddr, listen: SocketAddr) -> bool {
    let ip = behind.ip();
    ip == listen.ip() || ip.is_loopback() || ip.is_unspecified()
}

fn upstream<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Uri>, D::Error> {
    optional(source, |text| {
        let uri: Uri = text.parse().map_err(|_| NO_UPSTREAM.to_owned())?;
        let Some(authority) = uri.authority() else {
            return Err(NO_UPSTREAM.to_owned());
        };
        if uri.scheme() == Some(&Scheme::HTTPS) {
            Err("an upstream over https is not in this build; write http://HOST:PORT".to_owned())
        } else if uri.scheme() != Some(&Scheme::HTTP) || !is_host_and_port(authority) {
            Err(NO_UPSTREAM.to_owned())
        } else if authority.as_str().contains('@') {
            Err("an upstream carries no user or password".to_owned())
        } else if uri.query().is_some() {
            Err("an upstream has no query; requests keep their own".to_owned())
        } else {
            Ok(uri)
        }
    })
}

const NO_UPSTREAM: &str = "no upstream; write http://HOST:PORT";

fn max_body<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u64>, D::Error> {
    optional(source, size)
}
