//! What a running worker takes up of a changed configuration, and what it keeps until a restart.

use super::error::ConfigError;
use super::{Config, ConfigSource, FileText};

/// A changed configuration, as far as a running worker takes it up.
#[derive(Debug)]
pub(crate) struct Changed {
    /// What is to be in force.
    pub(crate) config: Config,
    /// The settings that differ in the file and stay as they were.
    pub(crate) needs_restart: Vec<&'static str>,
}

impl ConfigSource {
    /// Reads and checks what a file holds that has changed, for a worker that runs under `running`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`]; or what is new cannot be together with what stays.
    pub(crate) fn parse_changed(
        &self,
        file: &FileText,
        running: &Config,
    ) -> Result<Changed, ConfigError> {
        let mut config = self.parse(file)?;
        let needs_restart = keep(&mut config, running);
        // The only check that holds a setting that changes against one that stays.
        config.gateway.check(config.listen.gateway).map_err(|fault| self.blame(&fault))?;
        Ok(Changed { config, needs_restart })
    }
}

/// Writes the keys of settings once, as `section.key`: they are both the fields that are kept and
/// their names.
macro_rules! kept_until_restart {
    ($($section:ident.$key:ident,)*) => {
        /// Every setting that is kept.
        #[cfg(test)]
        pub(super) const KEPT: &[&str] = &[$(concat!(stringify!($section), ".", stringify!($key))),*];

        /// Puts back what a running worker cannot change; the names of those that differed.
        fn keep(config: &mut Config, running: &Config) -> Vec<&'static str> {
            let mut differed = Vec::new();
            $(
                if config.$section.$key != running.$section.$key {
                    config.$section.$key.clone_from(&running.$section.$key);
                    differed.push(concat!(stringify!($section), ".", stringify!($key)));
                }
            )*
            differed
        }
    };
}

kept_until_restart! {
    listen.gateway,
    listen.check,
    listen.rls,
    listen.admin,
    gateway.header_timeout,
    gateway.body_timeout,
    gateway.write_timeout,
    gateway.idle_timeout,
    gateway.max_connections,
    gateway.max_connections_per_address,
    gateway.drain_delay,
    gateway.drain,
    redis.url,
    redis.mode,
    redis.nodes,
    redis.master,
    redis.sentinel_user,
    redis.sentinel_password,
    redis.deadline,
    redis.prefix,
    redis.workers,
    redis.lanes,
    redis.known_denials,
    redis.tls_ca,
    redis.tls_cert,
    redis.tls_key,
    log.level,
    log.format,
    log.decisions,
    log.requests,
    tracing.otlp_endpoint,
    tracing.sample_ratio,
    local.max_identities,
}
