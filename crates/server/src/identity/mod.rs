//! Who asks: a user by a valid API key, anyone else by address.

mod client_address;
mod credential;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::HeaderMap;
use ipnet::IpNet;
use transom_core::Identity;
use transom_redis::{Digest, KeyDirectory};

pub use client_address::{ClientAddress, ForwardedHeader};

/// Finds the identity of a caller, once per request.
#[derive(Debug)]
pub struct Identities {
    addresses: ClientAddress,
    ipv6_prefix: u8,
    static_keys: HashMap<Digest, Identity>,
    directory: Option<KeyDirectory>,
    exempt: Exempt,
}

/// Who is not limited.
#[derive(Clone, Debug, Default)]
pub struct Exempt {
    /// Single identities.
    pub identities: Vec<Identity>,
    /// Whole networks of addresses.
    pub networks: Vec<IpNet>,
}

impl Identities {
    /// Callers by address: the peer, or what `trusted_proxies` say in `header`. IPv6 addresses
    /// are cut to `ipv6_prefix` bits.
    pub fn new(
        trusted_proxies: Vec<IpNet>,
        header: http::HeaderName,
        ipv6_prefix: u8,
        exempt: Exempt,
    ) -> Self {
        Self {
            addresses: ClientAddress::new(trusted_proxies, header),
            ipv6_prefix,
            static_keys: HashMap::new(),
            directory: None,
            exempt,
        }
    }

    /// Adds API keys of the configuration.
    #[must_use]
    pub fn with_static_keys(mut self, keys: HashMap<Digest, Identity>) -> Self {
        self.static_keys = keys;
        self
    }

    /// Adds the API keys kept in Redis.
    #[must_use]
    pub fn with_directory(mut self, directory: KeyDirectory) -> Self {
        self.directory = Some(directory);
        self
    }

    /// The identity of a caller. A valid key gives its user, whatever the address; anything
    /// else, an invalid or revoked key included, gives the address. While Redis cannot be
    /// reached, or not within `deadline`, a key that this worker has not looked up before counts
    /// on the address.
    pub async fn of(&self, peer: IpAddr, headers: &HeaderMap, deadline: Duration) -> Identity {
        let started = Instant::now();
        for key in credential::api_keys(headers) {
            let left = deadline.saturating_sub(started.elapsed());
            if let Some(user) = self.user_of(Digest::of(key), left).await {
                return user;
            }
        }
        Identity::ip(self.addresses.of(peer, headers), self.ipv6_prefix)
    }

    async fn user_of(&self, digest: Digest, within: Duration) -> Option<Identity> {
        if let Some(user) = self.static_keys.get(&digest) {
            return Some(user.clone());
        }
        let id = self.directory.as_ref()?.user_of(digest, within).await.ok()??;
        Identity::user(&id).ok()
    }

    /// Whether an identity is never limited.
    pub fn is_exempt(&self, identity: &Identity) -> bool {
        let Exempt { identities, networks } = &self.exempt;
        identities.contains(identity)
            || (!networks.is_empty()
                && identity
                    .address()
                    .is_some_and(|address| networks.iter().any(|net| net.contains(&address))))
    }

    /// Whether a peer is a proxy whose word on its client is believed.
    pub fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        self.addresses.trusts(peer.to_canonical())
    }

    /// How many leading bits of an IPv6 address name a caller.
    pub const fn ipv6_prefix(&self) -> u8 {
        self.ipv6_prefix
    }
}

#[cfg(test)]
mod tests;
