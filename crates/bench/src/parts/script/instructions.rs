//! Instructions of Redis for a decision by each script, counted by valgrind: the noise of a machine
//! is not in them.

use std::fs::{File, read_to_string};
use std::path::Path;
use std::slice::from_mut;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, cmd};
use tokio::time::sleep;
use transom_tests::redis_server::{binary, free_port};

use super::kind::{GCRA, KINDS, Kind};
use super::pass;
use crate::bench::Bench;
use crate::parts::instructions::{MISSING, callgrind, collected};
use crate::process::Ending;
use crate::report::Section;
use crate::stats::{PerMille, grouped};

/// Identities, each asked for once in a pass: a few whole pipelines.
const IDENTITIES: u32 = 192;
/// The first pass makes the keys, and is in both of two runs that differ by some more.
const FEW: u64 = 1;
/// How often a server is looked for that starts, and how long at most: valgrind takes its time.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const LOOKS: u32 = 600;

/// Counts for all scripts.
pub(in crate::parts) async fn count(bench: &Bench, section: &mut Section) -> Result<()> {
    let more: u64 = bench.either(3, 1);
    section.say(
        "Instructions of `redis-server` for a decision, from the command that it reads to the reply \
         that it has written, for the scripts under *The script*. How long a core waits for memory \
         is not in them. How long ago an identity has asked before is, and with it how much has \
         left its windows; so is the timer of the server: two runs differ by some hundredths. The \
         ratio is of the GCRA script that says yes or no to each.",
    );
    let folder = tempfile::tempdir()?;
    let mut counts = Vec::new();
    for kind in KINDS {
        bench.step(0, &kind.name());
        let few = run(folder.path(), kind, FEW).await?;
        let many = run(folder.path(), kind, FEW + more).await?;
        let took = many.checked_sub(few).context("more passes took fewer instructions")?;
        counts.push(took / (more * u64::from(IDENTITIES)));
    }
    let row = |(kind, count): (&Kind, &u64)| {
        let ratio = PerMille(counts[GCRA] * 1_000 / (*count).max(1));
        vec![kind.name(), grouped(*count), ratio.to_string()]
    };
    let rows: Vec<_> = KINDS.iter().zip(&counts).map(row).collect();
    section.table(&["", "instructions a decision", "ratio"], &rows);
    Ok(())
}

/// Instructions of a server from its start to its end, with so many passes in between.
async fn run(folder: &Path, kind: Kind, passes: u64) -> Result<u64> {
    let (port, said, logged) = (free_port(), folder.join("said"), folder.join("logged"));
    let server = callgrind(folder)
        .arg(binary())
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .current_dir(folder)
        .stdout(File::create(&logged)?)
        .stderr(File::create(&said)?)
        .spawn()
        .context(MISSING)?;
    let mut server = Ending(server);
    let why = || {
        let [said, logged] = [&said, &logged].map(|file| read_to_string(file).unwrap_or_default());
        format!("redis-server under valgrind: {said}{logged}")
    };
    ask(&mut server, port, kind, passes).await.with_context(why)?;
    server.0.wait()?;
    collected(&read_to_string(&said)?)
}

async fn ask(server: &mut Ending, port: u16, kind: Kind, passes: u64) -> Result<()> {
    let mut connection = connect(server, port).await?;
    cmd("SCRIPT").arg("LOAD").arg(kind.source()?).exec_async(&mut connection).await?;
    for _ in 0..passes {
        pass(kind, from_mut(&mut connection), &kind.pipelines(IDENTITIES)?).await?;
    }
    // It closes the connection in place of an answer.
    let _ended = cmd("SHUTDOWN").arg("NOSAVE").exec_async(&mut connection).await;
    Ok(())
}

/// Waits for a server that starts.
async fn connect(server: &mut Ending, port: u16) -> Result<MultiplexedConnection> {
    let client = Client::open(("127.0.0.1", port))?;
    let patient = AsyncConnectionConfig::new().set_response_timeout(None);
    for _ in 1..LOOKS {
        if let Ok(connection) = client.get_multiplexed_async_connection_with_config(&patient).await
        {
            return Ok(connection);
        }
        ensure!(server.0.try_wait()?.is_none(), "it has ended");
        sleep(LOOK_AGAIN).await;
    }
    Ok(client.get_multiplexed_async_connection_with_config(&patient).await?)
}
