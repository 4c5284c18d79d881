//! The log: text or JSON on standard error, and one line for each decision or request where asked
//! for. What is counted is in [`metrics`].

pub mod metrics;
pub(crate) mod request;

use std::io::{IsTerminal as _, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, fmt};
use transom_core::{Answer, Cost, Identity, Outcome};

use crate::config::{LogConfig, LogFormat};

/// The target of decision lines, which hold identities and are therefore off by default.
const DECISIONS: &str = "transom::decision";
/// The target of the lines about requests.
const REQUESTS: &str = "transom::request";
/// The target of the span around a request, which puts the id of the request on each line.
const SPANS: &str = "transom::span";

/// Starts the log of this process. A second call changes nothing.
pub fn start(log: &LogConfig) {
    let if_asked = |asked| if asked { LevelFilter::INFO } else { LevelFilter::OFF };
    let filter = Targets::new()
        .with_default(log.level)
        .with_target(DECISIONS, if_asked(log.decisions))
        .with_target(REQUESTS, if_asked(log.requests))
        .with_target(SPANS, LevelFilter::ERROR);
    let lines = fmt::layer().with_writer(stderr);
    let layer = match log.format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let started = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    if started.is_err() {
        tracing::debug!("the log was started before");
    }
}

/// One line for a decision, if decisions are logged.
pub(crate) fn decision(identity: &Identity, cost: Option<Cost>, answer: &Answer) {
    let policy = &answer.policy;
    let cost = cost.unwrap_or(policy.cost).units();
    match &answer.outcome {
        Outcome::Exempt => {}
        Outcome::Decided { decision, pass } => tracing::info!(
            target: DECISIONS,
            identity = identity.as_str(),
            policy = policy.name.as_str(),
            cost,
            allowed = decision.allowed,
            pass,
            limited_by = decision.limited_by.as_str(),
            retry_after_us = decision.retry_after_us,
            minute_limit = decision.minute.limit,
            minute_remaining = decision.minute.remaining,
            minute_reset_us = decision.minute.reset_us,
            second_limit = decision.second.limit,
            second_remaining = decision.second.remaining,
            second_reset_us = decision.second.reset_us,
            at_us = decision.at_us,
            source = decision.source.as_str(),
            degraded = decision.degraded,
        ),
        Outcome::Unknown { reason, pass } => tracing::info!(
            target: DECISIONS,
            identity = identity.as_str(),
            policy = policy.name.as_str(),
            cost,
            pass,
            source = NO_SOURCE,
            degraded = reason.label(),
        ),
    }
}

/// In place of a [`Source`](transom_core::Source) where there was no decision.
pub(crate) const NO_SOURCE: &str = "none";
