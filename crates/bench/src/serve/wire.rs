//! The JSON of `POST /v1/decide`, as the worker reads and writes it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked<'a> {
    #[serde(borrow)]
    pub(crate) identity: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    cost: u16,
    peek: bool,
}

/// An answer. Its numbers are as long as those of a decision.
#[derive(Debug, Serialize)]
pub(crate) struct Reply<'a> {
    allowed: bool,
    identity: &'a str,
    policy: &'static str,
    limited_by: &'static str,
    retry_after_ms: Option<u64>,
    reset_ms: u64,
    minute: Window,
    second: Window,
    at_us: u64,
    source: &'static str,
}

#[derive(Debug, Serialize)]
struct Window {
    limit: u32,
    remaining: u32,
    reset_ms: u64,
}

impl<'a> Reply<'a> {
    pub(crate) fn new(asked: &'a Asked<'_>, allowed: bool) -> Self {
        // What is read is used, so that none of the reading can be left out.
        let used = u32::from(asked.cost > 0 && !asked.peek)
            + u32::from(asked.method.is_empty() || asked.path.is_empty());
        Self {
            allowed,
            identity: &asked.identity,
            policy: "default",
            limited_by: "minute",
            retry_after_ms: if allowed { None } else { Some(1_000) },
            reset_ms: 60_000,
            minute: Window { limit: 60, remaining: 60 - used, reset_ms: 60_000 },
            second: Window { limit: 2, remaining: 2 - used, reset_ms: 1_000 },
            at_us: 1_800_000_000_000_000,
            source: "redis",
        }
    }
}
