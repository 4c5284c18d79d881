//! The same answers as on one server, though keys are on several.

use std::sync::Arc;
use std::time::{Duration, Instant};

use transom_core::{
    FleetMode, Held, Identity, Limiter, Limits, Mode, Note, Operations, Scope, Share,
};
use transom_redis::{Digest, RedisLimiter, Servers, Settings, Severity};
use transom_tests::redis_server::free_port;
use transom_tests::{Cluster, RedisServer};

use super::{MANY, decides_again, open, settings_for, units, users_by_node};
use crate::acl::operates;
use crate::connection::decides;
use crate::setup::{WITHIN, request, settings};

#[tokio::test]
async fn a_cluster_decides_and_operates_as_one_server_does() {
    let cluster = Cluster::start(3, 0).await;
    decides(&settings_for(&cluster)).await.unwrap();
    let limiter = open(&cluster).await;
    operates(&limiter).await.unwrap();

    let examined = limiter.examine().await;
    let broken: Vec<_> = examined.iter().filter(|one| one.severity == Severity::Broken).collect();
    assert!(broken.is_empty(), "{broken:?}");
    let rights = examined.iter().find(|one| one.what == "rights").unwrap();
    assert_eq!(rights.severity, Severity::Fine, "{rights:?}");
    for place in 0..3 {
        let address = cluster.address(place);
        let versions = examined.iter().filter(|one| one.what == "version");
        assert!(versions.clone().any(|one| one.said.contains(&address)), "{examined:?}");
    }

    let share = Share::of(7);
    let joined = tokio::spawn({
        let (limiter, share) = (limiter.clone(), share.clone());
        async move { limiter.join(share).await }
    });
    until("the roster was not read twice", || share.workers() == 1).await;
    joined.abort();
    let mode = FleetMode::default();
    let followed = tokio::spawn({
        let (limiter, mode) = (limiter.clone(), mode.clone());
        async move { limiter.follow_mode(mode).await }
    });
    limiter.set_mode(Some(Mode::Shadow)).await.unwrap();
    until("the mode was not followed", || mode.get() == Some(Mode::Shadow)).await;
    followed.abort();
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_listed_is_found_on_every_node() {
    let cluster = Cluster::start(3, 0).await;
    let limiter = open(&cluster).await;
    let note = Note::default();
    let mut names: Vec<_> = users_by_node(&cluster, 3).await.into_values().flatten().collect();
    names.sort();
    let keys = limiter.api_keys();
    for name in &names {
        let user = Identity::user(name).unwrap();
        limiter.set_override(&user, &Scope::All, Limits::DEFAULT, None, &note).await.unwrap();
        limiter.block(&user, None, &note).await.unwrap();
        keys.add(Digest::of(name.as_bytes()), name, "").await.unwrap();
    }
    for kind in [Held::Override, Held::Block] {
        let listed = limiter.standings(kind, 100).await.unwrap().held;
        let mut listed: Vec<_> = listed.iter().map(|(user, _)| user.to_string()).collect();
        listed.sort();
        let expected: Vec<_> = names.iter().map(|name| format!("user:{name}")).collect();
        assert_eq!(listed, expected, "{kind:?}");
    }
    let listed: Vec<_> = keys.list(None, 100).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.user.clone()).collect::<Vec<_>>(), names);
}

#[tokio::test]
async fn a_key_revoked_on_a_cluster_is_refused_by_another_worker_within_a_second() {
    let cluster = Cluster::start(3, 0).await;
    let keys = open(&cluster).await.api_keys();
    let other = open(&cluster).await.api_keys();
    // Several, so that some are not where the revision is.
    for n in 0..6 {
        let digest = Digest::of(format!("key-{n}").as_bytes());
        keys.add(digest, "42", "").await.unwrap();
        assert_eq!(other.user_of(digest, WITHIN).await.unwrap().as_deref(), Some("42"));
        assert!(keys.revoke(digest).await.unwrap());
        let revoked = Instant::now();
        while other.user_of(digest, WITHIN).await.unwrap().is_some() {
            assert!(revoked.elapsed() < Duration::from_secs(1), "still valid after a second");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn requests_that_wait_share_calls_and_each_gets_its_own_decision() {
    let cluster = Cluster::start(3, 0).await;
    let limiter = open(&cluster).await;
    let tasks: Vec<_> = (0..3_000_u32)
        .map(|n| {
            let limiter = limiter.clone();
            // A hundred of each, in twenty slots or so: many in a call, several calls at once.
            let asked = request(&format!("busy-{}", n % 30), 1_000 + n % 30, 40, 1);
            tokio::spawn(async move { (n % 30, limiter.admit(&asked).await.unwrap()) })
        })
        .collect();
    let mut admitted = [0_u32; 30];
    for task in tasks {
        let (n, decision) = task.await.unwrap();
        assert_eq!(decision.minute.limit, 1_000 + n);
        admitted[n as usize] += u32::from(decision.allowed);
    }
    for (n, admitted) in admitted.into_iter().enumerate() {
        assert!(admitted >= 40, "{admitted}");
        assert_eq!(units(&cluster, &format!("busy-{n}")).await, u64::from(admitted));
    }
    let mut calls = 0;
    for place in 0..3 {
        calls +=
            calls_on(&cluster, place, "evalsha").await + calls_on(&cluster, place, "eval").await;
    }
    eprintln!("CALLS {calls}");
    assert!(calls < 2_000, "3,000 decisions took {calls} calls");
}

/// How often a command has run on a node.
async fn calls_on(cluster: &Cluster, place: usize, command: &str) -> u64 {
    let stats: String = cluster.ask(place, &["INFO", "commandstats"]).await;
    let prefix = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_hot_key_admits_exactly_its_limit() {
    let cluster = Cluster::start(3, 0).await;
    let limiter = Arc::new(open(&cluster).await);
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move { limiter.admit(&request("hot", 100, 100, 1)).await.unwrap() })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += u64::from(task.await.unwrap().allowed);
    }
    assert_eq!((admitted, units(&cluster, "hot").await), (100, 100));
}

#[tokio::test]
async fn a_worker_starts_without_the_cluster_and_finds_it() {
    let port = free_port();
    let url = format!("redis://127.0.0.1:{port}");
    let nowhere = Servers::Cluster(vec![url]);
    let limiter = RedisLimiter::open(&Settings { servers: nowhere, ..settings("") });
    let said = limiter.unwrap().connected().await.unwrap_err().to_string();
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("refused"), "{said}");

    let mut cluster = Cluster::start(1, 0).await;
    cluster.kill(0);
    let limiter = RedisLimiter::open(&settings_for(&cluster)).unwrap();
    assert!(limiter.connected().await.is_err());
    assert!(limiter.admit(&request("a", MANY, MANY, 1)).await.is_err());
    cluster.start_again(0).await;
    decides_again(&limiter, "a").await;
    limiter.state().unwrap();
}

#[tokio::test]
async fn a_server_that_is_no_cluster_is_named() {
    let server = RedisServer::start().await;
    let servers = Servers::Cluster(vec![server.url.clone()]);
    let limiter = RedisLimiter::open(&Settings { servers, ..settings("") }).unwrap();
    let said = limiter.connected().await.unwrap_err().to_string();
    assert!(said.contains("cluster support disabled"), "{said}");
    let socket = Servers::Cluster(vec!["unix:///run/redis.sock".to_owned()]);
    for servers in [socket, Servers::Cluster(Vec::new())] {
        assert!(RedisLimiter::open(&Settings { servers, ..settings("") }).is_err());
    }
}
