//! A system that has its turn in each round.

use anyhow::Result;
use transom_tests::RedisServer;

use crate::bench::Bench;
use crate::parts::system::{self, Reached, System};

/// A system, and what its Redis holds when its turn comes.
pub(super) struct Asked<'a> {
    pub(super) system: System,
    pub(super) redis: &'a RedisServer,
    /// Whether Redis is emptied before each turn.
    pub(super) emptied: bool,
}

impl<'a> Asked<'a> {
    /// Its turn: its Redis, with what it is to hold.
    pub(super) async fn turn(&self) -> Result<&'a RedisServer> {
        if self.emptied {
            system::empty(self.redis).await?;
        }
        Ok(self.redis)
    }

    /// How many it answers a second in a closed loop.
    pub(super) async fn saturate(
        &self,
        bench: &mut Bench,
        reached: &mut Reached,
        number: usize,
    ) -> Result<u64> {
        bench.step(number, &format!("{}, saturated", self.system.name));
        let redis = self.turn().await?;
        Ok(system::round(bench, redis, &self.system, reached).await?.rate())
    }
}
