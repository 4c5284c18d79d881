//! A change is seen by workers that know denials, within the time that is promised.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use transom_core::{
    Decision, LimitedBy, Limiter, Limits, Note, Operations, Request, Scope, Source, Unavailable,
};
use transom_redis::{RedisLimiter, Servers, Settings};
use transom_tests::Cluster;

use super::{until_denied, until_known};
use crate::setup::{Setup, knowing, request, settings};

/// A change is seen this long after it was made, by promise.
const SEEN_WITHIN: Duration = Duration::from_millis(100);
/// Longer than what is known lasts, so that every worker has asked once more by itself.
const LOOKED_AT: Duration = Duration::from_millis(400);

/// An answer, and when it was asked for.
type Sample = (Instant, Result<Decision, Unavailable>);

/// One who asks a worker without a pause.
struct Client {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Sample>>,
}

impl Client {
    fn start(limiter: &RedisLimiter, asked: &Request) -> Self {
        let (limiter, asked, stop) = (limiter.clone(), asked.clone(), Arc::<AtomicBool>::default());
        let until = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut samples = Vec::new();
            while !until.load(Ordering::Relaxed) {
                samples.push((Instant::now(), limiter.admit(&asked).await));
                tokio::time::sleep(Duration::from_micros(300)).await;
            }
            samples
        });
        Self { stop, task }
    }

    async fn end(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Two workers that deny somebody without a pause, and what each says that asks for it later than
/// promised after `change`. They did so from what they know, until then.
async fn after(
    workers: &[RedisLimiter; 2],
    asked: &Request,
    change: impl Future<Output = ()>,
) -> Vec<Decision> {
    for worker in workers {
        until_denied(worker, asked).await;
    }
    let clients = [0, 1].map(|place: usize| Client::start(&workers[place], asked));
    // Most of what is known was learnt just now when the change comes.
    tokio::time::sleep(Duration::from_millis(1_150)).await;
    change.await;
    let changed = Instant::now();
    tokio::time::sleep(SEEN_WITHIN + LOOKED_AT).await;
    let mut later = Vec::new();
    for client in clients {
        let samples = client.end().await;
        let (before, since): (Vec<_>, Vec<_>) =
            samples.into_iter().partition(|(sent, _)| *sent < changed + SEEN_WITHIN);
        let told = |(_, answer): (Instant, Result<_, _>)| answer.unwrap();
        let known = before.into_iter().map(told).filter(|a: &Decision| a.source == Source::Cache);
        assert!(known.count() > 100, "the worker knew nothing");
        assert!(since.len() > 20, "hardly anything was asked");
        later.extend(since.into_iter().map(told));
    }
    later
}

async fn workers(setup: &Settings) -> [RedisLimiter; 2] {
    let (one, other) = tokio::join!(knowing(setup), knowing(setup));
    [one, other]
}

/// Goal: who was denied by every worker is not, once that is changed, on any worker (P26).
/// Method: a third one makes the change, while two deny from what they know.
#[tokio::test]
async fn a_change_is_seen_by_every_worker_within_a_tenth_of_a_second() {
    let setup = Setup::new().await;
    let (workers, operator) = (workers(&settings(&setup.url)).await, &setup.limiter);
    all_changes_are_seen(&workers, operator, "a").await;
}

async fn all_changes_are_seen(workers: &[RedisLimiter; 2], operator: &RedisLimiter, user: &str) {
    let asked = request(user, 3, 3, 1);
    let (identity, note) = (&asked.identity, Note::default());

    let reset_at_us = until_denied(operator, &asked).await.at_us;
    let later = after(workers, &asked, async {
        operator.reset(identity, &asked.policy.name).await.unwrap();
    });
    for answer in later.await {
        // The oldest unit that counts came after the reset.
        let oldest_us = answer.at_us + answer.minute.reset_us - 60_000_000;
        assert!(answer.minute.used == 0 || oldest_us > reset_at_us, "reset: {answer:?}");
    }

    let later = after(workers, &asked, async {
        operator.block(identity, None, &note).await.unwrap();
    });
    for answer in later.await {
        assert_eq!(answer.limited_by, LimitedBy::Penalty, "block: {answer:?}");
    }

    let later = after(workers, &asked, async {
        assert!(operator.unblock(identity).await.unwrap());
    });
    for answer in later.await {
        assert_ne!(answer.limited_by, LimitedBy::Penalty, "unblock: {answer:?}");
    }

    let later = after(workers, &asked, async {
        let limits = Limits { minute: 1_000_000, second: 1_000_000 };
        operator.set_override(identity, &Scope::All, limits, None, &note).await.unwrap();
    });
    for answer in later.await {
        assert!(answer.allowed, "an override: {answer:?}");
    }
}

/// An override may end at any time, and its end is not told: what it denies is asked each time.
#[tokio::test]
async fn what_an_override_denies_is_not_known() {
    let setup = Setup::knowing().await;
    let asked = request("a", 9, 9, 1);
    let (limits, note) = (Limits { minute: 1, second: 1 }, Note::default());
    let lasting = Some(Duration::from_millis(300));
    let identity = &asked.identity;
    setup.limiter.set_override(identity, &Scope::All, limits, lasting, &note).await.unwrap();
    let ends = Instant::now() + Duration::from_millis(300);
    assert_eq!(until_denied(&setup.limiter, &asked).await.source, Source::Redis);
    assert_eq!(setup.limiter.admit(&asked).await.unwrap().source, Source::Redis);
    tokio::time::sleep(ends + Duration::from_millis(1) - Instant::now()).await;
    assert!(setup.limiter.admit(&asked).await.unwrap().allowed);
}

/// Whoever makes a change does not wait to hear of it.
#[tokio::test]
async fn a_worker_sees_its_own_changes_at_once() {
    let setup = Setup::knowing().await;
    let asked = request("a", 1, 1, 1);
    for _ in 0..50 {
        until_denied(&setup.limiter, &asked).await;
        until_known(&setup.limiter, &asked).await;
        setup.limiter.reset(&asked.identity, &asked.policy.name).await.unwrap();
        assert!(setup.limiter.admit(&asked).await.unwrap().allowed);
    }
}

/// Goal: the same on a cluster, whichever node has the key; and a node that is frozen takes what
/// is known of its own keys along, and no more (P27).
#[tokio::test]
async fn on_a_cluster_changes_are_heard_of_node_by_node() {
    let cluster = Cluster::start(3, 0).await;
    let servers = Servers::Cluster(cluster.urls());
    let settings = Settings { servers, ..settings("") };
    let workers = workers(&settings).await;
    let operator = RedisLimiter::open(&settings).unwrap();
    operator.connected().await.unwrap();
    let mut users: HashMap<usize, String> = HashMap::new();
    for n in 0.. {
        let user = format!("user-{n}");
        let key = crate::setup::key(&request(&user, 1, 1, 1), transom_core::Window::Minute);
        users.entry(cluster.node_of(cluster.slot_of(&key).await).await).or_insert(user);
        if users.len() == 3 {
            break;
        }
    }
    for user in users.values() {
        all_changes_are_seen(&workers, &operator, user).await;
    }

    let asked: Vec<_> = (0..3).map(|place| request(&users[&place], 4, 4, 2)).collect();
    for asked in &asked {
        operator.delete_override(&asked.identity, &Scope::All).await.unwrap();
        operator.reset(&asked.identity, &asked.policy.name).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    for asked in &asked {
        until_denied(&workers[0], asked).await;
        until_known(&workers[0], asked).await;
    }
    cluster.freeze(0);
    tokio::time::sleep(SEEN_WITHIN).await;
    let frozen = tokio::time::timeout(Duration::from_millis(50), workers[0].admit(&asked[0])).await;
    assert!(!matches!(frozen, Ok(Ok(_))), "{frozen:?}");
    for asked in &asked[1..] {
        assert_eq!(workers[0].admit(asked).await.unwrap().source, Source::Cache);
    }
    cluster.thaw(0);
}
