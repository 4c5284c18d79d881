//! Which traces are recorded.
//!
//! A trusted proxy says so in `traceparent`, and is believed. A stranger that says so is not: it
//! could have every request of its own recorded. Those, and requests that begin a trace, are
//! recorded by chance. What a stranger says of its trace's id takes no part in that chance.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

/// Marks the context of a caller that is believed.
#[derive(Debug)]
pub(super) struct Trusted;

/// Records this part of the traces that begin here, and those that a trusted caller records.
#[derive(Clone, Debug)]
pub(super) struct Sampler {
    /// From 0 to 1.
    pub(super) ratio: f64,
}

impl ShouldSample for Sampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.filter(|context| context.has_active_span());
        let span = parent.map(|context| context.span().span_context().clone());
        let is_believed = parent.is_some_and(|context| context.get::<Trusted>().is_some());
        let recorded = match &span {
            Some(span) if is_believed || !span.is_remote() => span.is_sampled(),
            _ => fastrand::f64() < self.ratio,
        };
        SamplingResult {
            decision: if recorded {
                SamplingDecision::RecordAndSample
            } else {
                SamplingDecision::Drop
            },
            attributes: Vec::new(),
            trace_state: span.map(|span| span.trace_state().clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

    use super::*;

    fn recorded(ratio: f64, parent: Option<&Context>) -> bool {
        let (trace, kind) = (TraceId::from(1), SpanKind::Server);
        let result = Sampler { ratio }.should_sample(parent, trace, "request", &kind, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    fn parent(flags: TraceFlags, remote: bool) -> Context {
        let (trace, span) = (TraceId::from(1), SpanId::from(1));
        let span = SpanContext::new(trace, span, flags, remote, TraceState::default());
        Context::new().with_remote_span_context(span)
    }

    #[test]
    fn a_trace_that_begins_here_is_recorded_by_chance() {
        assert!(recorded(1.0, None) && recorded(1.0, Some(&Context::new())));
        assert!(!recorded(0.0, None) && !recorded(0.0, Some(&Context::new())));
    }

    #[test]
    fn only_a_trusted_caller_says_what_is_recorded() {
        for flags in [TraceFlags::SAMPLED, TraceFlags::NOT_SAMPLED] {
            let parent = parent(flags, true);
            let said = flags.is_sampled();
            assert!(recorded(1.0, Some(&parent)) && !recorded(0.0, Some(&parent)));
            let parent = parent.with_value(Trusted);
            assert_eq!([0.0, 1.0].map(|ratio| recorded(ratio, Some(&parent))), [said, said]);
        }
    }

    #[test]
    fn a_span_is_recorded_where_the_one_around_it_is() {
        for flags in [TraceFlags::SAMPLED, TraceFlags::NOT_SAMPLED] {
            let said = flags.is_sampled();
            let within = parent(flags, false);
            assert_eq!([0.0, 1.0].map(|ratio| recorded(ratio, Some(&within))), [said, said]);
        }
    }
}
