//! How a worker reaches Redis.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use transom_core::OnFailure;

use super::error::Fault;
use super::redis_url::RedisUrl;
use super::secret::{Secret, secret};
use super::value::{self, duration, list, optional, parsed, whole};

/// Redis, `[redis]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// The server, in the mode `single`. Absent by default: without it and without nodes the worker
    /// decides in process, alone; `redis.url` or `TRANSOM__REDIS__URL`.
    #[serde(deserialize_with = "url")]
    pub url: Option<RedisUrl>,
    /// What kind of Redis it is: `single` (default), `sentinel` or `cluster`; `redis.mode` or
    /// `TRANSOM__REDIS__MODE`.
    #[serde(deserialize_with = "mode")]
    pub mode: RedisMode,
    /// The sentinels, or some nodes of the cluster, which tell of the others. All have the same
    /// user, password and database, which under sentinels are those of the master. Empty by
    /// default; `redis.nodes` or `TRANSOM__REDIS__NODES`.
    #[serde(deserialize_with = "nodes")]
    pub nodes: Vec<RedisUrl>,
    /// The name of the master that the sentinels watch. Absent by default; `redis.master` or
    /// `TRANSOM__REDIS__MASTER`.
    #[serde(deserialize_with = "text")]
    pub master: Option<String>,
    /// The user that the sentinels ask for. Absent by default; `redis.sentinel_user` or
    /// `TRANSOM__REDIS__SENTINEL_USER`.
    #[serde(deserialize_with = "text")]
    pub sentinel_user: Option<String>,
    /// The password that the sentinels ask for. Absent by default: they are asked without a log-in;
    /// `redis.sentinel_password` or `TRANSOM__REDIS__SENTINEL_PASSWORD`.
    #[serde(deserialize_with = "secret")]
    pub sentinel_password: Option<Secret>,
    /// The longest time one decision may wait for Redis. Default 50 ms, 1 ms to 10 s;
    /// `redis.deadline` or `TRANSOM__REDIS__DEADLINE`.
    #[serde(deserialize_with = "duration::<_, 1, 10_000>")]
    pub deadline: Duration,
    /// What every key name begins with, a colon follows: 1 to 64 of `A-Z a-z 0-9 . _ : -`. Its
    /// number is the version of the format. Default `transom:1`; `redis.prefix` or
    /// `TRANSOM__REDIS__PREFIX`.
    #[serde(deserialize_with = "prefix")]
    pub prefix: String,
    /// Among how many workers a limit is divided in an outage; 0 is as many as are registered in
    /// Redis. Default 0, at most 10,000; `redis.workers` or `TRANSOM__REDIS__WORKERS`.
    #[serde(deserialize_with = "whole::<_, _, 0, 10_000>")]
    pub workers: u32,
    /// What happens to a request when Redis gives no decision, unless its policy says otherwise.
    /// Default `local`; `redis.on_failure` or `TRANSOM__REDIS__ON_FAILURE`.
    pub on_failure: OnFailure,
    /// How many connections carry decisions. Default 2, 1 to 64; `redis.lanes` or
    /// `TRANSOM__REDIS__LANES`.
    #[serde(deserialize_with = "whole::<_, _, 1, 64>")]
    pub lanes: usize,
    /// Whether a denial that is known to hold is said again without asking Redis. Default true;
    /// `redis.known_denials` or `TRANSOM__REDIS__KNOWN_DENIALS`.
    pub known_denials: bool,
    /// A PEM file of the authorities to trust, in place of the public ones. Absent by default;
    /// `redis.tls_ca` or `TRANSOM__REDIS__TLS_CA`.
    #[serde(deserialize_with = "value::path")]
    pub tls_ca: Option<PathBuf>,
    /// A PEM file of the client's certificate. Absent by default; `redis.tls_cert` or
    /// `TRANSOM__REDIS__TLS_CERT`.
    #[serde(deserialize_with = "value::path")]
    pub tls_cert: Option<PathBuf>,
    /// A PEM file of the client's private key. Absent by default; `redis.tls_key` or
    /// `TRANSOM__REDIS__TLS_KEY`.
    #[serde(deserialize_with = "value::path")]
    pub tls_key: Option<PathBuf>,
}

/// What kind of Redis it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisMode {
    /// One server.
    #[default]
    Single,
    /// A master that sentinels watch, and what takes its place.
    Sentinel,
    /// Redis Cluster.
    Cluster,
}

impl RedisMode {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        }
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: None,
            mode: RedisMode::Single,
            nodes: Vec::new(),
            master: None,
            sentinel_user: None,
            sentinel_password: None,
            deadline: Duration::from_millis(50),
            prefix: "transom:1".to_owned(),
            workers: 0,
            on_failure: OnFailure::Local,
            lanes: 2,
            known_denials: true,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
        }
    }
}

impl RedisConfig {
    /// Where Redis is, for people and without a secret; `None` where a worker is to decide alone.
    pub fn place(&self) -> Option<String> {
        let nodes = || self.nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self.mode {
            RedisMode::Single => self.url.as_ref().map(ToString::to_string),
            RedisMode::Sentinel => {
                let master = self.master.as_deref().unwrap_or_default();
                Some(format!("the master {master} of the sentinels {}", nodes()))
            }
            RedisMode::Cluster => Some(format!("the cluster of {}", nodes())),
        }
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        self.check_mode()?;
        self.check_nodes()?;
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            let reason = "a client certificate takes both, one is missing";
            return Err(Fault::pair("redis.tls_cert", "redis.tls_key", reason));
        }
        let encrypted = self.url.iter().chain(&self.nodes).any(RedisUrl::is_tls);
        for (key, file) in [("redis.tls_ca", &self.tls_ca), ("redis.tls_cert", &self.tls_cert)] {
            if file.is_some() && !encrypted {
                let (of, _) = self.addresses();
                let reason = format!("it takes a {of} that begins with rediss://");
                return Err(Fault::new(key, reason));
            }
        }
        Ok(())
    }

    /// The key that a mode takes its addresses from, and the one that it does not.
    const fn addresses(&self) -> (&'static str, &'static str) {
        match self.mode {
            RedisMode::Single => ("redis.url", "redis.nodes"),
            RedisMode::Sentinel | RedisMode::Cluster => ("redis.nodes", "redis.url"),
        }
    }

    /// What a mode takes, and what it does not.
    fn check_mode(&self) -> Result<(), Fault> {
        let mode = self.mode.as_str();
        let (url, nodes) = (self.url.is_some(), !self.nodes.is_empty());
        if url && nodes {
            let reason = "a single server has a url, sentinels and a cluster have nodes; not both";
            return Err(Fault::pair("redis.url", "redis.nodes", reason));
        }
        let (takes, refuses) = self.addresses();
        let single = self.mode == RedisMode::Single;
        if (single && nodes) || (!single && url) {
            let reason = format!("the mode {mode} takes {takes}");
            return Err(Fault::pair(refuses, "redis.mode", reason));
        }
        if !single && !nodes {
            let reason = format!("the mode {mode} takes {takes}, and there are none");
            return Err(Fault::new("redis.mode", reason));
        }
        let sentinel = self.mode == RedisMode::Sentinel;
        if sentinel && self.master.is_none() {
            let reason = "the mode sentinel takes the name of the master, and there is none";
            return Err(Fault::pair("redis.mode", "redis.master", reason));
        }
        for (key, set) in [
            ("redis.master", self.master.is_some()),
            ("redis.sentinel_user", self.sentinel_user.is_some()),
            ("redis.sentinel_password", self.sentinel_password.is_some()),
        ] {
            if set && !sentinel {
                let reason = format!("it belongs to the mode sentinel, and the mode is {mode}");
                return Err(Fault::pair(key, "redis.mode", reason));
            }
        }
        if self.sentinel_user.is_some() && self.sentinel_password.is_none() {
            let reason = "a user takes a password";
            return Err(Fault::pair("redis.sentinel_user", "redis.sentinel_password", reason));
        }
        Ok(())
    }

    /// That each node can be one, and that they are alike but for the host.
    fn check_nodes(&self) -> Result<(), Fault> {
        for (place, node) in self.nodes.iter().enumerate() {
            let fault = |reason: String| Err(Fault::new(format!("redis.nodes[{place}]"), reason));
            if node.is_socket() {
                return fault("a node is reached by redis:// or rediss://".to_owned());
            }
            if self.mode == RedisMode::Cluster && node.database() != 0 {
                return fault("a cluster has no database but 0".to_owned());
            }
            if let Some(what) = node.difference(&self.nodes[0]) {
                return fault(format!("it has another {what} than redis.nodes[0]"));
            }
        }
        Ok(())
    }
}

fn url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<RedisUrl>, D::Error> {
    optional(source, RedisUrl::parse)
}

fn nodes<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<RedisUrl>, D::Error> {
    list(source, RedisUrl::parse)
}

fn mode<'de, D: Deserializer<'de>>(source: D) -> Result<RedisMode, D::Error> {
    parsed(source, |text| {
        let modes = [RedisMode::Single, RedisMode::Sentinel, RedisMode::Cluster];
        value::word(text, &modes.map(|mode| (mode.as_str(), mode)))
    })
}

/// Text without blanks.
fn text<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    optional(source, |text| {
        if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
            Err(format!("{text:?} has a blank"))
        } else {
            Ok(text.to_owned())
        }
    })
}

fn prefix<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    parsed(source, |text| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(text.to_owned())
        } else {
            Err(format!("{text:?} is not 1 to 64 of A-Z a-z 0-9 . _ : -"))
        }
    })
}
