//! The rows of `docs/promises.md`: what the tests of faults have measured.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::redis_server::repository;

/// What one test has measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The test, as `tests/faults` names it.
    pub name: String,
    /// How often the fault was done.
    pub times: u64,
    /// Decisions while it was looked at.
    pub decisions: u64,
    /// The bucket that 99.9 % of them kept within, by the worker's own measure.
    pub p999_us: Option<u64>,
    /// The bucket that all of them kept within.
    pub worst_us: Option<u64>,
    /// Units beyond what is promised.
    pub over_admissions: u64,
    /// Until Redis decided again, once it was back.
    pub recovery_ms: Option<u64>,
    /// The metrics that moved, and by how much.
    pub moved: Vec<String>,
}

impl Row {
    /// A row in which nothing was measured yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
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

/// Where rows are left.
pub fn folder() -> PathBuf {
    repository().join("target").join("promises")
}
