//! A worker: everything a configuration describes, set up, bound and run.

mod error;
mod parts;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transom_core::{FleetMode, Share, Unavailable};
use transom_redis::RedisLimiter;

use crate::admin::Admin;
use crate::backend::Backend;
use crate::check::Check;
use crate::config::{Config, ConfigSource};
use crate::front::SharedFront;
use crate::gateway::Gateway;
use crate::listen::{self, Drained, ListenSettings, Shutdown};
use crate::operator::Operator;
use crate::reload::Reloader;
use crate::telemetry::metrics;
use crate::telemetry::request::Scoped;
use crate::{admin, rls};

pub use error::StartError;
pub(crate) use parts::Lasting;
pub use parts::redis_settings;

/// How long a start may wait for Redis before the worker serves without it.
const WAIT_FOR_REDIS: Duration = Duration::from_secs(2);

/// How many connections operators, scrapers and probes have at a time, of whatever is configured.
const ADMIN_CONNECTIONS: usize = 256;

/// A worker that has bound its listeners and serves when it is [run](Worker::run).
#[derive(Debug)]
pub struct Worker {
    front: SharedFront,
    lasting: Lasting,
    reloader: Reloader,
    redis_said: Option<String>,
    listeners: Vec<(&'static str, TcpListener)>,
    settings: ListenSettings,
    /// At the gateway: who reaches the others is trusted.
    per_address: usize,
    drain_delay: Duration,
}

impl Worker {
    /// Sets everything up and binds the listeners, the gateway last: when it answers, all do.
    /// Waits a moment for Redis; a worker starts without it and then decides as its policies say.
    /// While it runs it takes up what changes in the file of `source`, from which `config` came.
    ///
    /// # Errors
    ///
    /// What cannot be right later either: an address that is taken, a file that is missing.
    pub async fn start(config: &Config, source: ConfigSource) -> Result<Self, StartError> {
        metrics::start(&config.policies, config.redis.deadline);
        let lasting = Lasting::open(config)?;
        let redis_said = match lasting.backend.redis() {
            Some(redis) => first_attempt(redis).await,
            None => None,
        };
        let front: SharedFront = Arc::new(ArcSwap::from_pointee(lasting.front(config)?));
        metrics::config_applied(1, true);
        Ok(Self {
            reloader: Reloader::new(source, config.clone(), lasting.clone(), Arc::clone(&front)),
            front,
            lasting,
            redis_said,
            listeners: bind(config).await?,
            settings: ListenSettings {
                header_read_timeout: config.gateway.header_timeout,
                body_timeout: config.gateway.body_timeout,
                write_timeout: config.gateway.write_timeout,
                idle_timeout: config.gateway.idle_timeout,
                max_connections: config.gateway.max_connections,
                drain: config.gateway.drain,
                ..ListenSettings::default()
            },
            per_address: config.gateway.max_connections_per_address,
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

    /// By which a worker that runs is asked to read its configuration again at once.
    pub fn reload(&self) -> Arc<Notify> {
        self.reloader.asked()
    }

    /// Serves until `stop`. Then it says that it is not ready, goes on for `gateway.drain_delay`
    /// so that a load balancer notices, keeps no connection of HTTP/1.1 meanwhile, stops accepting,
    /// and lets what is in flight end within `gateway.drain`. With `hurry` cancelled the delay is
    /// skipped.
    pub async fn run(self, stop: CancellationToken, hurry: CancellationToken) -> Drained {
        let shutdown = Shutdown::default();
        let mut serving = JoinSet::new();
        for (name, listener) in self.listeners {
            let front = Arc::clone(&self.front);
            let settings = ListenSettings { name, ..self.settings };
            let (stop, shutdown) = (stop.clone(), shutdown.clone());
            match name {
                "gateway" => {
                    let max_connections_per_address = self.per_address;
                    let settings = ListenSettings { max_connections_per_address, ..settings };
                    let current = Arc::clone(&front);
                    let trusts = move |peer| current.load().identities.is_trusted_proxy(peer);
                    let gateway = Gateway::new(front);
                    serving.spawn(listen::serve_trusting(
                        listener, settings, trusts, gateway, shutdown,
                    ))
                }
                "check" => {
                    let service = Scoped::new(name, Arc::clone(&front), Check::new(front));
                    serving.spawn(listen::serve(listener, settings, service, shutdown))
                }
                "rls" => {
                    let service = Scoped::new(name, Arc::clone(&front), rls::router(front));
                    serving.spawn(listen::serve(listener, settings, service, shutdown))
                }
                _ => {
                    let operator =
                        Operator::new(Arc::clone(&front), self.lasting.directory().cloned());
                    let status = self.reloader.status();
                    let admin = admin::router(Admin::new(front, operator, status, stop));
                    let max_connections = settings.max_connections.min(ADMIN_CONNECTIONS);
                    let settings = ListenSettings { max_connections, ..settings };
                    serving.spawn(listen::serve(listener, settings, admin, shutdown))
                }
            };
        }
        let Lasting { backend, counted, fleet_mode, reporter, .. } = self.lasting;
        let mut upkeep = JoinSet::new();
        upkeep.spawn(follow_mode(backend.clone(), fleet_mode));
        let reported_to = backend.clone();
        let reporting = Arc::clone(&reporter);
        upkeep.spawn(async move { reporting.run(reported_to).await });
        upkeep.spawn(watch_redis(backend.clone()));
        upkeep.spawn(stay_on_roster(backend.clone(), counted));
        upkeep.spawn(self.reloader.run());
        upkeep.spawn(metrics::keep_up());

        stop.cancelled().await;
        shutdown.announce();
        let _ = tokio::time::timeout(self.drain_delay, hurry.cancelled()).await;
        shutdown.begin();
        let mut cut = 0;
        while let Some(drained) = serving.join_next().await {
            cut += drained.map_or(0, |drained| drained.cut);
        }
        upkeep.shutdown().await;
        reporter.report(&backend).await;
        if let Some(redis) = backend.redis() {
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

/// Keeps an eye on how Redis keeps keys.
async fn watch_redis(backend: Backend) {
    if let Some(redis) = backend.redis() {
        redis.watch().await;
    }
}

/// Keeps to the mode that is set for the fleet. In process there is nobody else to set it.
async fn follow_mode(backend: Backend, mode: FleetMode) {
    if let Some(redis) = backend.redis() {
        redis.follow_mode(mode).await;
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
