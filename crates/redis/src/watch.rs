//! What a worker should be told of its server without having asked: that it evicts keys, or is
//! almost full.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::RedisLimiter;
use crate::examine::{Info, Severity, ask, keeps_what_it_is_given};
use crate::metrics::ServerMetrics;

/// How often the server is asked.
const PERIOD: Duration = Duration::from_secs(5);

/// What was found at the last look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Takes the place of what was found before; what is new goes to the log.
    fn replace(&self, found: Vec<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in found.iter().filter(|warning| !known.contains(warning)) {
            tracing::warn!(warning, "redis may forget limits");
        }
        *known = found;
    }
}

impl RedisLimiter {
    /// What is wrong with how the server keeps keys, as [`watch`](Self::watch) last saw it.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps an eye on the server's memory, for as long as the future is polled. Where the server
    /// does not answer, or INFO is not permitted, the last look stays.
    pub async fn watch(&self) {
        let metrics = ServerMetrics::new();
        loop {
            let (mut evicted_keys, mut evicts, mut said) = (0, false, Vec::new());
            let mut looked = false;
            for (name, node) in self.control.nodes.all() {
                let Ok(text) = ask::<String>(&node, "INFO").await else { continue };
                let info = Info::read(&text);
                looked = true;
                evicted_keys += info.number("evicted_keys");
                evicts |= info.evicts();
                let found = keeps_what_it_is_given(&info).into_iter();
                let wrong = found.filter(|one| one.severity > Severity::Unknown);
                said.extend(wrong.map(|one| one.of(name.as_deref()).said));
            }
            if looked {
                metrics.read(evicted_keys, evicts);
                self.warnings.replace(said);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }
}
