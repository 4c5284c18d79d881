//! One cell of the matrix: a fleet under steady load, a fault, and its end.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::sleep;
use transom_core::{Identity, PolicyName};
use transom_tests::checker::{Key, MinuteLog};
use transom_tests::fleet::{Ask, Fleet, Metrics, Sample, Setup, Steady, long, monotonic_ns};
use transom_tests::lateness::{Lateness, Sleeper};
use transom_tests::windows::Windows;

use crate::fault::Fault;
use crate::judge;
use crate::stage::{Stage, Topology};

/// Cells measure time, so they do not run at once.
pub(crate) static ALONE: Mutex<()> = Mutex::const_new(());

pub(crate) const WORKERS: u32 = 2;
/// The deadline of a decision, that of the promises. Where a fault must not be seen at all it is
/// long, so that a busy machine is not taken for the fault.
pub(crate) const fn deadline(fault: Fault) -> Duration {
    Duration::from_millis(if fault.is_invisible() { 1_000 } else { 50 })
}
/// Requests a second, over the fleet.
const RATE: u32 = 300;
const PREFIX: &str = "faults:1";
/// One of so many users asks.
const USERS: u32 = 40;

/// One test for each fault, and the names of their rows.
macro_rules! cells {
    ($of:literal $topology:ident: $($name:ident $fault:ident,)*) => {
        /// The rows of this file.
        pub(crate) const ROWS: &[&str] = &[$(concat!($of, "::", stringify!($name))),*];

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::cell::run(
                    concat!($of, "::", stringify!($name)),
                    $crate::stage::Topology::$topology,
                    $crate::fault::Fault::$fault,
                )
                .await;
            }
        )*
    };
}
pub(crate) use cells;

/// A policy whose second is soon full for the hottest user, one whose minute is soon full for
/// everybody, and the other two ways to fail.
const POLICIES: &str = r#"
[[policy]]
name = "default"
minute = 100000
second = 20

[[policy]]
name = "tight"
path = "/tight"
minute = 30
second = 10

[[policy]]
name = "allow"
path = "/allow"
minute = 100000
second = 20
on_failure = "allow"

[[policy]]
name = "deny"
path = "/deny"
minute = 100000
second = 20
on_failure = "deny"
"#;

/// How long each fault lasts, and how long Redis is looked at before and after it.
fn lasts() -> &'static [Duration] {
    const SHORT: &[Duration] = &[Duration::from_millis(1_300)];
    const LONG: &[Duration] = &[Duration::from_secs(1), Duration::from_secs(30)];
    if long() { LONG } else { SHORT }
}
const BEFORE: Duration = Duration::from_millis(600);
const AFTER: Duration = Duration::from_millis(1_400);

/// When a fault was done and undone, by the clock of the clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) began_ns: u64,
    pub(crate) back_ns: u64,
    pub(crate) until_ns: u64,
}

/// What a cell has seen.
pub(crate) struct Seen {
    pub(crate) topology: Topology,
    pub(crate) fault: Fault,
    pub(crate) spans: Vec<Span>,
    pub(crate) samples: Vec<Sample>,
    /// Just before the first fault.
    pub(crate) before: Metrics,
    /// At the end.
    pub(crate) after: Metrics,
    /// Of the machine, meanwhile.
    pub(crate) lateness: Lateness,
    /// Connections to Redis, where it is known whose they are: the most at a time, and those that
    /// were made from the first fault on.
    pub(crate) connections: Option<[usize; 2]>,
    /// Whether a server took over that may not have had all.
    pub(crate) may_lose: bool,
    pub(crate) kept: Vec<MinuteLog>,
    pub(crate) read_at_us: u64,
}

/// Runs a cell and judges it.
pub(crate) async fn run(row: &str, topology: Topology, fault: Fault) {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::start(topology, fault).await;
    let config = format!("[redis]\nworkers = {WORKERS}\n{}\n{POLICIES}", stage.config());
    let fleet = Fleet::start(&Setup {
        workers: WORKERS as usize,
        prefix: PREFIX,
        deadline: &format!("{}ms", deadline(fault).as_millis()),
        config: &config,
        ..Setup::default()
    });
    let load = Steady::start(&fleet, RATE, any);
    sleep(BEFORE).await;
    let before = Metrics::of(&fleet).await;
    let sleeper = Sleeper::start();
    let (mut spans, began) = (Vec::new(), Instant::now());
    for lasts in lasts() {
        let began_ns = monotonic_ns();
        stage.inject(fault, *lasts).await;
        sleep(*lasts).await;
        stage.mend(fault).await;
        let back_ns = monotonic_ns();
        stage.restore(fault).await;
        sleep(AFTER).await;
        spans.push(Span { began_ns, back_ns, until_ns: monotonic_ns() });
    }
    let samples = load.end();
    let (after, lateness) = (Metrics::of(&fleet).await, sleeper.end());
    let windows = stage.windows(PREFIX).await;
    let mut kept: Vec<_> = windows.iter().flat_map(Windows::minute_logs).collect();
    // The gateway does not say enough of its decisions for the checker to know them.
    kept.retain(|log| !log.key.identity.as_str().starts_with("ip:"));
    let seen = Seen {
        topology,
        fault,
        spans,
        samples,
        before,
        after,
        lateness,
        connections: stage.connections(began),
        may_lose: stage.fails_over(fault),
        kept,
        read_at_us: windows.iter().map(|some| some.read_at_us).min().unwrap_or(0),
    };
    judge::cell(row, &seen);
}

/// A request of some user, a quarter of them of the same.
fn any() -> Ask {
    let user = if fastrand::u8(..4) == 0 { 0 } else { fastrand::u32(..USERS) };
    let (policy, path) = match fastrand::u8(..6) {
        0..=1 => ("default", "/"),
        2..=3 => ("tight", "/tight"),
        4 => ("allow", "/allow"),
        _ => ("deny", "/deny"),
    };
    let identity = Identity::user(&user.to_string()).expect("a user's name");
    let policy = PolicyName::new(policy).expect("the name of a policy");
    Ask { key: Key { identity, policy }, path, cost: 1 }
}
