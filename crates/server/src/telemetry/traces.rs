//! Traces: a span for a request, for its decision and for its call of Redis, as part of the trace
//! that the caller names in `traceparent`.
//!
//! Spans show policies, outcomes and status codes, and neither identity nor key nor address.
//! Where tracing is off no span is made, and `traceparent` passes as it is.

use std::sync::OnceLock;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};
use transom_core::{Answer, Outcome, PolicyName};

use super::otlp::{self, OtlpError};
use super::sampler::Trusted;
use super::{NO_SOURCE, TRACES};
use crate::config::TracingConfig;
use crate::identity::only;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// How long the last spans may take to be sent at the end.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// What makes the spans of this process, where tracing is on.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// What turns spans into traces, where the configuration asks for it.
pub(super) fn layer(
    config: &TracingConfig,
) -> Result<Option<Box<dyn Layer<Registry> + Send + Sync>>, OtlpError> {
    let Some(endpoint) = &config.otlp_endpoint else {
        return Ok(None);
    };
    let provider = otlp::provider(endpoint, config.sample_ratio)?;
    let tracer = PROVIDER.get_or_init(|| provider).tracer("transom");
    // The filter keeps lines of the log out: some of them name who asked.
    let spans = Targets::new().with_target(TRACES, tracing::Level::INFO);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    Ok(Some(layer.with_filter(spans).boxed()))
}

/// Sends the last spans, and makes no more.
pub(super) async fn stop() {
    if let Some(provider) = PROVIDER.get() {
        // What cannot be sent by now is lost; that has been said.
        let stopped = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(LAST_SPANS));
        let _ = stopped.await;
    }
}

/// The span of a request, as part of the trace that its fields name. Whether that is recorded is
/// believed of a trusted proxy only.
pub(super) fn request(
    listener: &str,
    id: &str,
    method: &Method,
    fields: &HeaderMap,
    is_trusted: impl FnOnce() -> bool,
) -> Span {
    let span = tracing::info_span!(
        target: TRACES,
        "request",
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = known(method),
        http.response.status_code = field::Empty,
        transom.listener = listener,
        transom.policy = field::Empty,
        transom.request_id = id,
    );
    if !span.is_disabled()
        && let Some(caller) = caller(fields)
    {
        let caller = if is_trusted() { caller.with_value(Trusted) } else { caller };
        // It has just been made, so it can have a parent.
        let _ = span.set_parent(caller);
    }
    span
}

/// Notes how a request was answered.
pub(super) fn answered(span: &Span, status: u16, policy: Option<&PolicyName>) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
    if let Some(policy) = policy {
        span.record("transom.policy", policy.as_str());
    }
}

/// The span of a decision.
pub(crate) fn decision() -> Span {
    tracing::info_span!(
        target: TRACES,
        "decision",
        transom.policy = field::Empty,
        transom.outcome = field::Empty,
        transom.source = field::Empty,
        transom.degraded = field::Empty,
    )
}

/// Notes what was decided.
pub(crate) fn decided(span: &Span, answer: &Answer) {
    if span.is_disabled() {
        return;
    }
    let (outcome, source, degraded) = match &answer.outcome {
        Outcome::Exempt => ("exempt", NO_SOURCE, None),
        Outcome::Decided { decision, pass } => {
            let outcome = match (decision.allowed, pass) {
                (true, _) => "admitted",
                (false, true) => "shadow_denied",
                (false, false) => "denied",
            };
            (outcome, decision.source.as_str(), decision.degraded)
        }
        Outcome::Unknown { reason, .. } => ("unknown", NO_SOURCE, Some(reason.label())),
    };
    span.record("transom.policy", answer.policy.name.as_str());
    span.record("transom.outcome", outcome);
    span.record("transom.source", source);
    span.record("transom.degraded", degraded);
}

/// Tells the upstream which span its own are part of. Without tracing the fields stay.
pub(crate) fn pass_on(fields: &mut HeaderMap) {
    if PROVIDER.get().is_none() {
        return;
    }
    let context = Span::current().context();
    let span = context.span();
    let own = span.span_context();
    if !own.is_valid() {
        return;
    }
    // What others have noted belongs to the trace that they named.
    let continued = caller(fields)
        .is_some_and(|caller| caller.span().span_context().trace_id() == own.trace_id());
    if !continued {
        fields.remove(TRACESTATE);
    }
    let flags = u8::from(own.is_sampled());
    let parent = format!("00-{}-{}-{flags:02x}", own.trace_id(), own.span_id());
    if let Ok(parent) = HeaderValue::try_from(parent) {
        fields.insert(TRACEPARENT, parent);
    }
}

/// The span that a caller names, if it names one.
fn caller(fields: &HeaderMap) -> Option<Context> {
    only(fields, &TRACEPARENT)?;
    let extractor = HeaderExtractor(fields);
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &extractor);
    context.has_active_span().then_some(context)
}

/// A method of HTTP; another is the client's own word.
fn known(method: &Method) -> &str {
    const KNOWN: [Method; 9] = [
        Method::CONNECT,
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::POST,
        Method::PUT,
        Method::TRACE,
    ];
    if KNOWN.contains(method) { method.as_str() } else { "_OTHER" }
}
