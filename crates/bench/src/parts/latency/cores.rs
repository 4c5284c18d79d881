//! What the cores are busy with at a constant rate, and who waits for one.

use std::time::Instant;

use anyhow::Result;
use transom_tests::RedisServer;

use crate::bench::Bench;
use crate::load::Tally;
use crate::machine::{CpuTime, between, cores, waited_ns};
use crate::parts::system::{self, Reached, System};
use crate::parts::{calls, connect};
use crate::stats::{PerMille, Series, micros};

/// Of one system at one rate, round by round.
#[derive(Debug, Default)]
pub(super) struct Cores {
    /// Of all cores, by generator, server and Redis.
    busy_per_mille: Series,
    /// For an answer, how long threads of server and of Redis could have run and had no core.
    waits_ns: [Series; 2],
    answers_a_call_per_mille: Series,
}

/// The head of the table of [`Cores::row`].
pub(super) const HEAD: [&str; 7] = [
    "rate, part of saturation",
    "cores busy, %",
    "server µs each",
    "Redis µs each",
    "server waits µs each",
    "Redis waits µs each",
    "answers for a call of the script",
];

impl Cores {
    /// One round of a system.
    pub(super) async fn round(
        &mut self,
        bench: &mut Bench,
        redis: &RedisServer,
        system: &System,
        reached: &mut Reached,
    ) -> Result<Tally> {
        let mut connection = connect(redis).await?;
        calls::reset(&mut connection).await?;
        let before = Reading::take(redis, system);
        let tally = system::round(bench, redis, system, reached).await?;
        let after = Reading::take(redis, system);
        let answers = tally.all.max(1);
        let elapsed_ns = u64::try_from((after.at - before.at).as_nanos())?;
        if let Some(busy_ns) = between(before.busy_ns, after.busy_ns) {
            let at_hand_us = (elapsed_ns / 1_000 * cores() as u64).max(1);
            self.busy_per_mille.push(busy_ns / at_hand_us);
        }
        for (place, waits_ns) in self.waits_ns.iter_mut().enumerate() {
            if let Some(waited) = between(before.waited_ns[place], after.waited_ns[place]) {
                waits_ns.push(waited / answers);
            }
        }
        if let Some((calls, _)) = calls::evalsha(&mut connection).await? {
            self.answers_a_call_per_mille.push(answers * 1_000 / calls.max(1));
        }
        Ok(tally)
    }

    pub(super) fn row(&self, name: String, reached: &Reached) -> Vec<String> {
        let [server, redis] = &self.waits_ns;
        vec![
            name,
            self.busy_per_mille.shown(|per_mille| (per_mille / 10).to_string()),
            reached.server_ns.shown(micros),
            reached.redis_ns.shown(micros),
            server.shown(micros),
            redis.shown(micros),
            self.answers_a_call_per_mille.shown(|value| PerMille(value).to_string()),
        ]
    }
}

/// What the system tells at one moment, as far as it does.
struct Reading {
    at: Instant,
    busy_ns: Option<u64>,
    waited_ns: [Option<u64>; 2],
}

impl Reading {
    fn take(redis: &RedisServer, system: &System) -> Self {
        let servers = || system.pids.iter().copied();
        // With the generator's thread that lets requests go, which ends with its round.
        let all = servers().chain(redis.pid()).chain([std::process::id()]);
        let busy = all.map(|pid| CpuTime::of(pid).map(CpuTime::sum_ns));
        let waited = [servers().map(waited_ns).sum(), redis.pid().and_then(waited_ns)];
        Self { at: Instant::now(), busy_ns: busy.sum(), waited_ns: waited }
    }
}
