//! Failovers are followed: with sentinels, and where nothing tells of them but the servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use transom_core::Limiter;
use transom_redis::{RedisLimiter, Sentinels as Watchers, Servers, Settings};
use transom_tests::sentinel::{MASTER, Sentinels};

use crate::setup::request;

/// Decisions come from the new master this long after a sentinel names it, at the latest. (Sentinels
/// themselves look once a second whether a replica has become the master.)
pub(crate) const FOLLOWED_WITHIN: Duration = Duration::from_secs(1);
/// How long anything else may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of the user under load.
const LIMIT: u32 = 40;

/// A deadline that a loaded machine keeps, as far as these tests go.
const DEADLINE: Duration = Duration::from_millis(250);

/// Settings for the master of these sentinels.
pub(crate) fn settings(nodes: Vec<String>) -> Settings {
    let watchers = Watchers { nodes, master: MASTER.to_owned(), user: None, password: None };
    Settings { servers: Servers::Sentinel(watchers), deadline: DEADLINE, ..Settings::new("") }
}

pub(crate) async fn connected(settings: &Settings) -> RedisLimiter {
    let limiter = RedisLimiter::open(settings).unwrap();
    until("a lane is connected", async || limiter.state().is_ok()).await;
    limiter
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One user who asks without a pause, as long as this lives; and how many were admitted.
struct Load {
    admitted: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start(limiter: &RedisLimiter) -> Self {
        let (limiter, admitted) = (limiter.clone(), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&admitted);
        let task = tokio::spawn(async move {
            let asked = request("loaded", LIMIT, LIMIT, 1);
            loop {
                if limiter.admit(&asked).await.is_ok_and(|decision| decision.allowed) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self { admitted, task }
    }

    fn stop(self) -> u32 {
        self.task.abort();
        self.admitted.load(Ordering::Relaxed)
    }
}

/// How a master goes.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Frozen,
    /// The machine is gone, and with it the sentinel that is asked first.
    MachineLost,
    ReplacedByHand,
}

/// Goal: decisions come from the new master within a second of its being named, and a failover
/// gives nobody more than the limit once more.
/// Method: a user asks all the time; who is master is asked of the servers themselves; from then
/// on a request that the old master could not know must be admitted, and be on the new one.
async fn follows(fault: Fault) {
    let mut cluster = Sentinels::start().await;
    let limiter = connected(&settings(cluster.urls(""))).await;
    let started = Instant::now();
    let load = Load::start(&limiter);
    until("the user is admitted", async || load.admitted.load(Ordering::Relaxed) == LIMIT).await;
    let old = cluster.master().await;
    let new = 1 - old;
    match fault {
        Fault::Killed => cluster.nodes[old].kill(),
        Fault::Frozen => cluster.nodes[old].freeze(),
        Fault::MachineLost => {
            cluster.sentinels[0].freeze();
            cluster.nodes[old].freeze();
        }
        Fault::ReplacedByHand => cluster.fail_over().await,
    }
    until("the replica is promoted", async || cluster.nodes[new].is_master().await).await;
    until("the sentinels name it", async || cluster.is_named(new).await).await;
    let named = Instant::now();
    let mut behind = cluster.nodes[new].connect().await;
    let asked = request("after", 1_000_000, 1_000_000, 1);
    let key = crate::setup::key(&asked, transom_core::Window::Minute);
    loop {
        let answer = limiter.admit(&asked).await;
        if answer.is_ok_and(|decision| decision.allowed) {
            let members: u32 =
                redis::cmd("ZCARD").arg(&key).query_async(&mut behind).await.unwrap();
            if members > 0 {
                break;
            }
        }
        let taken = named.elapsed();
        assert!(
            taken < FOLLOWED_WITHIN,
            "{fault:?}: not followed in {taken:?}: {:?}",
            limiter.state()
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    if matches!(fault, Fault::Frozen | Fault::MachineLost) {
        // It comes back as a master, until the sentinels make it a replica.
        cluster.nodes[old].thaw();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let admitted = load.stop();
    // What was not replicated is admitted once more, and what was older than the window leaves.
    let windows = u32::try_from(started.elapsed().as_secs() / 60).unwrap() + 1;
    assert!(admitted <= LIMIT * (windows + 1), "{admitted} admitted in {windows} windows");
    assert_eq!(limiter.state(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_after_the_master_was_killed_is_followed() {
    follows(Fault::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_after_the_master_was_frozen_is_followed() {
    follows(Fault::Frozen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_after_a_machine_was_lost_with_its_sentinel_is_followed() {
    follows(Fault::MachineLost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_by_hand_is_followed() {
    follows(Fault::ReplacedByHand).await;
}
