//! A load that does not wait for answers: so many requests a second, whatever becomes of them. It
//! has a thread of its own, so that the test does not slow it down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::{Answer, Ask, Client, Fleet, monotonic_ns};
use crate::checker::{Outcome, Record};

/// Of so many requests one is sent through the gateway, by an address.
const THROUGH_THE_GATEWAY: u64 = 8;

/// A load that runs until it is [ended](Self::end).
#[derive(Debug)]
pub struct Steady {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sample>>,
}

/// What one request got.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What was asked for.
    pub path: &'static str,
    /// Whether it went through the gateway, to whatever is behind it.
    pub gateway: bool,
    /// The status; 0 where there was no answer.
    pub status: u16,
    /// Who decided: `redis`, `cache`, `local` or `none`.
    pub source: String,
    /// Why Redis did not, where the answer says it.
    pub reason: Option<String>,
    /// When it was sent, by the clock of [`monotonic_ns`].
    pub sent_ns: u64,
    /// What the checker is to know; only the check listener says enough.
    pub record: Option<Record>,
}

impl Sample {
    /// Whether Redis decided, or a worker that knew what it would say.
    pub fn is_by_redis(&self) -> bool {
        ["redis", "cache"].contains(&self.source.as_str())
    }
}

impl Steady {
    /// Begins to ask the workers in turn.
    ///
    /// # Panics
    ///
    /// If there is no thread to be had.
    pub fn start(fleet: &Fleet, per_s: u32, next: impl Fn() -> Ask + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<[Client; 2]> = fleet
            .workers
            .iter()
            .map(|worker| [Client::new(worker.check), Client::new(worker.gateway)])
            .collect();
        let pause = Duration::from_secs(1) / per_s;
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime of its own").block_on(run(clients, pause, next, &stopped))
        });
        Self { stop, thread }
    }

    /// Asks no more, waits for the last answers, and returns them all.
    ///
    /// # Panics
    ///
    /// If the load did not end well.
    pub fn end(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a load that ends well")
    }
}

async fn run(
    clients: Vec<[Client; 2]>,
    pause: Duration,
    next: impl Fn() -> Ask,
    stopped: &AtomicBool,
) -> Vec<Sample> {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut asked, mut samples) = (JoinSet::new(), Vec::new());
    let mut number = 0;
    while !stopped.load(Ordering::Relaxed) {
        ticks.tick().await;
        number += 1;
        let worker = fastrand::usize(..clients.len());
        let [check, gateway] = clients[worker].clone();
        let ask = next();
        if number % THROUGH_THE_GATEWAY == 0 {
            asked.spawn(async move { through(&gateway, ask.path).await });
        } else {
            asked.spawn(async move { decided(&check, worker, ask).await });
        }
        while let Some(done) = asked.try_join_next() {
            samples.push(done.expect("a request that ends well"));
        }
    }
    samples.extend(asked.join_all().await);
    samples
}

/// Asks the gateway for a path, as the address that the test runs on.
async fn through(gateway: &Client, path: &'static str) -> Sample {
    let sent_ns = monotonic_ns();
    let answer = gateway.send(Method::GET, path, String::new()).await;
    let field = |name| {
        let fields = answer.as_ref().ok()?.headers();
        fields.get(name)?.to_str().ok().map(str::to_owned)
    };
    let reason = field("x-ratelimit-degraded");
    let source = match (field("x-ratelimit-limit"), &reason) {
        (Some(_), None) => "redis",
        (Some(_), Some(_)) => "local",
        (None, _) => "none",
    };
    let (status, source) = (status(answer.as_ref().ok()), source.to_owned());
    Sample { path, gateway: true, status, source, reason, sent_ns, record: None }
}

/// Asks the check listener to decide.
async fn decided(check: &Client, worker: usize, ask: Ask) -> Sample {
    let sent_ns = monotonic_ns();
    let answer = check.send(Method::POST, "/v1/decide", ask.body()).await;
    let received_ns = monotonic_ns();
    let status = status(answer.as_ref().ok());
    let read = answer.and_then(|answer| Ok(serde_json::from_slice::<Answer>(answer.body())?));
    let (source, reason) = match &read {
        Ok(answer) => (answer.source.clone(), answer.degraded.clone()),
        Err(_) => ("none".to_owned(), None),
    };
    let outcome = match read.map(|answer| answer.told()) {
        Ok(Some(told)) => Outcome::Told(told),
        Ok(None) => Outcome::Unknown("there was no decision".to_owned()),
        Err(error) => Outcome::Unknown(format!("{error:#}")),
    };
    let Ask { key, path, cost } = ask;
    let record = Record { worker, key, cost, outcome, sent_ns, received_ns };
    Sample { path, gateway: false, status, source, reason, sent_ns, record: Some(record) }
}

fn status(answer: Option<&Response<Bytes>>) -> u16 {
    answer.map_or(0, |answer| answer.status().as_u16())
}

/// What the checker is to know of some samples.
pub fn records(samples: &[Sample]) -> Vec<Record> {
    samples.iter().filter_map(|sample| sample.record.clone()).collect()
}

/// The share of Redis among what was sent in a span, in per mille; `None` if nothing was.
pub fn by_redis_permille(samples: &[Sample], from_ns: u64, to_ns: u64) -> Option<usize> {
    let sent: Vec<_> =
        samples.iter().filter(|sample| (from_ns..to_ns).contains(&sample.sent_ns)).collect();
    let by_redis = sent.iter().filter(|sample| sample.is_by_redis()).count();
    (by_redis * 1_000).checked_div(sent.len())
}
