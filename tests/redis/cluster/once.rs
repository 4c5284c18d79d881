//! No request is charged twice (P3).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use transom_tests::Cluster;
use transom_tests::redis_server::free_port;

use super::{Load, MANY, open, units, users_by_node};

/// Passes bytes on, and lets a node execute before it resets the connection: every so many
/// answers, none of which arrives.
struct Resets {
    resets: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Resets {
    async fn start(listen: u16, node: u16, every: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", listen)).await.unwrap();
        let (resets, answers) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&resets);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (answers, resets) = (Arc::clone(&answers), Arc::clone(&counted));
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", node)).await else { return };
                    pass(client, server, every, &answers, &resets).await;
                });
            }
        });
        Self { resets, task }
    }
}

impl Drop for Resets {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    every: u64,
    answers: &AtomicU64,
    resets: &AtomicU64,
) {
    let (mut to_server, mut to_client) = (vec![0; 65_536], vec![0; 65_536]);
    let mut decisions = false;
    loop {
        tokio::select! {
            read = client.read(&mut to_server) => {
                let Ok(n @ 1..) = read else { return };
                // What is no decision is left alone: it may be repeated.
                decisions |= to_server[..n].windows(7).any(|word| word == b"EVALSHA");
                if server.write_all(&to_server[..n]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut to_client) => {
                let Ok(n @ 1..) = read else { return };
                if decisions && answers.fetch_add(1, Ordering::Relaxed) % every == every - 1 {
                    resets.fetch_add(1, Ordering::Relaxed);
                    let _ = client.set_zero_linger();
                    return;
                }
                if client.write_all(&to_client[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Goal: a decision that was executed and whose answer was lost is not sent again. Method: every
/// node is reached through a proxy that resets connections after the node has answered; the units
/// that the nodes keep are then held against the decisions.
#[tokio::test]
async fn a_decision_whose_answer_is_lost_is_charged_once() {
    let announced: std::sync::Mutex<HashMap<u16, u16>> = std::sync::Mutex::default();
    let cluster = Cluster::start_with(3, 0, |port| {
        let proxy = free_port();
        announced.lock().unwrap().insert(port, proxy);
        vec!["--cluster-announce-port".into(), proxy.to_string()]
    })
    .await;
    let announced = announced.into_inner().unwrap();
    let mut proxies = Vec::new();
    for (node, proxy) in announced {
        proxies.push(Resets::start(proxy, node, 40).await);
    }
    let limiter = open(&cluster).await;
    let users = users_by_node(&cluster, 8).await;
    let load = Load::start(&limiter, users.values().flatten(), MANY);
    let resets = || proxies.iter().map(|proxy| proxy.resets.load(Ordering::Relaxed)).sum::<u64>();
    let started = std::time::Instant::now();
    while resets() < 300 {
        assert!(started.elapsed() < Duration::from_secs(50), "only {} resets", resets());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let samples = load.end().await;
    let mut unknown_at_all = 0;
    for user in users.values().flatten() {
        let of_user: Vec<_> = samples.iter().filter(|s| s.user == *user).collect();
        let admitted = of_user.iter().filter(|s| s.answer.is_ok()).count() as u64;
        let unknown =
            of_user.iter().filter(|s| s.answer.is_err() && s.may_have_charged()).count() as u64;
        let kept = units(&cluster, user).await;
        assert!(
            (admitted..=admitted + unknown).contains(&kept),
            "{user}: {kept} units for {admitted} decisions and {unknown} unknown outcomes"
        );
        unknown_at_all += unknown;
    }
    assert!(unknown_at_all >= 100, "{unknown_at_all} answers were lost");
}
