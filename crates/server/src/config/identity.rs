//! Who a request is counted on.

use std::fmt;

use http::HeaderName;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use transom_core::{DEFAULT_IPV6_PREFIX, Identity};

use super::error::Fault;
use super::network::network;
use super::value::{list, parsed, whole, word};
use crate::identity::Exempt;

/// Identities, `[identity]`. Lists in variables are separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityConfig {
    /// What names a user. Default `api_key`, and nothing else in this build; `identity.mode` or
    /// `TRANSOM__IDENTITY__MODE`.
    #[serde(deserialize_with = "mode")]
    pub mode: IdentityMode,
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

    /// Refuses an exempt network that is narrower than one caller: the rest of that caller would
    /// be exempt with it, or nobody.
    pub(super) fn check(&self) -> Result<(), Fault> {
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

fn mode<'de, D: Deserializer<'de>>(source: D) -> Result<IdentityMode, D::Error> {
    parsed(source, |text| word(text, &[("api_key", IdentityMode::ApiKey)], &["header", "jwt"]))
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
