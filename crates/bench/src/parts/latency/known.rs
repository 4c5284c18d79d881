//! Which callers a Redis knows when it is asked.

use anyhow::Result;
use transom_core::Limits;
use transom_tests::RedisServer;
use transom_tests::fleet::Fleet;

use crate::bench::Bench;
use crate::load::CALM_KEYS;
use crate::parts::fill::{Fill, fill};
use crate::parts::system::{self, System};

/// Keys of the workers of this part.
pub(super) const PREFIX: &str = "latency";
/// In place of what the compose file has.
pub(super) const REDIS_DEFAULTS: [&str; 4] = ["--hz", "10", "--activerehashing", "yes"];

/// A worker and its Redis, which holds a window of each caller.
#[derive(Debug)]
pub(super) struct Known {
    redis: RedisServer,
    pub(super) worker: Fleet,
}

impl Known {
    /// With these settings of Redis.
    pub(super) async fn start(settings: &[&str], limits: Limits) -> Result<Self> {
        let redis = RedisServer::process(settings).await;
        fill(&redis, PREFIX, Fill { identities: CALM_KEYS, units: 1 }).await?;
        let worker = system::workers(&redis.url, PREFIX, limits, 1);
        Ok(Self { redis, worker })
    }

    /// Its worker, asked again and again.
    pub(super) const fn asked(&self, system: System) -> Asked<'_> {
        Asked { system, redis: &self.redis, emptied: false }
    }
}

/// A system, and what its Redis holds when its turn comes.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) system: System,
    redis: &'a RedisServer,
    emptied: bool,
}

impl<'a> Asked<'a> {
    /// Of a Redis that knows nobody.
    pub(super) const fn of_nobody(system: System, redis: &'a RedisServer) -> Self {
        Self { system, redis, emptied: true }
    }

    /// Asks until Redis has grown to what it needs under load.
    pub(super) async fn grow(&self, bench: &mut Bench) -> Result<()> {
        let tally = self.system.run(bench).await?;
        self.system.judge(bench, &tally);
        Ok(())
    }

    /// The system at a rate and its Redis, which is emptied if it is to know nobody.
    pub(super) async fn turn(&self, rate: u64) -> Result<(System, &'a RedisServer)> {
        if self.emptied {
            system::empty(self.redis).await?;
        }
        Ok((self.system.clone().at(rate), self.redis))
    }
}
