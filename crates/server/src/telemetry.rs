//! The log: text or JSON on standard error, and one line for each decision or request where asked
//! for. What is counted is in [`metrics`]. Traces go to a collector, where one is configured.

mod lines;
pub mod metrics;
mod otlp;
pub(crate) mod request;
mod sampler;
pub(crate) mod traces;

use std::io::{IsTerminal as _, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, Registry, fmt};
use transom_core::{Answer, Cost, Identity, Outcome};

use crate::config::{LogConfig, LogFormat, TracingConfig};

use lines::Lines;

pub(crate) use lines::decided_under;
pub use otlp::OtlpError;

/// The target of decision lines, which hold identities and are therefore off by default.
const DECISIONS: &str = "transom::decision";
/// The target of the lines about requests.
const REQUESTS: &str = "transom::request";
/// The target of spans that are parts of a trace. `transom-redis` has the same.
const TRACES: &str = "transom::trace";

/// Starts the log of this process, and its traces where the configuration says where they go. Must
/// be called on a tokio runtime. A second call changes nothing.
///
/// # Errors
///
/// A collector that spans cannot be sent to, whatever it does.
pub fn start(log: &LogConfig, tracing: &TracingConfig) -> Result<(), OtlpError> {
    if tracing_subscriber::registry().with(layers(log, tracing)?).try_init().is_err() {
        tracing::debug!("the log was started before");
    }
    Ok(())
}

type Layers = Vec<Box<dyn Layer<Registry> + Send + Sync>>;

/// What takes lines and spans. Each has a filter: what none of them lets through is never made. One
/// in an `Option` that is `None` would let everything through.
fn layers(log: &LogConfig, tracing: &TracingConfig) -> Result<Layers, OtlpError> {
    let if_asked = |asked| if asked { LevelFilter::INFO } else { LevelFilter::OFF };
    let filter = Targets::new()
        .with_default(log.level)
        .with_target(DECISIONS, if_asked(log.decisions))
        .with_target(REQUESTS, if_asked(log.requests))
        .with_target(TRACES, LevelFilter::OFF);
    let lines = fmt::layer().with_writer(stderr);
    let lines = match log.format {
        LogFormat::Text => {
            let format = fmt::format().with_ansi(stderr().is_terminal());
            lines.event_format(Lines { format, json: false }).boxed()
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            lines.map_event_format(|format| Lines { format, json: true }).boxed()
        }
    };
    let mut layers = vec![lines.with_filter(filter).boxed()];
    layers.extend(traces::layer(tracing)?);
    Ok(layers)
}

/// Sends the last spans of this process, where it makes any.
pub async fn stop() {
    traces::stop().await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_collector_no_span_is_made() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let log = LogConfig { format, ..LogConfig::default() };
            let layers = layers(&log, &TracingConfig::default()).unwrap();
            let started = tracing_subscriber::registry().with(layers);
            tracing::subscriber::with_default(started, || {
                assert!(traces::decision().is_disabled());
                assert!(!tracing::info_span!("of the log").is_disabled());
            });
        }
    }
}
