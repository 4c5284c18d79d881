//! What Redis holds when a round begins.

use anyhow::Result;
use redis::{Pipeline, cmd};
use transom_core::{Identity, PolicyName, Window};
use transom_redis::Keyspace;
use transom_tests::RedisServer;

use crate::parts::connect;
use crate::timed::user;

/// Units in each minute window of so many identities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fill {
    pub(super) identities: u32,
    pub(super) units: u32,
}

impl Fill {
    pub(super) const NOTHING: Self = Self { identities: 0, units: 0 };
}

/// Units in one command, and in one pipeline.
const A_COMMAND: u64 = 500;
const A_PIPELINE: u64 = 5_000;

/// Empties Redis and writes minute windows as the script would have written them within the last
/// minute, evenly spread.
pub(super) async fn fill(redis: &RedisServer, prefix: &str, fill: Fill) -> Result<()> {
    let mut connection = connect(redis).await?;
    cmd("FLUSHALL").exec_async(&mut connection).await?;
    let (seconds, micros): (u64, u64) = cmd("TIME").query_async(&mut connection).await?;
    let now_us = seconds * 1_000_000 + micros;
    let (keyspace, policy) = (Keyspace::new(prefix), PolicyName::default());
    let (units, length_us) = (u64::from(fill.units), Window::Minute.length_us());
    let mut pipeline = Pipeline::new();
    let mut waiting = 0;
    for caller in 0..fill.identities {
        let key = keyspace.window(&Identity::user(&user(caller))?, &policy, Window::Minute);
        for first in (0..units).step_by(usize::try_from(A_COMMAND)?) {
            let mut add = cmd("ZADD");
            add.arg(&key);
            for unit in first..units.min(first + A_COMMAND) {
                let at_us = now_us - length_us + (unit + 1) * length_us / (units + 1);
                add.arg(at_us).arg(at_us * 1_000 + unit % 1_000);
            }
            pipeline.add_command(add).ignore();
            waiting += units.min(first + A_COMMAND) - first;
        }
        pipeline.cmd("PEXPIRE").arg(&key).arg(2 * length_us / 1_000).ignore();
        if waiting >= A_PIPELINE {
            pipeline.exec_async(&mut connection).await?;
            pipeline.clear();
            waiting = 0;
        }
    }
    if waiting > 0 {
        pipeline.exec_async(&mut connection).await?;
    }
    Ok(())
}
