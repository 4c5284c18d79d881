//! A worker: everything a configuration describes, set up, bound and run.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transom_core::{Fallback, Gate, Share, Unavailable};
use transom_local::LocalLimiter;
use transom_redis::{RedisLimiter, Settings, Tls};

use crate::backend::Backend;
use crate::config::{Config, IdentityMode, RedisConfig};
use crate::front::{Front, SharedFront};
use crate::gateway::{Gateway, SharedUpstream, Upstream, UpstreamSettings};
use crate::identity::{Identities, KeyError, tokens};
use crate::listen::{self, Drained, ListenSettings};
use crate::{admin, check};

/// How long a start may wait for Redis before the worker serves without it.
const WAIT_FOR_REDIS: Duration = Duration::from_secs(2);

/// Why a worker cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address cannot be listened on, most often because another process does.
    #[error("listen.{listener}: cannot listen on {address}")]
    Listen {
        /// The listener's name in the configuration.
        listener: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Redis cannot be used whether it answers or not.
    #[error("redis")]
    Redis(#[from] transom_redis::OpenError),
    /// A file that the configuration names cannot be read.
    #[error("{key}: cannot read {path}")]
    File {
        /// The key in the configuration.
        key: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that the configuration names holds no key by which tokens can be verified.
    #[error("{key}: cannot use {path}")]
    Keys {
        /// The key in the configuration.
        key: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// Requests cannot go to the upstream.
    #[error("gateway.upstream")]
    Upstream(#[from] crate::gateway::UpstreamError),
}

/// A worker that has bound its listeners and serves when it is [run](Worker::run).
#[derive(Debug)]
pub struct Worker {
    front: SharedFront,
    upstream: SharedUpstream,
    backend: Backend,
    /// Follows the roster, unless the configuration says how many workers there are.
    counted: Share,
    redis_said: Option<String>,
    listeners: Vec<(&'static str, TcpListener)>,
    settings: ListenSettings,
    drain_delay: Duration,
}

impl Worker {
    /// Sets everything up and binds the listeners, the gateway last: when it answers, all do.
    /// Waits a moment for Redis; a worker starts without it and then decides as its policies say.
    ///
    /// # Errors
    ///
    /// What cannot be right later either: an address that is taken, a file that is missing.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let share = Share::of(config.redis.workers);
        let counted = if config.redis.workers == 0 { share.clone() } else { Share::of(1) };
        let local = LocalLimiter::new(config.local.max_identities);
        let backend = match redis_settings(&config.redis)? {
            Some(settings) => {
                let redis = RedisLimiter::open(&settings)?;
                Backend::Redis(Arc::new(Fallback::new(redis, local, share)))
            }
            None => Backend::Local(Arc::new(local)),
        };
        let redis_said = match backend.redis() {
            Some(redis) => first_attempt(redis).await,
            None => None,
        };
        let front = Front {
            gate: Gate::new(config.policies.clone(), config.limiter.mode, backend.clone()),
            identities: identities(config, &backend)?,
            exempt: config.limiter.exempt_requests(),
            style: config.headers,
            messages: config.messages.clone(),
            deadline: config.redis.deadline,
        };
        let upstream = Upstream::new(&UpstreamSettings {
            url: config.gateway.upstream.clone(),
            connect_timeout: config.gateway.connect_timeout,
            response_timeout: config.gateway.response_timeout,
            max_body: config.gateway.max_body,
            preserve_host: config.gateway.preserve_host,
        })?;
        Ok(Self {
            front: Arc::new(ArcSwap::from_pointee(front)),
            upstream: Arc::new(ArcSwap::from_pointee(upstream)),
            backend,
            counted,
            redis_said,
            listeners: bind(config).await?,
            settings: ListenSettings {
                header_read_timeout: config.gateway.header_timeout,
                max_connections: config.gateway.max_connections,
                drain: config.gateway.drain,
            },
            drain_delay: config.gateway.drain_delay,
        })
    }

    /// Where each listener was bound, by name.
    pub fn addresses(&self) -> HashMap<&'static str, SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|(name, listener)| Some((*name, listener.local_addr().ok()?)))
            .collect()
    }

    /// Why Redis, though configured, did not answer at the start.
    pub fn redis_said(&self) -> Option<&str> {
        self.redis_said.as_deref()
    }

    /// Serves until `stop`. Then it says that it is not ready, goes on for `gateway.drain_delay`
    /// so that a load balancer notices, stops accepting, and lets what is in flight end within
    /// `gateway.drain`. With `hurry` cancelled the delay is skipped.
    pub async fn run(self, stop: CancellationToken, hurry: CancellationToken) -> Drained {
        let close = CancellationToken::new();
        let mut serving = JoinSet::new();
        for (name, listener) in self.listeners {
            let (front, settings) = (Arc::clone(&self.front), self.settings);
            let (stop, close) = (stop.clone(), close.clone());
            match name {
                "gateway" => {
                    let gateway = Gateway::new(front, Arc::clone(&self.upstream));
                    serving.spawn(listen::serve(listener, settings, gateway, close))
                }
                "check" => {
                    serving.spawn(listen::serve(listener, settings, check::router(front), close))
                }
                _ => {
                    let admin = admin::router(front, stop);
                    serving.spawn(listen::serve(listener, settings, admin, close))
                }
            };
        }
        let roster = tokio::spawn(stay_on_roster(self.backend.clone(), self.counted));

        stop.cancelled().await;
        let _ = tokio::time::timeout(self.drain_delay, hurry.cancelled()).await;
        close.cancel();
        let mut cut = 0;
        while let Some(drained) = serving.join_next().await {
            cut += drained.map_or(0, |drained| drained.cut);
        }
        roster.abort();
        if let Some(redis) = self.backend.redis() {
            redis.leave().await;
        }
        Drained { cut }
    }
}

/// Why the first attempt to connect to Redis failed, if it did.
async fn first_attempt(redis: &RedisLimiter) -> Option<String> {
    match tokio::time::timeout(WAIT_FOR_REDIS, redis.connected()).await {
        Ok(Ok(())) => None,
        Ok(Err(Unavailable::Unreachable { reason })) => Some(reason),
        Ok(Err(other)) => Some(other.to_string()),
        Err(_) => Some("no answer in time".to_owned()),
    }
}

/// Counts this worker among those that share the limits in an outage.
async fn stay_on_roster(backend: Backend, share: Share) {
    if let Some(redis) = backend.redis() {
        redis.join(share).await;
    }
}

async fn bind(config: &Config) -> Result<Vec<(&'static str, TcpListener)>, StartError> {
    let mut listeners = Vec::new();
    let [gateway, others @ ..] = config.listen.all();
    for (listener, address) in others.into_iter().chain([gateway]) {
        let Some(address) = address else { continue };
        let bound = TcpListener::bind(address).await.map_err(|source| StartError::Listen {
            listener,
            address,
            source,
        })?;
        listeners.push((listener, bound));
    }
    Ok(listeners)
}

/// How the limiter is to reach Redis, where one is configured, with the files read that the
/// configuration names.
///
/// # Errors
///
/// [`StartError::File`].
pub fn redis_settings(config: &RedisConfig) -> Result<Option<Settings>, StartError> {
    let Some(url) = &config.url else {
        return Ok(None);
    };
    let read = |key, path: &Option<std::path::PathBuf>| match path {
        None => Ok(None),
        Some(path) => std::fs::read(path).map(Some).map_err(|source| StartError::File {
            key,
            path: path.display().to_string(),
            source,
        }),
    };
    let cert = read("redis.tls_cert", &config.tls_cert)?;
    let key = read("redis.tls_key", &config.tls_key)?;
    let tls = Tls { ca: read("redis.tls_ca", &config.tls_ca)?, client: cert.zip(key) };
    Ok(Some(Settings {
        url: url.expose().to_owned(),
        tls,
        deadline: config.deadline,
        prefix: config.prefix.clone(),
        lanes: config.lanes,
    }))
}

fn identities(config: &Config, backend: &Backend) -> Result<Identities, StartError> {
    let identity = &config.identity;
    let keys = config.api_keys.iter().map(|key| (key.sha256, key.user.clone()));
    let identities = Identities::new(
        identity.trusted_proxies.clone(),
        identity.client_ip_header.clone(),
        identity.ipv6_prefix,
        identity.exempt_by_kind(),
    )
    .with_static_keys(keys.collect());
    let identities = match backend.redis() {
        Some(redis) => identities.with_directory(redis.api_keys()),
        None => identities,
    };
    Ok(match (identity.mode, tokens(identity)?) {
        (IdentityMode::Header, _) => identities.with_user_header(identity.header.clone()),
        (_, Some(tokens)) => identities.with_tokens(tokens),
        _ => identities,
    })
}
