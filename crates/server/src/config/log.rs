//! What is written to the log, and how.

use serde::{Deserialize, Deserializer};
use tracing::level_filters::LevelFilter;

use super::value::{parsed, word};

/// The log on standard error, `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The least grave that is written: `off`, `error`, `warn`, `info`, `debug` or `trace`.
    /// Default `info`; `log.level` or `TRANSOM__LOG__LEVEL`.
    #[serde(deserialize_with = "level")]
    pub level: LevelFilter,
    /// `text` or `json`. Default `text`; `log.format` or `TRANSOM__LOG__FORMAT`.
    pub format: LogFormat,
    /// Whether every decision is written as a line, which names the identity. Default
    /// false; `log.decisions` or `TRANSOM__LOG__DECISIONS`.
    pub decisions: bool,
    /// Whether every request is written as a line: method, policy, status and duration, and
    /// neither path nor caller. Default false; `log.requests` or `TRANSOM__LOG__REQUESTS`.
    pub requests: bool,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: LevelFilter::INFO,
            format: LogFormat::Text,
            decisions: false,
            requests: false,
        }
    }
}

fn level<'de, D: Deserializer<'de>>(source: D) -> Result<LevelFilter, D::Error> {
    const LEVELS: [(&str, LevelFilter); 6] = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    parsed(source, |text| word(text, &LEVELS))
}
