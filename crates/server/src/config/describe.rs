//! The configuration in force, for people and for programs. No secret is shown.

use comfy_table::{CellAlignment, Table, presets};
use humantime::format_duration;
use serde_json::{Value, json};
use transom_core::Policy;

use super::error::one_line;
use super::{Config, ExemptEntry, IdentityMode, jwt};

impl Config {
    /// What `transom check-config` prints: listeners, store, identity, the policies with the most
    /// specific first, and [`Config::warnings`].
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for (title, value) in self.summary() {
            line(&mut text, &format!("{title:<18} {value}"));
        }
        line(&mut text, "");
        line(&mut text, "Policies, the most specific first:");
        for row in self.policy_table().lines() {
            line(&mut text, row.trim_end());
        }
        let warnings = self.warnings();
        if !warnings.is_empty() {
            line(&mut text, "");
            line(&mut text, "Warnings:");
            warnings.iter().for_each(|warning| line(&mut text, &format!("- {warning}")));
        }
        text
    }

    /// The same as JSON: `listen`, `upstream`, `store`, `identity`, `mode`, `penalty`, `admin`,
    /// `ready_while_degraded`, `exempt`, `policies`, `warnings`.
    pub fn to_json(&self) -> Value {
        let listen: serde_json::Map<_, _> = self
            .listen
            .all()
            .into_iter()
            .map(|(name, address)| (name.to_owned(), json!(address)))
            .collect();
        json!({
            "listen": listen,
            "upstream": self.upstream(),
            "store": self.store_json(),
            "identity": {
                "mode": self.identity.mode.as_str(),
                "header": self.user_header(),
                "jwt": self.jwt_json(),
                "api_keys": self.api_keys.len(),
                "trusted_proxies": self.identity.trusted_proxies,
                "client_ip_header": self.identity.client_ip_header.as_str(),
                "ipv6_prefix": self.identity.ipv6_prefix,
                "exempt": self.identity.exempt.iter().map(ExemptEntry::to_string).collect::<Vec<_>>(),
            },
            "mode": self.limiter.mode,
            "penalty": self.penalty.to_json(),
            "admin": if self.admin.token.is_some() { "token" } else { "loopback" },
            "ready_while_degraded": self.admin.ready_while_degraded,
            "exempt": {
                "preflight": self.limiter.exempt_preflight,
                "paths": self.limiter.exempt_paths,
            },
            "policies": self.by_specificity().into_iter().map(policy_json).collect::<Vec<_>>(),
            "warnings": self.warnings(),
        })
    }

    /// The policies, the most specific first: by host, then by path, then by methods. `default` is
    /// the last.
    pub fn by_specificity(&self) -> Vec<&Policy> {
        let mut policies: Vec<_> = self.policies.iter().map(AsRef::as_ref).collect();
        policies.sort_by_cached_key(|policy| specificity(policy));
        policies
    }

    fn summary(&self) -> Vec<(String, String)> {
        let mut lines: Vec<_> = self
            .listen
            .all()
            .into_iter()
            .map(|(name, address)| {
                let at = address.map_or("off".to_owned(), |address| address.to_string());
                (format!("listen.{name}"), at)
            })
            .collect();
        let upstream = self.upstream().unwrap_or("a built-in echo".to_owned());
        lines.push(("upstream".to_owned(), upstream));
        lines.push(("store".to_owned(), self.store()));
        lines.push(("identity".to_owned(), self.identities()));
        lines.push(("mode".to_owned(), self.limiter.mode.to_string()));
        if self.penalty.enabled {
            lines.push(("penalty".to_owned(), self.penalty.describe()));
        }
        let operators = match self.admin.token {
            Some(_) => "whoever has admin.token",
            None => "whoever is on this machine (admin.token is not set)",
        };
        lines.push(("operators".to_owned(), operators.to_owned()));
        if !self.admin.ready_while_degraded {
            lines.push(("ready".to_owned(), "only while Redis decides".to_owned()));
        }
        let mut exempt =
            self.limiter.exempt_paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        if self.limiter.exempt_preflight {
            exempt.push("CORS preflights".to_owned());
        }
        if !exempt.is_empty() {
            lines.push(("exempt".to_owned(), exempt.join(", ")));
        }
        lines
    }

    fn upstream(&self) -> Option<String> {
        self.gateway.upstream.as_ref().map(|uri| uri.to_string().trim_end_matches('/').to_owned())
    }

    fn store(&self) -> String {
        let Some(place) = self.redis.place() else {
            return format!(
                "in process, this worker alone, at most {} pairs of an identity and a policy",
                self.local.max_identities
            );
        };
        format!(
            "{place}, prefix {}, deadline {}, {} lanes",
            self.redis.prefix,
            format_duration(self.redis.deadline),
            self.redis.lanes
        )
    }

    fn store_json(&self) -> Value {
        let redis = &self.redis;
        if redis.place().is_none() {
            return json!({"kind": "local", "max_identities": self.local.max_identities});
        }
        json!({
            "kind": "redis",
            "mode": redis.mode.as_str(),
            "url": redis.url.as_ref().map(ToString::to_string),
            "nodes": redis.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "master": redis.master,
            "prefix": redis.prefix,
            "deadline": format_duration(redis.deadline).to_string(),
            "lanes": redis.lanes,
            "known_denials": redis.known_denials,
            "workers": redis.workers,
        })
    }

    fn user_header(&self) -> Option<&str> {
        (self.identity.mode == IdentityMode::Header).then(|| self.identity.header.as_str())
    }

    fn jwt_json(&self) -> Value {
        let identity = &self.identity;
        match (identity.mode, identity.jwt_algorithm) {
            (IdentityMode::Jwt, Some(algorithm)) => json!({
                "algorithm": jwt::name(algorithm),
                "key_file": identity.jwt_key_file,
                "keys_file": identity.jwt_keys_file,
                "issuer": identity.jwt_issuer,
                "audience": identity.jwt_audience,
                "leeway": format_duration(identity.jwt_leeway).to_string(),
            }),
            _ => Value::Null,
        }
    }

    fn identities(&self) -> String {
        let identity = &self.identity;
        let users = match (identity.mode, identity.jwt_algorithm.map(jwt::name)) {
            (IdentityMode::Header, _) => format!("header {}", identity.header),
            (IdentityMode::Jwt, Some(algorithm)) => {
                let of = |claim: &Option<String>| claim.clone().unwrap_or_default();
                let (issuer, audience) = (of(&identity.jwt_issuer), of(&identity.jwt_audience));
                format!("jwt {algorithm} from {issuer} for {audience}")
            }
            (mode, _) => format!("{} ({} in the file)", mode.as_str(), self.api_keys.len()),
        };
        let mut text = format!("{users}, else the address, IPv6 by /{}", identity.ipv6_prefix);
        if identity.trusted_proxies.is_empty() {
            text.push_str("; no proxy is trusted");
        } else {
            let proxies = list(&identity.trusted_proxies);
            text.push_str(&format!("; {} from {proxies}", identity.client_ip_header));
        }
        if !identity.exempt.is_empty() {
            text.push_str(&format!("; exempt {}", list(&identity.exempt)));
        }
        text
    }

    /// The policies as a table, the most specific first.
    pub fn policy_table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(COLUMNS);
        for policy in self.by_specificity() {
            table.add_row([
                policy.name.to_string(),
                if policy.methods.is_empty() { "any".to_owned() } else { list(&policy.methods) },
                policy.host.clone().unwrap_or("any".to_owned()),
                policy.path.as_ref().map_or("any".to_owned(), ToString::to_string),
                policy.limits.minute.to_string(),
                policy.limits.second.to_string(),
                policy.cost.units().to_string(),
                policy.mode.to_string(),
                policy.on_failure.to_string(),
            ]);
        }
        for column in table.column_iter_mut() {
            if (4..7).contains(&column.index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }
}

const COLUMNS: [&str; 9] =
    ["name", "methods", "host", "path", "minute", "second", "cost", "mode", "on_failure"];

fn policy_json(policy: &Policy) -> Value {
    json!({
        "name": policy.name,
        "methods": policy.methods.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "host": policy.host,
        "path": policy.path,
        "minute": policy.limits.minute,
        "second": policy.limits.second,
        "cost": policy.cost,
        "mode": policy.mode,
        "on_failure": policy.on_failure,
    })
}

/// Sorts the more specific first, as the matcher compares; names order what cannot both match.
fn specificity(policy: &Policy) -> impl Ord + use<> {
    let segments: Option<Vec<_>> = policy.path.as_ref().map(|path| {
        let segments = path.as_str().split('/').filter(|segment| !segment.is_empty());
        segments.map(|segment| (rank(segment), segment.to_owned())).collect()
    });
    (
        (policy.host.is_none(), policy.host.clone()),
        (segments.is_none(), segments),
        policy.methods.is_empty(),
        (policy.name.is_default(), policy.name.clone()),
    )
}

/// A literal goes before a parameter, and a parameter before a catch-all.
fn rank(segment: &str) -> u8 {
    match segment {
        catch_all if catch_all.starts_with("{*") => 2,
        parameter if parameter.starts_with('{') => 1,
        _ => 0,
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(&one_line(line));
    text.push('\n');
}

fn list<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
