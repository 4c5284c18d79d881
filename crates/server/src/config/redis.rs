//! How a worker reaches Redis.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use transom_core::OnFailure;

use super::error::Fault;
use super::redis_url::RedisUrl;
use super::value::{self, NOT_IN_THIS_BUILD, duration, optional, parsed, whole};

/// Redis, `[redis]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// The server. Absent by default: the worker then decides in process, alone; `redis.url` or
    /// `TRANSOM__REDIS__URL`.
    #[serde(deserialize_with = "url")]
    pub url: Option<RedisUrl>,
    /// What kind of Redis it is. Default `single`, and nothing else in this build; `redis.mode` or
    /// `TRANSOM__REDIS__MODE`.
    #[serde(deserialize_with = "mode")]
    pub mode: RedisMode,
    /// The nodes of a cluster or the sentinels. Empty, and nothing else in this build;
    /// `redis.nodes` or `TRANSOM__REDIS__NODES`.
    #[serde(deserialize_with = "no_nodes")]
    nodes: (),
    /// The name of the master that sentinels watch. Absent, and nothing else in this build;
    /// `redis.master` or `TRANSOM__REDIS__MASTER`.
    #[serde(deserialize_with = "no_master")]
    master: (),
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
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: None,
            mode: RedisMode::Single,
            nodes: (),
            master: (),
            deadline: Duration::from_millis(50),
            prefix: "transom:1".to_owned(),
            workers: 0,
            on_failure: OnFailure::Local,
            lanes: 2,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
        }
    }
}

impl RedisConfig {
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            let reason = "a client certificate takes both, one is missing";
            return Err(Fault::pair("redis.tls_cert", "redis.tls_key", reason));
        }
        let encrypted = self.url.as_ref().is_some_and(RedisUrl::is_tls);
        for (key, file) in [("redis.tls_ca", &self.tls_ca), ("redis.tls_cert", &self.tls_cert)] {
            if file.is_some() && !encrypted {
                return Err(Fault::new(key, "it takes a redis.url that begins with rediss://"));
            }
        }
        Ok(())
    }
}

fn url<'de, D: Deserializer<'de>>(source: D) -> Result<Option<RedisUrl>, D::Error> {
    optional(source, RedisUrl::parse)
}

fn mode<'de, D: Deserializer<'de>>(source: D) -> Result<RedisMode, D::Error> {
    parsed(source, |text| {
        value::word(text, &[("single", RedisMode::Single)], &["cluster", "sentinel"])
    })
}

fn no_nodes<'de, D: Deserializer<'de>>(source: D) -> Result<(), D::Error> {
    match Vec::<String>::deserialize(source)?.as_slice() {
        [] => Ok(()),
        _ => {
            Err(D::Error::custom(format!("more than one node {NOT_IN_THIS_BUILD}; use redis.url")))
        }
    }
}

fn no_master<'de, D: Deserializer<'de>>(source: D) -> Result<(), D::Error> {
    optional(source, |_| Err::<(), _>(format!("a master that sentinels watch {NOT_IN_THIS_BUILD}")))
        .map(drop)
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
