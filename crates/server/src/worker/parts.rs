//! The parts of a worker: those that last, and the front, which every configuration makes anew.

use std::path::PathBuf;
use std::sync::Arc;

use transom_core::{Fallback, FleetMode, Gate, Share};
use transom_local::LocalLimiter;
use transom_redis::{KeyDirectory, RedisLimiter, Sentinels, Servers, Settings, Tls};

use super::StartError;
use crate::backend::Backend;
use crate::config::{Config, GatewayConfig, IdentityMode, RedisConfig, RedisMode, RedisUrl};
use crate::front::Front;
use crate::gateway::{Upstream, UpstreamSettings};
use crate::identity::{Identities, tokens};
use crate::reporter::Reporter;

/// What outlives a configuration: who decides, with the windows held in process, and the API keys
/// that were looked up.
#[derive(Clone, Debug)]
pub(crate) struct Lasting {
    pub(super) backend: Backend,
    directory: Option<KeyDirectory>,
    /// Follows the roster, unless the configuration says how many workers there are.
    pub(super) counted: Share,
    /// The mode that was set for the fleet.
    pub(super) fleet_mode: FleetMode,
    /// What was decided and not reported yet.
    pub(super) reporter: Arc<Reporter>,
}

impl Lasting {
    /// Sets up the limiter that a configuration asks for.
    pub(crate) fn open(config: &Config) -> Result<Self, StartError> {
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
        let directory = backend.redis().map(RedisLimiter::api_keys);
        let (fleet_mode, reporter) = (FleetMode::default(), Arc::default());
        Ok(Self { backend, directory, counted, fleet_mode, reporter })
    }

    /// The API keys in Redis, where there is one.
    pub(crate) const fn directory(&self) -> Option<&KeyDirectory> {
        self.directory.as_ref()
    }

    /// The front under a configuration.
    pub(crate) fn front(&self, config: &Config) -> Result<Front, StartError> {
        let upstream = Upstream::new(&upstream_settings(&config.gateway))?;
        self.front_with(config, Arc::new(upstream))
    }

    /// The front under a configuration that takes the place of `old`, under which `front` was
    /// made. Where the upstream stays as it was, so do the connections to it.
    pub(crate) fn front_after(
        &self,
        front: &Front,
        old: &Config,
        config: &Config,
    ) -> Result<Front, StartError> {
        if upstream_settings(&old.gateway) == upstream_settings(&config.gateway) {
            return self.front_with(config, Arc::clone(&front.upstream));
        }
        self.front(config)
    }

    fn front_with(&self, config: &Config, upstream: Arc<Upstream>) -> Result<Front, StartError> {
        let gate = Gate::new(config.policies.clone(), config.limiter.mode, self.backend.clone())
            .with_fleet_mode(self.fleet_mode.clone())
            .with_penalty(config.penalty.rules());
        Ok(Front {
            gate,
            warnings: config.warnings(),
            admin_token: config.admin.token.clone(),
            ready_while_degraded: config.admin.ready_while_degraded,
            reporter: Arc::clone(&self.reporter),
            identities: self.identities(config)?,
            exempt: config.limiter.exempt_requests(),
            style: config.headers,
            messages: config.messages.clone(),
            deadline: config.redis.deadline,
            upstream,
        })
    }

    fn identities(&self, config: &Config) -> Result<Identities, StartError> {
        let identity = &config.identity;
        let keys = config.api_keys.iter().map(|key| (key.sha256, key.user.clone()));
        let identities = Identities::new(
            identity.trusted_proxies.clone(),
            identity.client_ip_header.clone(),
            identity.ipv6_prefix,
            identity.exempt_by_kind(),
        )
        .with_static_keys(keys.collect());
        let identities = match &self.directory {
            Some(directory) => identities.with_directory(directory.clone()),
            None => identities,
        };
        Ok(match (identity.mode, tokens(identity)?) {
            (IdentityMode::Header, _) => identities.with_user_header(identity.header.clone()),
            (_, Some(tokens)) => identities.with_tokens(tokens),
            _ => identities,
        })
    }
}

/// How the limiter is to reach Redis, where one is configured, with the files read that the
/// configuration names.
///
/// # Errors
///
/// [`StartError::File`].
pub fn redis_settings(config: &RedisConfig) -> Result<Option<Settings>, StartError> {
    let Some(servers) = servers(config) else {
        return Ok(None);
    };
    let read = |key, path: &Option<PathBuf>| match path {
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
        servers,
        tls,
        deadline: config.deadline,
        prefix: config.prefix.clone(),
        lanes: config.lanes,
        known_denials: config.known_denials,
    }))
}

/// Where Redis is, where one is configured.
fn servers(config: &RedisConfig) -> Option<Servers> {
    let exposed = |url: &RedisUrl| url.expose().to_owned();
    let nodes = || config.nodes.iter().map(exposed).collect();
    Some(match config.mode {
        RedisMode::Single => Servers::Single(exposed(config.url.as_ref()?)),
        RedisMode::Sentinel => Servers::Sentinel(Sentinels {
            nodes: nodes(),
            master: config.master.clone()?,
            user: config.sentinel_user.clone(),
            password: config.sentinel_password.as_ref().map(|secret| secret.expose().to_owned()),
        }),
        RedisMode::Cluster => Servers::Cluster(nodes()),
    })
}

fn upstream_settings(config: &GatewayConfig) -> UpstreamSettings {
    UpstreamSettings {
        url: config.upstream.clone(),
        connect_timeout: config.connect_timeout,
        response_timeout: config.response_timeout,
        tunnel_timeout: config.tunnel_timeout,
        max_body: config.max_body,
        preserve_host: config.preserve_host,
    }
}
