//! The rows of `docs/promises.md`: what the tests of faults have measured.

mod list;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::fleet::long;
use crate::redis_server::repository;

pub use list::{LEFT_OUT, PROMISES, Promise};

/// What one test has measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The test, as `tests/faults` names it.
    pub name: String,
    /// Whether it was a run of the long durations.
    pub long: bool,
    /// How often the fault was done.
    pub times: u64,
    /// Decisions while it was looked at.
    pub decisions: u64,
    /// The bucket that 99.9 % of them kept within, by the worker's own measure.
    pub p999_us: Option<u64>,
    /// The bucket that all of them kept within.
    pub worst_us: Option<u64>,
    /// How often a window held more than its limit of what Redis admitted, in real time.
    pub over_admissions: u64,
    /// Until Redis decided again, once it was back.
    pub recovery_ms: Option<u64>,
    /// The metrics that moved, and by how much.
    pub moved: Vec<String>,
}

impl Row {
    /// A row in which nothing was measured yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), long: long(), ..Self::default() }
    }

    /// Leaves the row for the table.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self) {
        let folder = folder();
        fs::create_dir_all(&folder).expect("a folder for rows");
        let file = folder.join(format!("{}.json", self.name.replace("::", ".")));
        let text = serde_json::to_string(self).expect("a row in JSON");
        fs::write(file, text + "\n").expect("a file for a row");
    }
}

/// The document in the repository.
pub fn document() -> PathBuf {
    repository().join("docs").join("promises.md")
}

/// Where rows are left.
pub fn folder() -> PathBuf {
    repository().join("target").join("promises")
}

/// Every row that was left, by name.
///
/// # Errors
///
/// A file that is none.
pub fn rows() -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(folder()).context("no test has left a row")? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        rows.push(serde_json::from_str(&text).with_context(|| path.display().to_string())?);
    }
    rows.sort_by(|one: &Row, next| one.name.cmp(&next.name));
    Ok(rows)
}

/// The document.
pub fn render(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    for row in rows {
        text += &row.line();
    }
    text += LEFT_OUT_HEAD;
    for (cell, why) in LEFT_OUT {
        let cell = if cell.contains("::") { format!("`{cell}`") } else { (*cell).to_owned() };
        text += &format!("| {cell} | {why} |\n");
    }
    text += LIST_HEAD;
    for Promise { number, what, tests, remark } in PROMISES {
        let tests: Vec<_> = tests.iter().map(|test| format!("`{test}`")).collect();
        let shown = [tests.join("<br>"), (*remark).to_owned()];
        let shown: Vec<_> = shown.into_iter().filter(|part| !part.is_empty()).collect();
        text += &format!("| P{number} | {what} | {} |\n", shown.join("<br>"));
    }
    text
}

/// The names of the rows in a document.
pub fn rows_of(document: &str) -> BTreeSet<String> {
    let table = document.split(LEFT_OUT_HEAD).next().unwrap_or_default();
    let names = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

impl Row {
    fn line(&self) -> String {
        let Self { name, times, decisions, over_admissions, moved, .. } = self;
        let run = if self.long { "long" } else { "short" };
        let within = |us: Option<u64>| match us {
            None => "–".to_owned(),
            Some(us) if us > SLOWEST_US => "over 1 s".to_owned(),
            Some(us) => format!("{} ms", us.div_ceil(1_000)),
        };
        let recovery = self.recovery_ms.map_or("–".to_owned(), |ms| format!("{ms} ms"));
        format!(
            "| `{name}` | {run} | {times} | {decisions} | {} | {} | {over_admissions} | {recovery} | {} |\n",
            within(self.p999_us),
            within(self.worst_us),
            moved.join("<br>")
        )
    }
}

/// The last edge of the measure of decisions.
const SLOWEST_US: u64 = 1_000_000;

const HEAD: &str = "\
# Faults, and what they cost

Each row is a test in `tests/faults`: real workers, a steady load, and a fault in the way to Redis or in Redis itself. `./test` runs
all of them for a few seconds each, and fails where this table names other rows than there are. `./test --long` runs them for 30 s and
more and writes this file, from what the tests leave in `target/promises`; after a short run `cargo run -p transom-tests --bin
promises` does. It is not edited by hand.

The deadline is 50 ms, and a second in the rows in which Redis is to decide everything (`script_flush`, `clock_back`,
`clock_forward`). *99.9 % within* and *all within* are buckets of `transom_decision_duration_seconds`, the worker's own measure,
over the whole run; what is promised is the deadline and 10 ms, or 100 ms. Each test takes off what the machine itself was late for in that time, which a
thread that only sleeps has measured; the columns are as measured, nothing taken off. *Over-admissions* says how often a window held
more of what Redis admitted than its limit, in real time: nothing, but after a step forward of the clock or where a failover lost
something. What workers admit by themselves is not in it: together with Redis they keep to twice the limit (once more for each
failover that lost something), and alone to their shares together, or the test fails. *Recovery* runs from the return of Redis until it decides 99 % of the requests; a second is promised. *Seen by* names the
metrics that had to move.

| fault | run | done | decisions | 99.9 % within | all within | over-admissions | recovery | seen by |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
";
const LEFT_OUT_HEAD: &str = "\n## Left out\n\n| fault | why |\n| --- | --- |\n";
const LIST_HEAD: &str =
    "\n## Where each promise is shown\n\n| | promise | shown by |\n| --- | --- | --- |\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_rows_are_read_back() {
        let rows = ["single::refuse", "calm::x"].map(Row::new);
        let text = render(&rows);
        let expected = rows.map(|row| row.name).into_iter().collect();
        assert_eq!(rows_of(&text), expected);
        assert!(text.contains("| P28 |") && text.contains("`single::failover`"));
    }
}
