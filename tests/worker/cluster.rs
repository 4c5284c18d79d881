//! A worker on a cluster: what a client and an operator see of a node that is lost, and of a slot
//! that moves.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;
use transom_core::Identity;
use transom_redis::Keyspace;
use transom_tests::Cluster;

use crate::client::{get, send};
use crate::process::{LOOK_AGAIN, Worker};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the check listener says of a user.
async fn decided(worker: &Worker, user: &str) -> Value {
    let asked = json!({"identity": format!("user:{user}"), "path": "/"}).to_string();
    let reply = send(worker.check, "POST", "/v1/decide", &[], &asked).await;
    assert_eq!(reply.status(), 200, "{reply:?}");
    serde_json::from_str(reply.body()).expect("JSON")
}

async fn slot_of(cluster: &Cluster, user: &str) -> u16 {
    let identity = Identity::user(user).expect("a user id");
    cluster.slot_of(&Keyspace::new("transom:1").overrides(&identity)).await
}

/// A user whose slot is on this node.
async fn user_on(cluster: &Cluster, place: usize) -> String {
    for n in 0.. {
        let user = format!("user-{n}");
        if cluster.node_of(slot_of(cluster, &user).await).await == place {
            return user;
        }
    }
    unreachable!("some user is on every node");
}

#[tokio::test]
async fn a_lost_node_is_named_and_costs_its_own_slots_alone() {
    let mut cluster = Cluster::start(3, 0).await;
    let nodes = &cluster.urls()[..2];
    let config = format!(
        "[redis]\nmode = \"cluster\"\nnodes = {nodes:?}\ndeadline = \"2 s\"\nknown_denials = false\n"
    );
    let worker = Worker::start(&config).await;
    let (here, there) = (user_on(&cluster, 0).await, user_on(&cluster, 2).await);
    for user in [&here, &there] {
        assert_eq!(decided(&worker, user).await["source"], "redis", "{user}");
    }
    let ready = get(worker.admin, "/readyz").await;
    assert!(ready.body().contains(r#""redis":{"connected":true}"#), "{ready:?}");

    // A slot that has moved, and one that is in two places.
    let slot = slot_of(&cluster, &here).await;
    cluster.move_slot(slot, 1).await;
    assert_eq!(decided(&worker, &here).await["source"], "redis");
    cluster.begin_move(slot, 0).await;
    assert_eq!(decided(&worker, &here).await["degraded"], "refused");
    cluster.finish_move(slot, 1, 0).await;
    assert_eq!(decided(&worker, &here).await["source"], "redis");
    let metrics = get(worker.admin, "/metrics").await;
    for (code, times) in [("MOVED", 2), ("TRYAGAIN", 1), ("CLUSTERDOWN", 0)] {
        let line = format!("transom_redis_cluster_refusals_total{{code=\"{code}\"}} {times}");
        assert!(metrics.body().lines().any(|said| said == line), "{line}: {}", metrics.body());
    }

    cluster.kill(2);
    let lost = format!(r#""lost_nodes":["{}"]"#, cluster.address(2));
    let killed = Instant::now();
    while !get(worker.admin, "/readyz").await.body().contains(&lost) {
        decided(&worker, &there).await;
        assert!(killed.elapsed() < PATIENCE, "the loss was not noticed");
        sleep(LOOK_AGAIN).await;
    }
    let ready = get(worker.admin, "/readyz").await;
    assert_eq!(ready.status(), 200, "it serves all the same");
    let answer = decided(&worker, &there).await;
    assert_eq!((&answer["source"], &answer["degraded"]), (&json!("local"), &json!("unreachable")));
    assert_eq!(decided(&worker, &here).await["source"], "redis");

    cluster.start_again(2).await;
    let back = Instant::now();
    while decided(&worker, &there).await["source"] != "redis" {
        assert!(back.elapsed() < PATIENCE, "the node is back and was not found");
        sleep(LOOK_AGAIN).await;
    }
    assert!(!get(worker.admin, "/readyz").await.body().contains("lost_nodes"));
}
