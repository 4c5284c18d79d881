//! What a worker counts and measures, for Prometheus to fetch from `/metrics`.
//!
//! [`METRICS`] lists all of it. The recorder belongs to the process; [`start`] installs it, once.
//! Before, and in a process that never calls it, nothing is counted. What is known in advance is
//! there from the start, at zero.

mod decisions;
mod http;
mod list;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use transom_core::{Answer, Mode, Policies};

use decisions::Decisions;

pub(crate) use http::{Cut, ListenerMetrics, Open};
pub use list::{Kind, METRICS, Metric};

/// How often measurements are sorted into their buckets, so that they do not pile up where nobody
/// fetches them.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

/// The recorder of this process.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

struct Recorder {
    handle: PrometheusHandle,
    decisions: Decisions,
    process: Collector,
}

/// Starts to count in this process, under these policies; `deadline`, that of a decision, is an
/// edge of what it may take. Another call adds policies.
pub fn start(policies: &Policies, deadline: Duration) {
    let recorder = RECORDER.get_or_init(|| Recorder::install(deadline));
    for policy in policies.iter() {
        recorder.decisions.know(policy);
    }
}

/// Notes that a configuration was taken up (`ok`) or refused. `version` is that of the
/// configuration in force after that.
pub fn config_applied(version: u64, ok: bool) {
    #[expect(clippy::cast_precision_loss, reason = "nobody changes a configuration that often")]
    gauge!(list::CONFIG_VERSION).set(version as f64);
    gauge!(list::CONFIG_SUCCESSFUL).set(u8::from(ok));
    let taken_up = gauge!(list::CONFIG_TIMESTAMP);
    if ok {
        taken_up.set(since_1970());
    }
}

#[expect(clippy::disallowed_methods, reason = "a time stamp for people; nothing is decided by it")]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Sorts measurements into their buckets, for as long as it is polled.
pub async fn keep_up() {
    while let Some(recorder) = RECORDER.get() {
        tokio::time::sleep(UPKEEP_PERIOD).await;
        recorder.handle.run_upkeep();
    }
}

/// Everything that was counted, in the text format 0.0.4 of Prometheus; empty before [`start`].
/// `mode` is that of everything now; `redis_waiting` is how many requests wait for Redis now, where
/// there is one.
pub fn render(mode: Mode, redis_waiting: Option<usize>) -> String {
    let Some(recorder) = RECORDER.get() else {
        return String::new();
    };
    for one in [Mode::Enforce, Mode::Shadow, Mode::Off] {
        gauge!(list::MODE, "mode" => one.as_str()).set(u8::from(one == mode));
    }
    if let Some(waiting) = redis_waiting {
        gauge!(list::REDIS_WAITING).set(u32::try_from(waiting).unwrap_or(u32::MAX));
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        let alive = runtime.metrics().num_alive_tasks();
        gauge!(list::TASKS).set(u32::try_from(alive).unwrap_or(u32::MAX));
    }
    recorder.process.collect();
    recorder.handle.render()
}

/// Counts the answer to a request, and how long it took.
pub(crate) fn decided(answer: &Answer, took: Duration) {
    if let Some(recorder) = RECORDER.get() {
        recorder.decisions.decided(answer, took);
    }
}

/// Notes how long it took to find out who asks.
pub(crate) fn identified(took: Duration) {
    if let Some(recorder) = RECORDER.get() {
        recorder.decisions.identified(took);
    }
}

impl Recorder {
    fn install(deadline: Duration) -> Self {
        let prometheus = builder(deadline).build_recorder();
        let handle = prometheus.handle();
        if metrics::set_global_recorder(prometheus).is_err() {
            tracing::warn!("this process has a recorder of metrics; /metrics will be empty");
        }
        list::describe();
        let process = Collector::default();
        process.describe();
        gauge!(list::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1);
        Self { handle, decisions: Decisions::new(), process }
    }
}

fn builder(deadline: Duration) -> PrometheusBuilder {
    METRICS.iter().fold(PrometheusBuilder::new(), |builder, metric| {
        match list::buckets(metric, deadline) {
            Some(buckets) => {
                let name = Matcher::Full(metric.name.to_owned());
                // It refuses nothing but an empty list.
                builder.set_buckets_for_metric(name, &buckets).unwrap_or_default()
            }
            None => builder,
        }
    })
}

#[cfg(test)]
mod tests;
