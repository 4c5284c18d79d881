//! Who a request is counted on.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use transom_core::{DEFAULT_IPV6_PREFIX, Identity};

use super::error::Fault;
use super::jwt;
use super::network::network;
use super::secret::{Secret, secret};
use super::value::{self, duration, list, parsed, whole, word};
use crate::identity::{Algorithm, Exempt};

/// Identities, `[identity]`. Lists in variables are separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// What names a user. Default `api_key`; `identity.mode` or `TRANSOM__IDENTITY__MODE`.
    #[serde(deserialize_with = "mode")]
    pub mode: IdentityMode,
    /// The header in which trusted proxies name the user, in mode `header`. Default `x-user-id`;
    /// `identity.header` or `TRANSOM__IDENTITY__HEADER`.
    #[serde(deserialize_with = "header")]
    pub header: HeaderName,
    /// How tokens are signed, in mode `jwt`; what a token says of itself does not count. Absent by
    /// default; `identity.jwt_algorithm` or `TRANSOM__IDENTITY__JWT_ALGORITHM`.
    #[serde(deserialize_with = "jwt::algorithm")]
    pub jwt_algorithm: Option<Algorithm>,
    /// The secret of HS256, HS384 and HS512. Absent by default; `identity.jwt_secret` or
    /// `TRANSOM__IDENTITY__JWT_SECRET`.
    #[serde(deserialize_with = "secret")]
    pub jwt_secret: Option<Secret>,
    /// A PEM file of the one public key. Absent by default; `identity.jwt_key_file` or
    /// `TRANSOM__IDENTITY__JWT_KEY_FILE`.
    #[serde(deserialize_with = "value::path")]
    pub jwt_key_file: Option<PathBuf>,
    /// A JSON Web Key Set (RFC 7517) of public keys, of which a token names one by `kid`. Absent
    /// by default; `identity.jwt_keys_file` or `TRANSOM__IDENTITY__JWT_KEYS_FILE`.
    #[serde(deserialize_with = "value::path")]
    pub jwt_keys_file: Option<PathBuf>,
    /// What the claim `iss` of a token must be. Absent by default; `identity.jwt_issuer` or
    /// `TRANSOM__IDENTITY__JWT_ISSUER`.
    #[serde(deserialize_with = "jwt::claim")]
    pub jwt_issuer: Option<String>,
    /// What the claim `aud` of a token must be or list. Absent by default; `identity.jwt_audience`
    /// or `TRANSOM__IDENTITY__JWT_AUDIENCE`.
    #[serde(deserialize_with = "jwt::claim")]
    pub jwt_audience: Option<String>,
    /// How far the clock of whoever made a token may be off. Default 30 s, 0 s to 10 min;
    /// `identity.jwt_leeway` or `TRANSOM__IDENTITY__JWT_LEEWAY`.
    #[serde(deserialize_with = "duration::<_, 0, 600_000>")]
    pub jwt_leeway: Duration,
    /// Networks, or single addresses, whose header is believed. Empty by default;
    /// `identity.trusted_proxies` or `TRANSOM__IDENTITY__TRUSTED_PROXIES`.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which trusted proxies name their client: `forwarded`, or one that lists
    /// addresses. Default `x-forwarded-for`; `identity.client_ip_header` or
    /// `TRANSOM__IDENTITY__CLIENT_IP_HEADER`.
    #[serde(deserialize_with = "header")]
    pub client_ip_header: HeaderName,
    /// How many leading bits of an IPv6 address are one caller. Default 64, 1 to 128;
    /// `identity.ipv6_prefix` or `TRANSOM__IDENTITY__IPV6_PREFIX`.
    #[serde(deserialize_with = "whole::<_, _, 1, 128>")]
    pub ipv6_prefix: u8,
    /// Who is not limited: `ip:` with a network or an address, or `user:` with an id. Empty by
    /// default; `identity.exempt` or `TRANSOM__IDENTITY__EXEMPT`.
    #[serde(deserialize_with = "exempt")]
    pub exempt: Vec<ExemptEntry>,
}

/// What names a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityMode {
    /// A key, in `Authorization: Bearer` or `X-Api-Key`.
    #[default]
    ApiKey,
    /// A header that a trusted proxy sets.
    Header,
    /// The claim `sub` of a verified token, in `Authorization: Bearer`.
    Jwt,
}

/// Somebody who is not limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExemptEntry {
    /// Every address of a network.
    Network(IpNet),
    /// One user.
    User(Identity),
}

/// As it is written: `ip:` with a network, or `user:` with an id.
impl fmt::Display for ExemptEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(net) => write!(f, "ip:{net}"),
            Self::User(user) => write!(f, "{user}"),
        }
    }
}

impl Default for IdentityConfig {
    fn default() -> Self {
        Self {
            mode: IdentityMode::ApiKey,
            header: HeaderName::from_static("x-user-id"),
            jwt_algorithm: None,
            jwt_secret: None,
            jwt_key_file: None,
            jwt_keys_file: None,
            jwt_issuer: None,
            jwt_audience: None,
            jwt_leeway: Duration::from_secs(30),
            trusted_proxies: Vec::new(),
            client_ip_header: HeaderName::from_static("x-forwarded-for"),
            ipv6_prefix: DEFAULT_IPV6_PREFIX,
            exempt: Vec::new(),
        }
    }
}

impl IdentityMode {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Header => "header",
            Self::Jwt => "jwt",
        }
    }
}

impl IdentityConfig {
    /// The exempt apart by kind, as the worker asks for them.
    pub fn exempt_by_kind(&self) -> Exempt {
        let mut kinds = Exempt::default();
        for entry in &self.exempt {
            match entry {
                ExemptEntry::Network(net) => kinds.networks.push(*net),
                ExemptEntry::User(user) => kinds.identities.push(user.clone()),
            }
        }
        kinds
    }

    /// Refuses what cannot be together.
    pub(super) fn check(&self) -> Result<(), Fault> {
        match self.mode {
            IdentityMode::ApiKey => {}
            IdentityMode::Header => self.check_header()?,
            IdentityMode::Jwt => jwt::check(self)?,
        }
        self.check_exempt()
    }

    fn check_header(&self) -> Result<(), Fault> {
        let Self { header, client_ip_header, .. } = self;
        if self.trusted_proxies.is_empty() {
            let reason = "a header names users only where it comes from a trusted proxy; name one";
            return Err(Fault::pair("identity.mode", "identity.trusted_proxies", reason));
        }
        if header == client_ip_header {
            let reason = format!("{header} cannot hold both the user and the address");
            return Err(Fault::pair("identity.header", "identity.client_ip_header", reason));
        }
        if NO_USER_HEADER.contains(&header.as_str()) {
            let reason = format!("{header} has a meaning of its own and names no user");
            return Err(Fault::new("identity.header", reason));
        }
        Ok(())
    }

    /// Refuses an exempt network that is narrower than one caller: the rest of that caller would
    /// be exempt with it, or nobody.
    fn check_exempt(&self) -> Result<(), Fault> {
        for (place, exempt) in self.exempt.iter().enumerate() {
            match exempt {
                ExemptEntry::Network(IpNet::V6(net)) if net.prefix_len() > self.ipv6_prefix => {
                    let reason = format!(
                        "{net} is a part of one caller, which is a /{0}; write a /{0} or wider",
                        self.ipv6_prefix
                    );
                    return Err(Fault::new(format!("identity.exempt[{place}]"), reason));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a gateway reads or writes itself, and what holds a secret, which must not become part of a
/// key name.
const NO_USER_HEADER: [&str; 20] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "proxy-authorization",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

fn mode<'de, D: Deserializer<'de>>(source: D) -> Result<IdentityMode, D::Error> {
    parsed(source, |text| {
        let modes = [IdentityMode::ApiKey, IdentityMode::Header, IdentityMode::Jwt];
        word(text, &modes.map(|mode| (mode.as_str(), mode)))
    })
}

fn networks<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<IpNet>, D::Error> {
    list(source, network)
}

fn header<'de, D: Deserializer<'de>>(source: D) -> Result<HeaderName, D::Error> {
    parsed(source, |text| text.parse().map_err(|_| format!("{text:?} is no name of a header")))
}

fn exempt<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<ExemptEntry>, D::Error> {
    list(source, |text| {
        if let Some(net) = text.strip_prefix("ip:") {
            network(net).map(ExemptEntry::Network)
        } else if let Some(id) = text.strip_prefix("user:") {
            Identity::user(id).map(ExemptEntry::User).map_err(|error| error.to_string())
        } else {
            Err(format!("{text:?} is neither ip:NETWORK nor user:ID"))
        }
    })
}
