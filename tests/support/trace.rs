//! Traces: steps on one key and what must come back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use transom_core::{Decision, Limits, headers};

/// A trace as it stands in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// What it shows.
    pub name: String,
    /// The time from which steps count, in microseconds since 1970.
    pub start_us: u64,
    /// The limits to begin with.
    pub limits: Limits,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Deserialize)]
pub struct Step {
    /// When, after the trace's start.
    pub at_us: u64,
    /// What.
    #[serde(flatten)]
    pub op: Op,
}

/// What a step does.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Ask for a cost and charge it.
    Admit(Asked),
    /// Ask for a cost and charge nothing.
    Peek(Asked),
    /// From here on other limits hold.
    SetLimits(Limits),
    /// Empty both windows.
    Reset,
}

/// A question and its answer.
#[derive(Debug, Deserialize)]
pub struct Asked {
    /// Units.
    pub cost: u32,
    /// What must come back.
    pub expect: Expected,
}

/// Everything that a client can see of a decision.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Whether the request passes.
    pub allowed: bool,
    /// The minute window.
    pub minute: ExpectedWindow,
    /// The second window.
    pub second: ExpectedWindow,
    /// `minute` or `second`.
    pub limited_by: String,
    /// Microseconds; none when admitted.
    pub retry_after_us: Option<u64>,
    /// Every header field, as rendered with `reset = "seconds"`.
    pub headers: BTreeMap<String, String>,
}

/// One window of an answer.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ExpectedWindow {
    /// Units.
    pub limit: u32,
    /// Units.
    pub remaining: u32,
    /// Microseconds.
    pub reset_us: u64,
}

impl From<&Decision> for Expected {
    fn from(decision: &Decision) -> Self {
        let mut fields = http::HeaderMap::new();
        headers::write(decision, headers::Style::default(), &mut fields);
        if let Some(wait_us) = decision.retry_after_us {
            headers::write_retry_after(wait_us, &mut fields);
        }
        let window = |state: &transom_core::WindowState| ExpectedWindow {
            limit: state.limit,
            remaining: state.remaining,
            reset_us: state.reset_us,
        };
        Self {
            allowed: decision.allowed,
            minute: window(&decision.minute),
            second: window(&decision.second),
            limited_by: decision.limited_by.as_str().to_owned(),
            retry_after_us: decision.retry_after_us,
            headers: fields
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
        }
    }
}

/// The folder of the traces: `TRANSOM_VECTORS`, or the one beside the tests.
pub fn folder() -> PathBuf {
    std::env::var_os("TRANSOM_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors"), PathBuf::from)
}

/// Every trace of a folder, in the order of their file names.
///
/// # Errors
///
/// A folder without traces, or a file that is none.
pub fn load(folder: &Path) -> Result<Vec<Trace>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "no traces in {}", folder.display());
    files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file)?;
            serde_json::from_str(&text).with_context(|| format!("{}", file.display()))
        })
        .collect()
}
