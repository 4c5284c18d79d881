//! Traces: a request is part of the trace that its caller names, on both sides of the worker, and
//! nothing waits for the collector.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use tokio::time::sleep;
use transom_tests::RedisServer;

use crate::client::{Reply, get, send};
use crate::collector::{Collector, Mood, attribute, hex};
use crate::process::{LOOK_AGAIN, Worker};
use crate::upstream::ClosedPort;

/// Room for every test here; the deadline is one that a busy machine keeps.
const CONFIG: &str = r#"
[redis]
deadline = "5s"

[log]
decisions = true

[[policy]]
name = "default"
minute = 100000
second = 100000
"#;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
/// How long a request may take while the collector does not answer. It takes a few milliseconds;
/// the rest is for a busy machine.
const IN_TIME: Duration = Duration::from_secs(2);
/// What the log says of a collector that spans do not reach, and then.
const DROPPED: &str = "spans do not reach the collector";
const AGAIN: &str = "spans reach the collector again";

/// A worker that sends its spans there.
async fn worker(collector: &str, variables: &[(&str, &str)]) -> Worker {
    let endpoint = format!("http://{collector}");
    let variables = [&[("TRANSOM__TRACING__OTLP_ENDPOINT", &*endpoint)], variables].concat();
    Worker::with(CONFIG, &variables).await
}

/// Asks as a part of a trace; `flags` says whether the caller records it.
async fn ask(worker: &Worker, trace: &str, flags: &str) -> Reply {
    let parent = format!("traceparent: 00-{trace}-{CALLER}-{flags}");
    let lines: [&[u8]; 4] = [
        parent.as_bytes(),
        b"tracestate: vendor=1",
        b"X-Forwarded-For: 203.0.113.7",
        b"X-Api-Key: private",
    ];
    send(worker.gateway, "GET", "/private?q=private", &lines, "").await
}

/// What the built-in echo got in a field.
fn passed(reply: &Reply, field: &str) -> Option<String> {
    let echo: Value = serde_json::from_str(reply.body()).expect("the echo");
    echo["headers"][field].as_str().map(str::to_owned)
}

/// The trace, the span and the flags that the upstream is told.
fn parent(reply: &Reply) -> [String; 3] {
    let parent = passed(reply, "traceparent").expect("a traceparent");
    let parts: Vec<_> = parent.split('-').map(str::to_owned).collect();
    let [version, trace, span, flags] = parts.try_into().expect("four parts");
    assert_eq!(version, "00");
    [trace, span, flags]
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let (span, more) = (found.next(), found.next());
    assert!(more.is_none(), "{name} more than once: {spans:#?}");
    span.unwrap_or_else(|| panic!("no {name}: {spans:#?}"))
}

#[tokio::test]
async fn a_trace_goes_on_through_the_worker_to_redis_and_to_the_upstream() {
    let server = RedisServer::start().await;
    let collector = Collector::start(Mood::Takes).await;
    let redis = [("TRANSOM__REDIS__URL", server.url.as_str())];
    let worker = worker(&collector.address.to_string(), &redis).await;
    let reply = ask(&worker, TRACE, "01").await;
    let spans = collector.spans(TRACE, 3).await;
    let [request, decision, call] =
        ["request", "decision", "redis"].map(|name| named(&spans, name));
    assert_eq!(hex(&request.parent_span_id), CALLER);
    assert_eq!(decision.parent_span_id, request.span_id);
    assert_eq!(call.parent_span_id, decision.span_id);
    assert_eq!(parent(&reply), [TRACE.to_owned(), hex(&request.span_id), "01".to_owned()]);
    assert_eq!(passed(&reply, "tracestate").as_deref(), Some("vendor=1"));

    let id = reply.headers()["x-request-id"].to_str().expect("visible letters");
    for (span, key, value) in [
        (request, "http.request.method", "GET"),
        (request, "http.response.status_code", "200"),
        (request, "transom.listener", "gateway"),
        (request, "transom.policy", "default"),
        (request, "transom.request_id", id),
        (decision, "transom.outcome", "admitted"),
        (decision, "transom.source", "redis"),
        (call, "db.operation.batch.size", "1"),
    ] {
        assert_eq!(attribute(span, key).as_deref(), Some(value), "{key} of {span:#?}");
    }
    let text = format!("{spans:?}");
    for private in ["127.0.0.1", "203.0.113.7", "user:", "ip:", "private"] {
        assert!(!text.contains(private), "{private} is in {text}");
    }
}

#[tokio::test]
async fn a_trace_begins_here_where_the_caller_names_none_that_can_be_read() {
    let collector = Collector::start(Mood::Takes).await;
    let worker = worker(&collector.address.to_string(), &[]).await;
    for line in [
        "x-other: 1",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "traceparent: 00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "traceparent: \u{e9}",
    ] {
        let lines: [&[u8]; 2] = [line.as_bytes(), b"tracestate: vendor=1"];
        let reply = send(worker.gateway, "GET", "/", &lines, "").await;
        let [trace, span, _] = parent(&reply);
        assert_ne!(trace, TRACE, "{line}");
        assert_eq!(passed(&reply, "tracestate"), None, "it belongs to another trace");
        let spans = collector.spans(&trace, 2).await;
        assert_eq!(hex(&named(&spans, "request").span_id), span);
        assert!(named(&spans, "request").parent_span_id.is_empty());
    }
}

/// Goal: a stranger does not decide how much is recorded.
#[tokio::test]
async fn what_is_recorded_is_for_a_trusted_proxy_to_say() {
    let collector = Collector::start(Mood::Takes).await;
    let address = collector.address.to_string();
    let never = ("TRANSOM__TRACING__SAMPLE_RATIO", "0");
    let trusting = ("TRANSOM__IDENTITY__TRUSTED_PROXIES", "127.0.0.1");
    let (stranger, trusted) =
        (worker(&address, &[never]).await, worker(&address, &[never, trusting]).await);
    let [other, third] = ["1", "2"].map(|last| format!("{}{last}", &TRACE[..31]));
    let reply = ask(&stranger, &other, "01").await;
    assert_eq!((&parent(&reply)[0], parent(&reply)[2].as_str()), (&other, "00"));
    let reply = ask(&trusted, &third, "00").await;
    assert_eq!((&parent(&reply)[0], parent(&reply)[2].as_str()), (&third, "00"));
    let reply = ask(&trusted, TRACE, "01").await;
    assert_eq!((parent(&reply)[0].as_str(), parent(&reply)[2].as_str()), (TRACE, "01"));
    collector.spans(TRACE, 2).await;
    for mut worker in [stranger, trusted] {
        worker.process.signal("TERM");
        worker.process.end().await;
    }
    let traces = collector.all().into_iter().map(|span| hex(&span.trace_id));
    let others: Vec<_> = traces.filter(|trace| trace != TRACE).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn without_tracing_what_a_caller_names_passes_as_it_is() {
    let worker = Worker::start(CONFIG).await;
    let reply = ask(&worker, TRACE, "01").await;
    let expected = format!("00-{TRACE}-{CALLER}-01");
    assert_eq!(passed(&reply, "traceparent"), Some(expected));
    assert_eq!(passed(&reply, "tracestate").as_deref(), Some("vendor=1"));
    let reply = get(worker.gateway, "/").await;
    assert_eq!(passed(&reply, "traceparent"), None);
}

/// Asks until a condition on the log holds; no request fails or waits meanwhile.
async fn ask_until(worker: &Worker, what: &str, holds: impl Fn(&str) -> bool) {
    let started = Instant::now();
    while !holds(&worker.process.all_said()) {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        let asked = Instant::now();
        let reply = ask(worker, TRACE, "01").await;
        assert!(reply.status() == 200 && asked.elapsed() < IN_TIME, "{reply:?}");
        sleep(LOOK_AGAIN).await;
    }
}

#[tokio::test]
async fn a_collector_that_refuses_costs_no_request_and_is_named_once() {
    let collector = Collector::start(Mood::Refuses).await;
    let worker = worker(&collector.address.to_string(), &[]).await;
    ask_until(&worker, "the log says nothing", |log| log.contains(DROPPED)).await;
    for batches in 2..4 {
        ask(&worker, TRACE, "01").await;
        collector.batches(batches).await;
    }
    collector.now(Mood::Takes);
    ask_until(&worker, "the log does not say that it is over", |log| log.contains(AGAIN)).await;
    let log = worker.process.all_said();
    assert_eq!([DROPPED, AGAIN].map(|said| log.matches(said).count()), [1, 1], "{log}");
    assert!(log.contains("503"), "{log}");
}

#[tokio::test]
async fn a_collector_that_hangs_or_is_not_there_costs_no_request_and_no_end() {
    let (hangs, closed) = (Collector::start(Mood::Hangs).await, ClosedPort::new());
    for address in [hangs.address, closed.address] {
        let mut worker = worker(&address.to_string(), &[]).await;
        ask_until(&worker, "the log says nothing", |log| log.contains(DROPPED)).await;
        worker.process.signal("TERM");
        assert_eq!(worker.process.end().await.code, Some(0));
    }
}

#[tokio::test]
async fn the_last_spans_of_a_worker_are_sent_before_it_ends() {
    let collector = Collector::start(Mood::Takes).await;
    let mut worker = worker(&collector.address.to_string(), &[]).await;
    ask(&worker, TRACE, "01").await;
    worker.process.signal("TERM");
    assert_eq!(worker.process.end().await.code, Some(0));
    assert_eq!(collector.all().len(), 2, "the request and its decision");
}
