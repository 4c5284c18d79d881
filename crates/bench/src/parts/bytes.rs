//! Bytes in Redis for an identity.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value, cmd};
use transom_core::{Cost, Identity, Limits, Policy, PolicyName, Request, Window};
use transom_redis::{DEFAULT_PREFIX, Keyspace, Script, decode};
use transom_tests::{RedisServer, clock};

use super::connect;
use crate::bench::Bench;
use crate::must::Figure;
use crate::plot::{self, Axes, Line, place};
use crate::report::Section;
use crate::stats::{grouped, median};
use crate::timed::user;

const LIMITS: [u32; 5] = [60, 128, 129, 1_000, 10_000];
const FIRST_US: u64 = 1_800_000_000_000_000;
/// Requests a call.
const A_CALL: usize = 16;
/// Units recorded for one limit in a whole run, spread over as many identities as that makes.
const UNITS: u32 = 200_000;
/// Units of a request, as many as a second admits by default.
const PAIR: u32 = 2;

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let mut section = Section::new("Bytes in Redis");
    section.say(
        "An identity that has used all of its minute, two units at a time, evenly spread. *keys* \
         is `MEMORY USAGE` of both of its keys, all members looked at; *all* is what Redis' \
         `used_memory` has grown by, tables of keys and expiries included.",
    );
    let (mut rows, mut points) = (Vec::new(), Vec::new());
    for limit in LIMITS {
        bench.step(0, &format!("a limit of {limit}"));
        let identities = (bench.either(UNITS, UNITS / 10) / limit).clamp(10, 1_000);
        let (keys, all) = filled(limit, identities).await?;
        if limit == 60 {
            bench.findings.count(Figure::BytesEach, keys);
        }
        points.push((place(u64::from(limit)), place(keys)));
        let each = keys / u64::from(limit);
        rows.push([u64::from(limit), keys, all, each, u64::from(identities)].map(grouped).to_vec());
    }
    let head = ["limit a minute", "keys, bytes", "all, bytes", "keys, bytes a unit", "identities"];
    section.table(&head, &rows);
    let title = "Bytes in Redis for an identity that has used all of its minute";
    let axes = Axes { title, x: "limit a minute", y: "bytes", log_x: true, log_y: true };
    let line = Line { name: "keys".to_owned(), points, ranges: vec![] };
    plot::lines(&bench.plots.join("bytes.svg"), axes, &[line])?;
    section.plot("bytes.svg", title);
    Ok(section)
}

/// Bytes an identity, of its keys and of all that has grown.
async fn filled(limit: u32, identities: u32) -> Result<(u64, u64)> {
    let server = RedisServer::process(&[]).await;
    let mut connection = connect(&server).await?;
    let script = clock::replace(&Script::admit());
    cmd("SCRIPT").arg("LOAD").arg(script.source()).exec_async(&mut connection).await?;
    // What the first ones make the server keep for itself is not kept for an identity.
    fill(&mut connection, &script, limit, 0..identities).await?;
    let before = used_memory(&mut connection).await?;
    fill(&mut connection, &script, limit, identities..2 * identities).await?;
    let after = used_memory(&mut connection).await?;

    let (keyspace, policy) = (Keyspace::new(DEFAULT_PREFIX), PolicyName::default());
    let mut each = Vec::new();
    for caller in identities..2 * identities {
        let mut bytes = 0;
        for window in Window::ALL {
            let key = keyspace.window(&Identity::user(&user(caller))?, &policy, window);
            let mut asked = cmd("MEMORY");
            asked.arg("USAGE").arg(key).arg("SAMPLES").arg(0);
            let own: Option<u64> = asked.query_async(&mut connection).await?;
            bytes += own.context("a window that is gone")?;
        }
        each.push(bytes);
    }
    Ok((median(each), after.saturating_sub(before) / u64::from(identities)))
}

/// Uses up the minute of these callers, within a minute of the script's clock.
async fn fill(
    connection: &mut MultiplexedConnection,
    script: &Script,
    limit: u32,
    callers: Range<u32>,
) -> Result<()> {
    let limits = Limits { minute: limit, second: limit };
    let policy = Arc::new(Policy::new(PolicyName::default(), limits));
    let keyspace = Keyspace::new(DEFAULT_PREFIX);
    let (mut used, mut now_us) = (0, FIRST_US);
    while used < limit {
        let cost = Cost::new(u64::from(PAIR.min(limit - used)))?;
        let request = |caller| {
            let identity = Identity::user(&user(caller))?;
            Ok(Request::new(identity, Arc::clone(&policy), cost))
        };
        let requests: Vec<_> = callers.clone().map(request).collect::<Result<_>>()?;
        let mut step = Pipeline::new();
        step.add_command(clock::set(now_us)).ignore();
        for requests in requests.chunks(A_CALL) {
            step.add_command(script.evalsha(&keyspace, requests, 0));
        }
        let replies: Vec<Value> = step.query_async(connection).await?;
        used += cost.units();
        for (reply, requests) in replies.iter().zip(requests.chunks(A_CALL)) {
            let full = decode(reply, requests.len())?.into_iter().all(|answer| {
                answer.is_ok_and(|verdict| verdict.allowed && verdict.minute.used == used)
            });
            ensure!(full, "a window does not hold what was put into it");
        }
        now_us += 60_000_000 * u64::from(PAIR) / u64::from(limit);
    }
    Ok(())
}

async fn used_memory(connection: &mut MultiplexedConnection) -> Result<u64> {
    let info: String = cmd("INFO").arg("memory").query_async(connection).await?;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|text| text.parse().ok()).context("no used_memory in INFO memory")
}
