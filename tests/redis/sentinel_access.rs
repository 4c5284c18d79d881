//! Sentinels that are not there, know nothing or say the wrong thing; log-ins and TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use transom_core::Limiter;
use transom_redis::{RedisLimiter, Sentinels as Watchers, Servers, Settings, Tls};
use transom_tests::redis_server::{free_port, has_tls};
use transom_tests::sentinel::{Access, MASTER, Sentinels};
use transom_tests::{RedisServer, not_run};

use crate::acl::{RIGHTS, SENTINEL_RIGHTS};
use crate::connection::certificates;
use crate::sentinel::{FOLLOWED_WITHIN, connected, settings, until};
use crate::setup::{WITHIN, acl_log, request};

/// What the state says, once it says more than that nothing was tried.
async fn reason(limiter: &RedisLimiter, says: &str) -> String {
    let said = || limiter.state().err().map_or(String::new(), |error| error.to_string());
    until(says, async || said().contains(says)).await;
    said()
}

#[tokio::test]
async fn a_worker_that_starts_before_the_sentinels_finds_the_master_once_they_are_there() {
    let mut cluster = Sentinels::start().await;
    for sentinel in &mut cluster.sentinels {
        sentinel.kill();
    }
    let limiter = RedisLimiter::open(&settings(cluster.urls(""))).unwrap();
    let said = reason(&limiter, "no sentinel names the master limits").await;
    for sentinel in &cluster.sentinels {
        assert!(
            said.contains(&format!("127.0.0.1:{}: Connection refused", sentinel.port)),
            "{said}"
        );
    }
    // A reason that changes all the time would fill the log.
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(limiter.state().unwrap_err().to_string(), said);
    }
    cluster.sentinels[2].start_again();
    until("a decision", async || limiter.admit(&request("a", 9, 9, 1)).await.is_ok()).await;

    // They are not needed again until the master changes.
    cluster.sentinels[2].kill();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(limiter.admit(&request("b", 9, 9, 1)).await.is_ok());
}

#[tokio::test]
async fn a_name_that_no_sentinel_knows_is_told_by_name() {
    let cluster = Sentinels::start().await;
    let watchers = Watchers {
        nodes: cluster.urls(""),
        master: "other".to_owned(),
        user: None,
        password: None,
    };
    let limiter =
        RedisLimiter::open(&Settings { servers: Servers::Sentinel(watchers), ..Settings::new("") });
    let said = reason(&limiter.unwrap(), "no sentinel names the master other").await;
    assert_eq!(said.matches("it knows no such master").count(), 3, "{said}");
    // A node is no sentinel.
    let node = format!("redis://127.0.0.1:{}", cluster.nodes[0].port);
    let limiter = RedisLimiter::open(&settings(vec![node])).unwrap();
    reason(&limiter, "unknown command").await;
    // And a sentinel is no server.
    let limiter = RedisLimiter::open(&Settings::new(&cluster.urls("")[0])).unwrap();
    reason(&limiter, "it is a sentinel; with redis.mode").await;
}

/// A server that says whatever it is asked that the master listens on a port of this machine.
async fn liar(port: &Arc<AtomicU16>) -> String {
    let port = Arc::clone(port);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let port = Arc::clone(&port);
            tokio::spawn(async move {
                let mut question = [0; 512];
                while socket.read(&mut question).await.is_ok_and(|bytes| bytes > 0) {
                    let port = port.load(Ordering::Relaxed).to_string();
                    let length = port.len();
                    let reply = format!("*2\r\n$9\r\n127.0.0.1\r\n${length}\r\n{port}\r\n");
                    if socket.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("redis://{address}")
}

/// Goal: one sentinel that is behind, or lies, keeps nobody from the master.
#[tokio::test]
async fn where_sentinels_disagree_the_one_whose_word_leads_to_a_master_is_believed() {
    let cluster = Sentinels::start().await;
    for wrong in [cluster.nodes[1].port, free_port(), cluster.sentinels[0].port] {
        let mut nodes = cluster.urls("");
        nodes.insert(0, liar(&Arc::new(AtomicU16::new(wrong))).await);
        let limiter = connected(&settings(nodes)).await;
        until("a decision", async || limiter.admit(&request("a", 99, 99, 1)).await.is_ok()).await;
        let mut master = cluster.nodes[0].connect().await;
        let keys: Vec<String> =
            redis::cmd("KEYS").arg("*{user:a}*").query_async(&mut master).await.unwrap();
        assert_eq!(keys.len(), 2, "{keys:?}");
    }
}

/// Goal: a master that the sentinels have given up is given up, though it thinks that it is one still:
/// it may be cut off from all but this worker.
#[tokio::test]
async fn the_word_of_the_sentinels_goes_before_that_of_the_old_master() {
    let servers = [RedisServer::process(&[]).await, RedisServer::process(&[]).await];
    let [old, new] = servers
        .each_ref()
        .map(|server| server.url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap());
    let named = Arc::new(AtomicU16::new(old));
    let limiter = connected(&settings(vec![liar(&named).await])).await;
    let asked = request("a", 1, 1, 1);
    assert!(limiter.admit(&asked).await.unwrap().allowed);
    named.store(new, Ordering::Relaxed);
    let changed = Instant::now();
    while !limiter.admit(&asked).await.is_ok_and(|decision| decision.allowed) {
        assert!(changed.elapsed() < FOLLOWED_WITHIN, "the old one goes on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Goal: sentinels and servers may have log-ins and rights of their own, and TLS throughout.
#[tokio::test]
async fn log_ins_and_tls_hold_for_sentinels_and_master_each_with_its_own_rights() {
    if !has_tls() {
        return not_run("this server was built without TLS");
    }
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let access = Access {
        nodes: vec![format!("user worker on >s3cret {RIGHTS}")],
        sentinels: vec![format!("user watcher on >other {SENTINEL_RIGHTS}")],
        password: Some("of-the-test".to_owned()),
        tls: Some(folder.path().to_owned()),
    };
    let cluster = Sentinels::with(&access).await;
    let with = |user: Option<&str>, password: Option<&str>, login: &str| {
        let watchers = Watchers {
            nodes: cluster.urls(login),
            master: MASTER.to_owned(),
            user: user.map(str::to_owned),
            password: password.map(str::to_owned),
        };
        let ca = Some(std::fs::read(folder.path().join("ca.pem")).unwrap());
        let tls = Tls { ca, client: None };
        let servers = Servers::Sentinel(watchers);
        RedisLimiter::open(&Settings { servers, tls, deadline: WITHIN, ..Settings::new("") })
            .unwrap()
    };
    let limiter = with(Some("watcher"), Some("other"), "worker:s3cret@");
    until("a lane is connected", async || limiter.state().is_ok()).await;
    limiter.admit(&request("a", 9, 9, 1)).await.unwrap();

    for (user, password, login, says) in [
        (None, None, "worker:s3cret@", "Authentication required"),
        (Some("watcher"), Some("wrong"), "worker:s3cret@", "Password authentication failed"),
        (Some("watcher"), Some("other"), "worker:wrong@", "Password authentication failed"),
        (Some("watcher"), Some("other"), "", "Authentication required"),
    ] {
        let said = reason(&with(user, password, login), says).await;
        assert!(!said.contains("wrong"), "{said}");
    }
    for node in cluster.nodes.iter().chain(&cluster.sentinels) {
        let mut connection = node.connect().await;
        for entry in acl_log(&mut connection).await {
            assert_eq!(entry["reason"], "auth", "{entry:?}");
        }
    }
}
