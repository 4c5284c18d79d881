//! Nodes that freeze, die, and are replaced.

use std::time::{Duration, Instant};

use transom_core::{Limiter, Unavailable};
use transom_redis::{RedisLimiter, Settings};
use transom_tests::Cluster;

use super::{Load, MANY, decides_again, key_of, open, reasons, settings_for, units, users_by_node};
use crate::setup::request;

const DEADLINE: Duration = Duration::from_millis(50);
/// What no decision is above, by promise.
const AT_LATEST: Duration = Duration::from_millis(150);

async fn open_in_time(cluster: &Cluster) -> RedisLimiter {
    let settings = Settings { deadline: DEADLINE, ..settings_for(cluster) };
    let limiter = RedisLimiter::open(&settings).unwrap();
    limiter.connected().await.unwrap();
    limiter
}

/// Goal: a frozen node costs its own identities their decisions, and nobody else (P4, P27).
#[tokio::test]
async fn a_frozen_node_does_not_hold_the_others_up() {
    let cluster = Cluster::start(3, 0).await;
    let limiter = open_in_time(&cluster).await;
    let users = users_by_node(&cluster, 4).await;
    let frozen = 2;
    let load = Load::start(&limiter, users.values().flatten(), MANY);
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.freeze(frozen);
    let at = Instant::now();
    // Longer than a connection may be silent, and than the others take to see it.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let said = limiter.state().unwrap_err().to_string();
    assert!(said.contains(&cluster.address(frozen)), "{said}");
    assert!(!said.contains(&cluster.address(0)), "{said}");
    cluster.thaw(frozen);
    let thawed = Instant::now();
    let back = decides_again(&limiter, &users[&frozen][0]).await - thawed;
    let samples = load.end().await;

    let of_frozen = |user: &String| users[&frozen].contains(user);
    let meanwhile = samples.iter().filter(|s| s.sent >= at && s.sent < thawed);
    let (own, others): (Vec<_>, Vec<_>) = meanwhile.partition(|s| of_frozen(&s.user));
    let failed = others.iter().filter(|s| s.answer.is_err()).count();
    // A machine that other tests load may be late now and then.
    assert!(failed * 100 <= others.len(), "{failed} of {}: {:?}", others.len(), reasons(&samples));
    assert!(own.iter().filter(|s| s.sent > at + DEADLINE).all(|s| s.answer.is_err()));
    let worst = samples.iter().map(|s| s.took).max().unwrap();
    assert!(worst <= AT_LATEST, "the worst took {worst:?}");
    assert!(back < Duration::from_secs(2), "decided again only after {back:?}");
}

/// Goal: what a promoted replica decides is had within a second, whether the old primary agreed or
/// died, and READONLY does not stick (P9).
#[tokio::test]
async fn a_promoted_replica_decides_within_a_second() {
    let mut cluster = Cluster::start(3, 1).await;
    let limiter = open_in_time(&cluster).await;
    let mut users = users_by_node(&cluster, 3).await;
    // One of each node is asked for by hand.
    let probes: Vec<_> = (0..3).map(|place| users.get_mut(&place).unwrap().remove(0)).collect();
    let load = Load::start(&limiter, users.values().flatten(), MANY);
    tokio::time::sleep(Duration::from_millis(300)).await;

    // With the consent of the old primary, which then refuses what it had.
    cluster.failover(3).await;
    let promoted = Instant::now();
    let late = decides_again(&limiter, &probes[0]).await - promoted;
    assert!(late < Duration::from_secs(1), "{late:?} after the promotion by consent");

    cluster.kill(1);
    cluster.promoted(4).await;
    let promoted = Instant::now();
    let back = decides_again(&limiter, &probes[1]).await;
    let late = back.saturating_duration_since(promoted);
    assert!(late < Duration::from_secs(1), "{late:?} after the promotion");
    tokio::time::sleep(Duration::from_millis(500)).await;

    // It comes back as a replica, and nothing is sent there.
    cluster.start_again(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let samples = load.end().await;
    let end = samples.iter().map(|s| s.sent).max().unwrap();
    for sample in &samples {
        assert!(sample.took <= AT_LATEST, "{sample:?}");
        let replaced = users[&1].contains(&sample.user) || users[&0].contains(&sample.user);
        let meanwhile = replaced && sample.sent < back + Duration::from_secs(1);
        // A machine that other tests load may be late now and then.
        assert!(sample.answer.is_ok() || meanwhile || sample.took >= DEADLINE, "{sample:?}");
    }
    let last = samples.iter().filter(|s| s.sent > end - Duration::from_millis(300));
    let (good, all) =
        last.fold((0, 0), |(good, all), s| (good + usize::from(s.answer.is_ok()), all + 1));
    assert!(good * 100 >= all * 95, "{good} of {all} at the end: {:?}", reasons(&samples));
    for user in users.values().flatten() {
        let charged =
            samples.iter().filter(|s| s.user == *user && s.may_have_charged()).count() as u64;
        assert!(units(&cluster, user).await <= charged, "{user}");
    }
    limiter.state().unwrap();
}

/// Goal: scripts that are gone cost nothing but a round trip, while a replica does not answer (P10).
#[tokio::test]
async fn flushed_scripts_are_not_noticed_though_a_replica_is_dead() {
    let mut cluster = Cluster::start(3, 1).await;
    let limiter = open(&cluster).await;
    let users = users_by_node(&cluster, 4).await;
    cluster.kill(5);
    let load = Load::start(&limiter, users.values().flatten(), MANY);
    for _ in 0..30 {
        for place in 0..3 {
            cluster.ask::<()>(place, &["SCRIPT", "FLUSH"]).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let samples = load.end().await;
    assert!(reasons(&samples).is_empty(), "{:?}", reasons(&samples));
    for user in users.values().flatten() {
        let admitted = samples.iter().filter(|s| s.user == *user).count() as u64;
        assert_eq!(units(&cluster, user).await, admitted, "{user}");
    }
}

/// Goal: while nodes do not know whose a slot is, who has it decides. They say so of a primary's slots
/// when it has become a replica and they have not heard whose.
#[tokio::test]
async fn a_slot_that_nodes_call_nobodys_stays_with_whom_it_is() {
    let cluster = Cluster::start(3, 0).await;
    let limiter = open(&cluster).await;
    let user = users_by_node(&cluster, 1).await[&2][0].clone();
    let slot = cluster.slot_of(&key_of(&user)).await.to_string();
    let (started, mut forgotten) = (Instant::now(), 0);
    // For as long as the map is read twice.
    while started.elapsed() < Duration::from_secs(6) {
        for place in 0..2 {
            // Refused where it is nobody's already; soon the node that has it tells the others again.
            let forgot = cluster.try_ask::<()>(place, &["CLUSTER", "DELSLOTS", &slot]).await;
            forgotten += u32::from(forgot.is_ok());
        }
        let decided = limiter.admit(&request(&user, MANY, MANY, 1)).await;
        assert!(decided.is_ok(), "{decided:?} after {:?}", started.elapsed());
    }
    assert!(forgotten > 2, "{forgotten}");
}

/// A node whose slots nobody takes over is decided about by policy, and comes back by itself.
#[tokio::test]
async fn a_dead_node_fails_its_own_slots_alone_and_at_once() {
    let mut cluster = Cluster::start(3, 0).await;
    let limiter = open_in_time(&cluster).await;
    let users = users_by_node(&cluster, 1).await;
    cluster.kill(1);
    let started = Instant::now();
    while limiter.state().is_ok() {
        let _ = limiter.admit(&request(&users[&1][0], MANY, MANY, 1)).await;
        assert!(started.elapsed() < Duration::from_secs(5), "the loss was not noticed");
    }
    // Until the others have seen it too, and after.
    for _ in 0..60 {
        let asked = Instant::now();
        let refused = limiter.admit(&request(&users[&1][0], MANY, MANY, 1)).await.unwrap_err();
        assert!(asked.elapsed() < DEADLINE, "known to be down, so at once");
        assert!(matches!(refused, Unavailable::Unreachable { .. }), "{refused}");
        decides_again(&limiter, &users[&0][0]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let broken = limiter.examine().await;
    let address = cluster.address(1);
    assert!(broken.iter().any(|one| one.said.contains(&address)), "{broken:?}");
    cluster.start_again(1).await;
    decides_again(&limiter, &users[&1][0]).await;
    assert_eq!(cluster.node_of(cluster.slot_of(&key_of(&users[&1][0])).await).await, 1);
}
