//! A collector of spans inside the test: it takes them, refuses them, or says nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long spans may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);
const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const REFUSED: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// What it does with spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Takes them.
    Takes,
    /// Answers 503.
    Refuses,
    /// Never answers.
    Hangs,
}

/// What has arrived.
#[derive(Debug, Default)]
struct Arrived {
    /// Requests, whatever became of them.
    batches: usize,
    /// Spans that were taken.
    spans: Vec<Span>,
}

/// A server that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    mood: watch::Sender<Mood>,
    arrived: Arc<watch::Sender<Arrived>>,
    serving: JoinHandle<()>,
}

impl Collector {
    /// Listens on a free port.
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its number");
        let (mood, arrived) = (watch::Sender::new(mood), Arc::new(watch::Sender::default()));
        let shared = (mood.subscribe(), Arc::clone(&arrived));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mood, arrived) = shared.clone();
                tokio::spawn(serve(stream, mood, arrived));
            }
        });
        Self { address, mood, arrived, serving }
    }

    /// Changes what it does from now on.
    pub(crate) fn now(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Waits until so many requests have come in all.
    pub(crate) async fn batches(&self, batches: usize) {
        let mut arrived = self.arrived.subscribe();
        let come = arrived.wait_for(|arrived| arrived.batches >= batches);
        timeout(PATIENCE, come).await.expect("spans in time").expect("a collector that lives");
    }

    /// Waits until so many spans of a trace were taken, and returns them.
    pub(crate) async fn spans(&self, trace_id: &str, spans: usize) -> Vec<Span> {
        let of_trace = |arrived: &Arrived| {
            let spans = arrived.spans.iter().filter(|span| hex(&span.trace_id) == trace_id);
            spans.cloned().collect::<Vec<_>>()
        };
        let mut arrived = self.arrived.subscribe();
        let come = arrived.wait_for(|arrived| of_trace(arrived).len() >= spans);
        let come = timeout(PATIENCE, come).await.expect("spans in time");
        of_trace(&come.expect("a collector that lives"))
    }

    /// All spans that were taken.
    pub(crate) fn all(&self) -> Vec<Span> {
        self.arrived.borrow().spans.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of an attribute of a span, as text.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}

/// Takes one request after the other until the connection ends.
async fn serve(
    mut stream: TcpStream,
    mood: watch::Receiver<Mood>,
    arrived: Arc<watch::Sender<Arrived>>,
) {
    while let Some(spans) = received(&mut stream).await {
        let mood = *mood.borrow();
        arrived.send_modify(|arrived| {
            arrived.batches += 1;
            if mood == Mood::Takes {
                arrived.spans.extend(spans);
            }
        });
        let answer = match mood {
            Mood::Takes => TAKEN,
            Mood::Refuses => REFUSED,
            Mood::Hangs => std::future::pending().await,
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The spans of the next request.
async fn received(stream: &mut TcpStream) -> Option<Vec<Span>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    assert!(head.starts_with("post /v1/traces "), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.expect("a length").parse().expect("a number")];
    stream.read_exact(&mut body).await.ok()?;
    let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("what OTLP sends");
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    Some(scopes.flat_map(|scope| scope.spans).collect())
}
