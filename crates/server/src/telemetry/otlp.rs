//! Sends spans to a collector, in the background: OTLP over HTTP, as protobuf.
//!
//! No request waits for it. Spans that the queue has no room for, or that the collector does not
//! take, are dropped; the log says once that it has begun, and once that it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig as _,
    WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::sampler::Sampler;

/// Where a collector takes spans, below its own path.
const PATH: &str = "/v1/traces";
/// How long spans are gathered before they are sent, so many at a time.
const GATHERED_FOR: Duration = Duration::from_secs(1);
const BATCH_MAX: usize = 512;
/// Spans that wait to be sent; more are dropped.
const QUEUE_MAX: usize = 4_096;
/// How long a collector may take to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// The longest answer of a collector that is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// Why traces cannot be sent, whatever the collector does.
#[derive(Debug, thiserror::Error)]
#[error("tracing.otlp_endpoint: {0}")]
pub struct OtlpError(#[from] ExporterBuildError);

/// What makes spans and sends them to a collector. Must be called on a tokio runtime.
pub(super) fn provider(endpoint: &Uri, ratio: f64) -> Result<SdkTracerProvider, OtlpError> {
    let base = endpoint.to_string();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new())
        .with_retry_policy(RetryPolicy::disabled())
        .with_endpoint(format!("{}{PATH}", base.trim_end_matches('/')))
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(ANSWERED_WITHIN)
        .build()?;
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(GATHERED_FOR)
        .build();
    let resource = Resource::builder_empty()
        .with_service_name("transom")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", format!("{:016x}", fastrand::u64(..))))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(
            BatchSpanProcessor::builder(exporter).with_batch_config(config).build(),
        )
        .with_sampler(Sampler { ratio })
        .with_resource(resource)
        .build())
}

/// The way to a collector. The exporter runs on a thread of its own, so requests are sent from
/// the runtime and waited for there.
#[derive(Clone, Debug)]
struct Collector {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
    failing: Arc<AtomicBool>,
}

impl Collector {
    fn new() -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, runtime: Handle::current(), failing: Arc::default() }
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = timeout(ANSWERED_WITHIN, self.exchange(request)).await;
        let answer = answer.unwrap_or_else(|_| Err("no answer in time".into()));
        match &answer {
            Ok(response) if response.status().is_success() => self.is_well(),
            Ok(response) => self.fails(&format!("it answers {}", response.status())),
            Err(error) => self.fails(&root(error.as_ref())),
        }
        answer
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.client.request(request.map(Full::new)).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    fn fails(&self, reason: &str) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason, "spans do not reach the collector and are dropped");
        }
    }

    fn is_well(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("spans reach the collector again");
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.runtime.spawn(self.clone().send(request)).await?
    }
}

/// What an error comes from.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.last().unwrap_or(error).to_string()
}
