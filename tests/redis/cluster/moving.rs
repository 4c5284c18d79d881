//! Slots that move under load.

use std::collections::HashMap;
use std::time::Duration;

use transom_core::Limiter;
use transom_tests::Cluster;

use super::{Load, MANY, key_of, open, reasons, refused_with, units, users_by_node};
use crate::setup::request;

/// Goal: resharding costs the identities of the slot that moves their decisions for as long as its
/// keys are in two places, and nobody else anything (P15). Method: slots of known users go round
/// the nodes under load.
#[tokio::test]
async fn slots_move_under_load_and_nothing_is_lost_or_admitted_twice() {
    let cluster = Cluster::start(3, 0).await;
    let limiter = open(&cluster).await;
    let users = users_by_node(&cluster, 4).await;
    let load = Load::start(&limiter, users.values().flatten(), MANY);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let movers: Vec<_> = users.values().flat_map(|some| &some[..2]).collect();
    for step in 1..3 {
        for user in &movers {
            let slot = cluster.slot_of(&key_of(user)).await;
            let to = (cluster.node_of(slot).await + step) % 3;
            let from = cluster.begin_move(slot, to).await;
            // Its keys are in one place yet, and some have not been made.
            tokio::time::sleep(Duration::from_millis(20)).await;
            cluster.finish_move(slot, from, to).await;
        }
    }
    let samples = load.end().await;
    let said = reasons(&samples);
    for sample in &samples {
        assert!(
            sample.answer.is_ok() || refused_with(&sample.answer, "TRYAGAIN"),
            "{sample:?} of {said:?}"
        );
        let moved = movers.iter().any(|user| **user == sample.user);
        assert!(sample.answer.is_ok() || moved, "the slot of {} did not move", sample.user);
    }
    assert!(!said.is_empty(), "no slot was seen in two places");
    // All is known by now: each user has what it was admitted, no less and no more.
    let mut admitted: HashMap<&str, u64> = HashMap::new();
    for sample in &samples {
        let decided = sample.answer.as_ref().is_ok_and(|decision| decision.allowed);
        *admitted.entry(&sample.user).or_default() += u64::from(decided);
    }
    for (user, admitted) in admitted {
        assert_eq!(units(&cluster, user).await, admitted, "{user}");
        limiter.admit(&request(user, MANY, MANY, 1)).await.unwrap();
    }
}

/// A limit holds while its slot moves back and forth.
#[tokio::test]
async fn a_limit_holds_while_its_slot_moves() {
    let cluster = Cluster::start(3, 0).await;
    let limiter = open(&cluster).await;
    let slot = cluster.slot_of(&key_of("hot")).await;
    let users: Vec<_> = vec!["hot".to_owned(); 8];
    let load = Load::start(&limiter, &users, 50);
    for _ in 0..4 {
        let to = (cluster.node_of(slot).await + 1) % 3;
        cluster.move_slot(slot, to).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let samples = load.end().await;
    let admitted = samples.iter().filter(|s| s.answer.as_ref().is_ok_and(|d| d.allowed)).count();
    let span = samples.iter().map(|s| s.sent).max().zip(samples.iter().map(|s| s.sent).min());
    let seconds = span.map_or(0, |(last, first)| (last - first).as_secs());
    assert!(seconds < 55, "the minute must not end meanwhile");
    assert_eq!(admitted, 50, "of {} requests: {:?}", samples.len(), reasons(&samples));
}

/// Goal: a request for a slot that is on its way goes to where its keys are. Method: a slot that
/// has no keys is begun to move, and not finished: the old node says ASK, the new one lacks keys
/// of the identity and says TRYAGAIN; once all four keys are there it decides.
#[tokio::test]
async fn a_request_follows_ask_to_the_node_that_has_its_keys() {
    let cluster = Cluster::start(2, 0).await;
    let limiter = open(&cluster).await;
    let slot = cluster.slot_of(&key_of("a")).await;
    let from = cluster.node_of(slot).await;
    let to = 1 - from;
    cluster.begin_move(slot, to).await;
    let asked = request("a", 60, 60, 1);
    let answer = limiter.admit(&asked).await;
    assert!(refused_with(&answer, "TRYAGAIN"), "{answer:?}");

    let mut connection = cluster.connect(to).await.unwrap();
    for (key, command) in [
        ("default:minute", "ZADD"),
        ("default:second", "ZADD"),
        ("override", "HSET"),
        ("penalty", "HSET"),
    ] {
        let mut both = redis::pipe();
        both.cmd("ASKING").cmd(command).arg(format!("transom:1:{{user:a}}:{key}"));
        let words = if command == "ZADD" { ["1", "1"] } else { ["x", "y"] };
        both.arg(&words);
        both.exec_async(&mut connection).await.unwrap();
    }
    let decision = limiter.admit(&asked).await.unwrap();
    assert!(decision.allowed);
    assert!(limiter.peek(&asked).await.unwrap().minute.used >= 1);
    cluster.finish_move(slot, from, to).await;
    assert!(limiter.admit(&asked).await.unwrap().allowed);
}
