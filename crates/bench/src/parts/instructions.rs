//! Instructions of the functions on the way of every request, counted by valgrind.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;

use super::script;
use crate::bench::Bench;
use crate::hot::Function;
use crate::report::Section;
use crate::stats::grouped;

/// Two runs of one function differ by so many calls; what comes before the first is in both.
const FEW: u64 = 1_000;

pub(super) async fn measure(bench: &mut Bench) -> Result<Section> {
    let more: u64 = bench.either(20_000, 1_000);
    let mut section = Section::new("Instructions");
    section.say(
        "`valgrind --tool=callgrind`, instructions of a call: two runs that differ by a known \
         number of calls, subtracted. They do not depend on what else the machine does.",
    );
    let folder = tempfile::tempdir()?;
    let mut rows = Vec::new();
    for function in Function::value_variants() {
        let value = function.to_possible_value().context("a function without a name")?;
        bench.step(0, value.get_name());
        let few = counted(folder.path(), value.get_name(), FEW)?;
        let many = counted(folder.path(), value.get_name(), FEW + more)?;
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        rows.push(vec![help, grouped(many.saturating_sub(few) / more)]);
    }
    section.table(&["", "instructions a call"], &rows);
    script::count(bench, &mut section).await?;
    Ok(section)
}

/// Instructions of a run of this binary that calls a function so often.
fn counted(folder: &Path, function: &str, calls: u64) -> Result<u64> {
    let ran = callgrind(folder)
        .arg(std::env::current_exe()?)
        .args(["hot", function, &calls.to_string()])
        .output()
        .context(MISSING)?;
    let said = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "valgrind: {said}");
    collected(&said)
}

/// Said where callgrind cannot be started.
pub(super) const MISSING: &str = "valgrind is missing: install it with your packages";

/// A command that counts the instructions of the program which is its next argument.
pub(super) fn callgrind(folder: &Path) -> Command {
    let mut command = Command::new("valgrind");
    let out = folder.join("callgrind.out");
    command.args(["--tool=callgrind", &format!("--callgrind-out-file={}", out.display())]);
    command
}

/// What callgrind says that it has counted.
pub(super) fn collected(said: &str) -> Result<u64> {
    let count = said.lines().find_map(|line| line.split_once("Collected :"));
    let count = count.and_then(|(_, count)| count.trim().parse().ok());
    count.with_context(|| format!("valgrind says no number: {said}"))
}
