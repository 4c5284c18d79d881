//! How the map is kept up to date: read from any node that answers.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::{sleep, timeout};
use transom_core::Unavailable;

use super::map::{self, Range};
use super::{Address, Cluster};
use crate::primary::Primary;

/// How often the map is read, give or take a quarter: while all is well, and while it is not.
const READ_EVERY: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(250)];
/// It is not read again before this, whatever happens.
const READ_PAUSE: Duration = Duration::from_millis(100);
/// How long a node may take to tell of the map; it may be frozen, and others know it too.
const TOLD_WITHIN: Duration = Duration::from_millis(300);
/// The same for a seed, to which there is no connection yet.
const SEED_TELLS_WITHIN: Duration = Duration::from_secs(1);
/// How many nodes are asked before the seeds are.
const NODES_ASKED: usize = 3;

impl Cluster {
    /// Reads the map from a node that answers.
    async fn read_map(&self, seeds: &[(Address, Primary)]) {
        let said = match self.told(seeds).await {
            Ok(ranges) => {
                self.install(&ranges);
                Ok(())
            }
            Err(reason) => Err(reason),
        };
        self.read.send_modify(|(attempts, last)| {
            if let Err(reason) = &said
                && *last != said
            {
                tracing::warn!(reason, "the map of the cluster cannot be read");
            }
            *attempts += 1;
            *last = said;
        });
    }

    /// What a node says of the map. Those that are known are asked first: a seed may be one that
    /// has left the cluster, or has lost its slots and does not know yet.
    async fn told(&self, seeds: &[(Address, Primary)]) -> Result<Vec<Range>, String> {
        let mut nodes = self.nodes();
        fastrand::shuffle(&mut nodes);
        nodes.sort_by_key(|node| node.lanes.state().is_err());
        let mut reason = String::new();
        for node in nodes.iter().take(NODES_ASKED) {
            let reply = timeout(TOLD_WITHIN, node.send(&cluster_slots(), false)).await;
            match reply.unwrap_or(Err(Unavailable::Deadline)) {
                Ok(reply) => match ranges(&reply, &node.address) {
                    Ok(ranges) => return Ok(ranges),
                    Err(said) => reason = said,
                },
                Err(said) => reason = format!("{}: {said}", node.address),
            }
        }
        let mut seeds: Vec<_> = seeds.iter().collect();
        fastrand::shuffle(&mut seeds);
        for (address, primary) in seeds {
            let reply = timeout(SEED_TELLS_WITHIN, ask_seed(primary)).await;
            match reply.unwrap_or_else(|_elapsed| Err("no answer in time".to_owned())) {
                Ok(reply) => match ranges(&reply, address) {
                    Ok(ranges) => return Ok(ranges),
                    Err(said) => reason = said,
                },
                Err(said) => reason = format!("{address}: {said}"),
            }
        }
        Err(reason)
    }

    /// How long the map is good for.
    fn good_for(&self) -> Duration {
        let read = self.read.borrow().1.is_ok();
        let well = read && self.state(|node| node.lanes.state()).is_ok();
        READ_EVERY[usize::from(!well)] * fastrand::u32(75..=125) / 100
    }
}

/// Reads the map again and again, until nobody uses the cluster.
pub(super) async fn keep_up(cluster: Weak<Cluster>, seeds: Vec<(Address, Primary)>) {
    while let Some(here) = cluster.upgrade() {
        here.read_map(&seeds).await;
        let (stale, good_for) = (Arc::clone(&here.stale), here.good_for());
        drop(here);
        sleep(READ_PAUSE).await;
        // Whichever is first.
        let _ = timeout(good_for.saturating_sub(READ_PAUSE), stale.notified()).await;
    }
}

fn cluster_slots() -> Cmd {
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    command
}

async fn ask_seed(seed: &Primary) -> Result<Value, String> {
    let mut connection = seed.connection().await?;
    let reply = cluster_slots().query_async(&mut *connection).await;
    // Nobody asks again soon.
    connection.discard();
    reply.map_err(|error: redis::RedisError| error.to_string())
}

/// The ranges in a reply; a node that knows of none is in no cluster.
fn ranges(reply: &Value, asked: &Address) -> Result<Vec<Range>, String> {
    match map::read(reply, asked) {
        Some(ranges) if ranges.is_empty() => Err(format!("{asked}: it knows of no slots")),
        Some(ranges) => Ok(ranges),
        None => Err(format!("{asked}: its CLUSTER SLOTS cannot be read")),
    }
}
