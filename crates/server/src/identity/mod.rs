//! Who asks: a user by a valid API key, by the word of a trusted proxy or by a verified token,
//! whichever is configured; anyone else by address.

mod client_address;
mod configured;
mod credential;
mod token;
mod user_header;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use transom_core::Identity;
use transom_redis::{Digest, KeyDirectory};

pub use client_address::{ClientAddress, ForwardedHeader};
pub use configured::tokens;
pub use jsonwebtoken::Algorithm;
pub use token::{KeyError, TokenKeys, TokenRules, Tokens};
pub(crate) use user_header::{UserHeader, only};

/// Finds the identity of a caller, once per request.
#[derive(Debug)]
pub struct Identities {
    addresses: ClientAddress,
    ipv6_prefix: u8,
    users: Users,
    static_keys: HashMap<Digest, Identity>,
    directory: Option<KeyDirectory>,
    exempt: Exempt,
}

/// What names a user.
#[derive(Debug)]
enum Users {
    ApiKeys,
    Header(HeaderName),
    Tokens(Box<Tokens>),
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
        header: HeaderName,
        ipv6_prefix: u8,
        exempt: Exempt,
    ) -> Self {
        Self {
            addresses: ClientAddress::new(trusted_proxies, header),
            ipv6_prefix,
            users: Users::ApiKeys,
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

    /// Users by what a trusted proxy says in this header, in place of API keys.
    #[must_use]
    pub fn with_user_header(mut self, header: HeaderName) -> Self {
        self.users = Users::Header(header);
        self
    }

    /// Users by verified tokens, in place of API keys.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Tokens) -> Self {
        self.users = Users::Tokens(Box::new(tokens));
        self
    }

    /// The identity of a caller. A valid key or token, or the word of a trusted proxy, gives its
    /// user, whatever the address; anything else, an invalid or revoked key included, gives the
    /// address. While Redis cannot be reached, or not within `deadline`, a key that this worker
    /// has not looked up before counts on the address.
    pub async fn of(&self, peer: IpAddr, headers: &HeaderMap, deadline: Duration) -> Identity {
        let user = match &self.users {
            Users::ApiKeys => self.by_api_key(headers, deadline).await,
            Users::Header(name) if self.is_trusted_proxy(peer) => user_header::user(headers, name),
            Users::Header(_) => None,
            Users::Tokens(tokens) => {
                credential::token(headers).and_then(|token| tokens.user_of(token))
            }
        };
        user.unwrap_or_else(|| Identity::ip(self.addresses.of(peer, headers), self.ipv6_prefix))
    }

    /// The user of the first valid key that a request shows.
    async fn by_api_key(&self, headers: &HeaderMap, deadline: Duration) -> Option<Identity> {
        let started = Instant::now();
        for key in credential::api_keys(headers) {
            let left = deadline.saturating_sub(started.elapsed());
            let user = self.user_of(Digest::of(key), left).await;
            if user.is_some() {
                return user;
            }
        }
        None
    }

    async fn user_of(&self, digest: Digest, within: Duration) -> Option<Identity> {
        if let Some(user) = self.static_keys.get(&digest) {
            return Some(user.clone());
        }
        let id = self.directory.as_ref()?.user_of(digest, within).await.ok()??;
        Identity::user(&id).ok()
    }

    /// What the upstream may see of the header that names users, where one does.
    pub(crate) fn user_header(&self, trusted: bool, headers: &HeaderMap) -> Option<UserHeader> {
        match &self.users {
            Users::Header(name) => Some(UserHeader::of(headers, name, trusted)),
            Users::ApiKeys | Users::Tokens(_) => None,
        }
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
