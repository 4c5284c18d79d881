//! What a command of the script takes Redis, with few keys and with many.

use anyhow::Result;
use transom_tests::RedisServer;

use super::{Case, PREFIX};
use crate::bench::Bench;
use crate::parts::calls::{self, Command, EVALSHA};
use crate::parts::fill::fill;
use crate::parts::{connect, system};
use crate::report::Section;
use crate::stats::micros;

/// Called by the script or calling it, beside the commands of sorted sets.
const OTHERS: [&str; 3] = [EVALSHA, "exists", "pexpire"];

/// One more round of the first and of the last case, with a look at each command.
pub(super) async fn measure(
    bench: &mut Bench,
    redis: &RedisServer,
    section: &mut Section,
    cases: &[Case],
) -> Result<()> {
    let [few, .., many] = cases else { return Ok(()) };
    let (of_few, of_many) = (round(bench, redis, few).await?, round(bench, redis, many).await?);
    section.say(
        "What a command of the script takes in these loads, by `INFO commandstats` of one more \
         round, EVALSHA for a call of many requests. With fewer keys, each window holds more; with \
         more keys, less of what a command touches is in the caches of the core.",
    );
    let row = |few: &Command| {
        let many = of_many.iter().find(|many| many.name == few.name)?;
        let [few_ns, many_ns] = [few, many].map(Command::ns_a_call);
        Some(vec![few.name.to_uppercase(), micros(few_ns), micros(many_ns)])
    };
    let rows: Vec<_> = of_few.iter().filter_map(row).collect();
    let head = ["µs a call of", &few.system.name, &many.system.name];
    section.table(&head, &rows);
    Ok(())
}

async fn round(bench: &mut Bench, redis: &RedisServer, case: &Case) -> Result<Vec<Command>> {
    bench.step(0, &format!("commands, {}", case.system.name));
    fill(redis, PREFIX, case.fill).await?;
    let mut connection = connect(redis).await?;
    calls::reset(&mut connection).await?;
    system::round(bench, redis, &case.system, &mut system::Reached::default()).await?;
    let mut commands = calls::commands(&mut connection).await?;
    // Those of the script: the filling and the measurement call others.
    commands.retain(|command| command.name.starts_with('z') || OTHERS.contains(&&*command.name));
    commands.sort_by(|one, next| one.name.cmp(&next.name));
    Ok(commands)
}
