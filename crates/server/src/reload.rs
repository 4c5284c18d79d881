//! Takes up a changed configuration file while the worker serves.
//!
//! The file is read twice a second, and a change is taken up when two readings have found it: a
//! file that somebody is still writing is not. Reading sees a symlink that was swapped, a bind
//! mount and a network file system, which a watch of the file may not. When it is asked to, as at
//! SIGHUP, the worker reads the file at once and takes up what it holds, changed or not.
//!
//! A file that is refused leaves in force what was; so does one that is gone. What is in force is
//! swapped as a whole: each request is decided and forwarded under one configuration. What was used of a limit is kept, since it belongs to the limiter.

mod status;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::config::{Changed, Config, ConfigError, ConfigSource, FileText};
use crate::front::{Front, SharedFront};
use crate::telemetry::metrics;
use crate::worker::{Lasting, StartError};

pub use status::{ConfigStatus, Refusal, SharedStatus};

/// How often the file is read. A change is in force after two readings.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a reading found: the digest of the file, or why there is none.
type Seen = Result<String, ConfigError>;

/// Keeps what is in force at what the file holds.
#[derive(Debug)]
pub(crate) struct Reloader {
    source: Arc<ConfigSource>,
    lasting: Lasting,
    front: SharedFront,
    status: SharedStatus,
    /// Asks for a reading at once.
    asked: Arc<Notify>,
    /// In force.
    config: Arc<Config>,
    /// What the last reading found.
    seen: Seen,
    /// What was taken up or refused last.
    handled: Seen,
}

/// What one file makes of a worker.
struct Next {
    changed: Changed,
    front: Front,
}

/// Why a file is not taken up.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Reloader {
    /// For a worker that runs under `config`, which came from `source`.
    pub(crate) fn new(
        source: ConfigSource,
        config: Config,
        lasting: Lasting,
        front: SharedFront,
    ) -> Self {
        let seen = Seen::Ok(config.digest.clone());
        Self {
            source: Arc::new(source),
            lasting,
            front,
            status: Arc::new(ArcSwap::from_pointee(ConfigStatus::at_start(&config.digest))),
            asked: Arc::default(),
            config: Arc::new(config),
            handled: seen.clone(),
            seen,
        }
    }

    /// What is in force, kept up to date.
    pub(crate) fn status(&self) -> SharedStatus {
        Arc::clone(&self.status)
    }

    /// By which a reading at once is asked for.
    pub(crate) fn asked(&self) -> Arc<Notify> {
        Arc::clone(&self.asked)
    }

    /// Follows the file for as long as the future is polled.
    pub(crate) async fn run(mut self) {
        let watches = self.source.file().is_some();
        loop {
            tokio::select! {
                () = self.asked.notified() => self.reload().await,
                () = sleep(LOOK_EVERY), if watches => self.look().await,
            }
        }
    }

    /// Reads the file, and takes up a change that the reading before had found too.
    async fn look(&mut self) {
        let read = self.read().await;
        let found = seen(&read);
        let settled = found == self.seen;
        self.seen = found;
        if settled && self.seen != self.handled {
            self.take_up(read).await;
        }
    }

    /// Reads the file and takes it up, changed or not: files that it names may have changed.
    async fn reload(&mut self) {
        if self.source.file().is_none() {
            tracing::warn!("there is no configuration file to read again");
            return;
        }
        let read = self.read().await;
        self.seen = seen(&read);
        self.take_up(read).await;
    }

    async fn read(&self) -> Result<FileText, ConfigError> {
        let source = Arc::clone(&self.source);
        self.in_background(move || source.read()).await
    }

    async fn take_up(&mut self, read: Result<FileText, ConfigError>) {
        self.handled = seen(&read);
        match self.prepare(read).await {
            Ok(next) => self.apply(next),
            Err(error) => self.refuse(&error),
        }
    }

    /// Makes a front out of what was read.
    async fn prepare(&self, read: Result<FileText, ConfigError>) -> Result<Next, ReloadError> {
        let text = read?;
        let (source, lasting) = (Arc::clone(&self.source), self.lasting.clone());
        let (running, front) = (Arc::clone(&self.config), self.front.load_full());
        self.in_background(move || {
            let changed = source.parse_changed(&text, &running)?;
            let front = lasting.front_after(&front, &running, &changed.config)?;
            Ok(Next { changed, front })
        })
        .await
    }

    /// Runs what takes its time away from the threads that serve.
    async fn in_background<T, E>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<ConfigError> + Send + 'static,
    {
        let done = spawn_blocking(work).await;
        // A panic, of which the process has told.
        done.unwrap_or_else(|_| Err(self.source.cannot_be_read().into()))
    }

    fn apply(&mut self, next: Next) {
        let Next { changed: Changed { config, needs_restart }, front } = next;
        let before = self.status.load_full();
        let status = before.applied(&config.digest, &needs_restart);
        let front = Arc::new(front);
        let old = self.front.swap(Arc::clone(&front));
        let said = if status.version == before.version {
            "the configuration in force was read again"
        } else {
            "a new configuration is in force"
        };
        metrics::start(&config.policies, config.redis.deadline);
        metrics::config_applied(status.version, true);
        tracing::info!(version = status.version, digest = status.digest, "{said}");
        for warning in front.warnings.iter().filter(|warning| !old.warnings.contains(warning)) {
            tracing::warn!("{warning}");
        }
        if !needs_restart.is_empty() {
            tracing::warn!("needs a restart: {}", needs_restart.join(", "));
        }
        self.config = Arc::new(config);
        self.publish(status);
    }

    fn refuse(&self, error: &ReloadError) {
        let reason = match (error, self.source.file()) {
            (ReloadError::Start(error), Some(file)) => {
                format!("{}: {}", file.display(), chain(error))
            }
            _ => chain(error),
        };
        let status = self.status.load().refused(&reason);
        let version = status.version;
        metrics::config_applied(version, false);
        tracing::error!(version, "the configuration is refused, the old one stays: {reason}");
        self.publish(status);
    }

    fn publish(&self, status: ConfigStatus) {
        self.status.store(Arc::new(status));
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

fn seen(read: &Result<FileText, ConfigError>) -> Seen {
    read.as_ref().map(|text| text.digest.clone()).map_err(ConfigError::clone)
}

#[cfg(test)]
mod tests;
