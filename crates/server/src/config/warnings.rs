//! What can be, but is likely not meant.

use std::net::SocketAddr;

use ipnet::IpNet;
use transom_core::{Limits, Mode, Policy};

use super::admin::TOKEN_MIN;
use super::{Config, ExemptEntry, IdentityMode};

impl Config {
    /// What can be but is likely not meant, a sentence each, with the key it is about.
    pub fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.warn_of_listeners(&mut found);
        self.warn_of_networks(&mut found);
        self.warn_of_users(&mut found);
        if self.limiter.mode == Mode::Off {
            found.push("limiter.mode is off: nothing is limited".to_owned());
        }
        for (place, path) in self.limiter.exempt_paths.iter().enumerate() {
            if path.is_vague() {
                found.push(format!(
                    "limiter.exempt_paths[{place}] is {path}: nearly every path is unlimited"
                ));
            }
        }
        if self.default_is_missing {
            let Limits { minute, second } = self.policies.default_policy().limits;
            found.push(format!(
                "policy: none is named default; what no policy matches gets {minute} a minute and \
                 {second} a second"
            ));
        }
        for policy in self.policies.iter() {
            warn_of_policy(policy, &mut found);
        }
        found
    }

    fn warn_of_listeners(&self, found: &mut Vec<String>) {
        let open = |address: Option<SocketAddr>| {
            address.filter(|address| !address.ip().to_canonical().is_loopback())
        };
        if let (Some(address), None) = (open(self.listen.gateway), self.redis.place()) {
            found.push(format!(
                "listen.gateway is {address} without Redis: each worker counts alone"
            ));
        }
        for (name, address) in [("check", self.listen.check), ("rls", self.listen.rls)] {
            let Some(address) = open(address) else { continue };
            found.push(format!(
                "listen.{name} is {address}: it trusts whoever reaches it and belongs on an inner \
                 network"
            ));
        }
        if let (Some(address), None) = (open(self.listen.admin), &self.admin.token) {
            found.push(format!(
                "listen.admin is {address} without admin.token: health and metrics are open \
                 to whoever reaches it"
            ));
        }
        if self.admin.token.as_ref().is_some_and(|token| token.expose().len() < TOKEN_MIN) {
            found.push(format!(
                "admin.token is shorter than {TOKEN_MIN} characters: it can be guessed"
            ));
        }
    }

    fn warn_of_networks(&self, found: &mut Vec<String>) {
        let any = match self.identity.mode {
            IdentityMode::Header => "any user and any address",
            IdentityMode::ApiKey | IdentityMode::Jwt => "any address",
        };
        for (place, net) in self.identity.trusted_proxies.iter().enumerate() {
            if is_wide(net) {
                found.push(format!(
                    "identity.trusted_proxies[{place}] is {net}: any client in it can name {any}"
                ));
            }
        }
        for (place, exempt) in self.identity.exempt.iter().enumerate() {
            match exempt {
                ExemptEntry::Network(net) if is_wide(net) => {
                    found.push(format!(
                        "identity.exempt[{place}] is {net}: no client in it is limited"
                    ));
                }
                _ => {}
            }
        }
        let prefix = self.identity.ipv6_prefix;
        if prefix < 32 {
            found
                .push(format!("identity.ipv6_prefix is {prefix}: whole providers share one limit"));
        } else if prefix > 64 {
            found.push(format!(
                "identity.ipv6_prefix is {prefix}: one host can take as many limits as it likes"
            ));
        }
    }

    /// What another mode would read.
    fn warn_of_users(&self, found: &mut Vec<String>) {
        let identity = &self.identity;
        let mode = identity.mode.as_str();
        if identity.mode != IdentityMode::ApiKey && !self.api_keys.is_empty() {
            found.push(format!("api_key: API keys have no effect, identity.mode is {mode}"));
        }
        let tokens = [
            ("jwt_algorithm", identity.jwt_algorithm.is_some()),
            ("jwt_secret", identity.jwt_secret.is_some()),
            ("jwt_key_file", identity.jwt_key_file.is_some()),
            ("jwt_keys_file", identity.jwt_keys_file.is_some()),
            ("jwt_issuer", identity.jwt_issuer.is_some()),
            ("jwt_audience", identity.jwt_audience.is_some()),
        ];
        for (key, _) in tokens.iter().filter(|(_, set)| *set && identity.mode != IdentityMode::Jwt)
        {
            found.push(format!("identity.{key} has no effect, identity.mode is {mode}"));
        }
    }
}

/// Wider than /8 in IPv4 and /16 in IPv6.
fn is_wide(net: &IpNet) -> bool {
    match net {
        IpNet::V4(v4) => v4.prefix_len() < 8,
        IpNet::V6(v6) => v6.prefix_len() < 16,
    }
}

fn warn_of_policy(policy: &Policy, found: &mut Vec<String>) {
    let name = &policy.name;
    let Limits { minute, second } = policy.limits;
    let cost = policy.cost.units();
    for (limit, window) in [(minute, "minute"), (second, "second")] {
        if cost > limit {
            found.push(format!(
                "policy {name}: a cost of {cost} never fits {limit} a {window}, every request is \
                 denied"
            ));
        }
    }
    if second > minute {
        found.push(format!(
            "policy {name}: {second} a second is more than {minute} a minute and limits nothing"
        ));
    }
    for method in &policy.methods {
        if !KNOWN.contains(&method.as_str()) {
            found.push(format!("policy {name}: method {method} is not a common one"));
        }
    }
}

/// The registered methods that clients of an API send, and `PURGE` of caches.
const KNOWN: [&str; 26] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "SEARCH",
    "REPORT",
    "ACL",
    "BIND",
    "LINK",
    "UNLINK",
    "MKCALENDAR",
    "CHECKOUT",
    "PURGE",
];
