//! Redis Cluster: the same answers as on one server, and what happens when slots move, and nodes
//! freeze, die and come back.

mod access;
mod conformance;
mod failing;
mod moving;
mod once;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use transom_core::{Decision, Limiter, Unavailable, Window};
use transom_redis::{RedisLimiter, Servers, Settings};
use transom_tests::Cluster;

use crate::setup::{key, request, settings};

/// Nobody comes near it.
const MANY: u32 = 1_000_000;

/// Settings for tests: the first nodes are named, and tell of the others.
fn settings_for(cluster: &Cluster) -> Settings {
    let mut urls = cluster.urls();
    urls.truncate(2);
    Settings { servers: Servers::Cluster(urls), ..settings("") }
}

async fn open(cluster: &Cluster) -> RedisLimiter {
    let limiter = RedisLimiter::open(&settings_for(cluster)).unwrap();
    limiter.connected().await.unwrap();
    limiter
}

/// The key by which a user's requests are routed.
fn key_of(user: &str) -> String {
    key(&request(user, 1, 1, 1), Window::Minute)
}

/// Some users of each node, by the node's place.
async fn users_by_node(cluster: &Cluster, each: usize) -> HashMap<usize, Vec<String>> {
    let mut users: HashMap<usize, Vec<String>> = HashMap::new();
    for n in 0.. {
        let user = format!("user-{n}");
        let place = cluster.node_of(cluster.slot_of(&key_of(&user)).await).await;
        let here = users.entry(place).or_default();
        if here.len() < each {
            here.push(user);
        }
        if users.len() == cluster.primaries() && users.values().all(|some| some.len() == each) {
            break;
        }
    }
    users
}

/// What became of one request.
#[derive(Debug)]
struct Sample {
    user: String,
    sent: Instant,
    took: Duration,
    answer: Result<Decision, Unavailable>,
}

impl Sample {
    fn may_have_charged(&self) -> bool {
        match &self.answer {
            Ok(decision) => decision.allowed,
            Err(reason) => reason.may_have_charged(),
        }
    }
}

/// Requests of some users, one after the other for each, for as long as it is let.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Sample>>>,
}

impl Load {
    fn start<'a>(
        limiter: &RedisLimiter,
        users: impl IntoIterator<Item = &'a String>,
        limit: u32,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = users.into_iter().map(|user| {
            let (limiter, user, stop) = (limiter.clone(), user.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut samples = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let sent = Instant::now();
                    let answer = limiter.admit(&request(&user, limit, limit, 1)).await;
                    samples.push(Sample { user: user.clone(), sent, took: sent.elapsed(), answer });
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                samples
            })
        });
        Self { tasks: tasks.collect(), stop }
    }

    async fn end(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        let mut samples = Vec::new();
        for task in self.tasks {
            samples.extend(task.await.unwrap());
        }
        samples
    }
}

/// How often each reason was given for want of a decision.
fn reasons(samples: &[Sample]) -> HashMap<String, usize> {
    let mut reasons = HashMap::new();
    for reason in samples.iter().filter_map(|sample| sample.answer.as_ref().err()) {
        *reasons.entry(reason.to_string()).or_default() += 1;
    }
    reasons
}

/// Whether a request was refused with this word by a node.
fn refused_with(answer: &Result<Decision, Unavailable>, word: &str) -> bool {
    matches!(answer, Err(Unavailable::Refused { code, .. }) if code == word)
}

/// The units of a user that its node keeps.
async fn units(cluster: &Cluster, user: &str) -> u64 {
    let key = key_of(user);
    let place = cluster.node_of(cluster.slot_of(&key).await).await;
    cluster.ask(place, &["ZCARD", &key]).await
}

/// Decisions of a user come again within some seconds; when the first did.
async fn decides_again(limiter: &RedisLimiter, user: &str) -> Instant {
    let started = Instant::now();
    loop {
        match limiter.admit(&request(user, MANY, MANY, 1)).await {
            Ok(_) => return Instant::now(),
            Err(reason) => {
                assert!(started.elapsed() < Duration::from_secs(30), "still none: {reason}");
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
