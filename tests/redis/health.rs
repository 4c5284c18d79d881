//! The health of connections: what is dead is replaced, what leads to the wrong server is left, and
//! nobody hammers at a server that is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use transom_core::{Limiter, Unavailable};
use transom_redis::{RedisLimiter, Settings};
use transom_tests::RedisServer;
use transom_tests::fake_redis::{FakeRedis, Reaction};

use crate::setup::{key, request};

/// A dead connection is replaced this long after the first request that was not answered.
const REPLACED_WITHIN: Duration = Duration::from_secs(2);
/// A server that became a replica is left, and its successor found, within this.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(1);

/// In place of a port: connections are closed at once, or taken and never carry anything.
const CLOSED: u16 = 0;
const HOLE: u16 = 1;

/// What stands between a worker and a server, at the level of bytes.
struct Proxy {
    url: String,
    accepted: Arc<AtomicU32>,
    /// The port that new connections are led to; [`CLOSED`] or [`HOLE`].
    target: Arc<AtomicU16>,
    /// Connections that were made before this moves carry nothing any more, and stay open.
    hole: watch::Sender<()>,
}

impl Proxy {
    async fn start(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let target = Arc::new(AtomicU16::new(port(server)));
        let (accepted, hole) = (Arc::new(AtomicU32::new(0)), watch::Sender::new(()));
        let (count, to, holes) = (Arc::clone(&accepted), Arc::clone(&target), hole.clone());
        tokio::spawn(async move {
            loop {
                let (mut inward, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let to = to.load(Ordering::Relaxed);
                let mut hole = holes.subscribe();
                tokio::spawn(async move {
                    match to {
                        CLOSED => return,
                        HOLE => std::future::pending().await,
                        _port => {}
                    }
                    let mut outward = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut inward, &mut outward) => {}
                        _ = hole.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { url, accepted, target, hole }
    }

    /// From now on new connections are led elsewhere, as when a name leads to another address.
    fn lead_to(&self, port: u16) {
        self.target.store(port, Ordering::Relaxed);
    }

    fn swallow_open_connections(&self) {
        self.hole.send_replace(());
    }
}

fn port(server: &RedisServer) -> u16 {
    server.url.rsplit(':').next().unwrap().parse().unwrap()
}

/// A deadline that a loaded machine keeps, as far as these tests go.
fn settings(url: &str) -> Settings {
    Settings { deadline: Duration::from_millis(250), ..Settings::new(url) }
}

async fn connected(url: &str) -> RedisLimiter {
    let limiter = RedisLimiter::open(&settings(url)).unwrap();
    within(Duration::from_secs(20), "decides", async || is_decided(&limiter).await).await;
    limiter
}

/// Waits until something holds.
async fn within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn is_decided(limiter: &RedisLimiter) -> bool {
    limiter.admit(&request("a", 1_000_000, 1_000_000, 1)).await.is_ok()
}

async fn tell(server: &RedisServer, words: &[&str]) {
    let mut connection = server.connect().await;
    redis::cmd(words[0]).arg(&words[1..]).exec_async(&mut connection).await.unwrap();
}

#[tokio::test]
async fn connections_that_carry_nothing_any_more_are_replaced_under_load() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(&server).await;
    let limiter = connected(&proxy.url).await;
    proxy.swallow_open_connections();
    assert!(!is_decided(&limiter).await, "the connections were to be dead");
    within(REPLACED_WITHIN, "replaced", async || is_decided(&limiter).await).await;
}

#[tokio::test]
async fn connections_that_nobody_uses_are_replaced_too() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(&server).await;
    let limiter = connected(&proxy.url).await;
    proxy.swallow_open_connections();
    tokio::time::sleep(REPLACED_WITHIN).await;
    for _ in 0..10 {
        assert!(is_decided(&limiter).await, "a request met a dead connection");
    }
    // What operators do goes over a third.
    limiter.peek(&request("a", 9, 9, 1)).await.unwrap();
}

/// Goal: a denial of a replica, which writes nothing and so meets no error, is not believed.
/// Method: two servers behind one address; the first becomes a replica and keeps its connections
/// open, as a managed service does it, and the address then leads to the second.
#[tokio::test]
async fn a_server_that_became_a_replica_is_left_though_it_goes_on_denying() {
    let (old, new) = (RedisServer::process(&[]).await, RedisServer::process(&[]).await);
    let proxy = Proxy::start(&old).await;
    let limiter = connected(&proxy.url).await;
    let denied = request("denied", 1, 1, 1);
    assert!(limiter.admit(&denied).await.unwrap().allowed);

    let asking = {
        let (limiter, denied) = (limiter.clone(), denied.clone());
        tokio::spawn(async move {
            // No lane is ever idle.
            loop {
                let _ = limiter.admit(&denied).await;
                // While no lane is connected nothing is waited for.
                tokio::task::yield_now().await;
            }
        })
    };
    tell(&old, &["REPLICAOF", "127.0.0.1", &port(&new).to_string()]).await;
    let refused = || limiter.state().err().map_or(String::new(), |reason| reason.to_string());
    let is_left = async || refused().contains("it is a replica, which cannot admit");
    within(FOLLOWED_WITHIN, "the replica is left", is_left).await;
    let refused = limiter.admit(&denied).await.unwrap_err();
    assert!(matches!(refused, Unavailable::Unreachable { .. }), "{refused}");

    proxy.lead_to(port(&new));
    let is_found = async || limiter.admit(&denied).await.is_ok();
    within(FOLLOWED_WITHIN, "its successor is found", is_found).await;
    asking.abort();
    let mut behind = new.connect().await;
    let key = key(&denied, transom_core::Window::Minute);
    let members: u32 = redis::cmd("ZCARD").arg(key).query_async(&mut behind).await.unwrap();
    assert_eq!(members, 1, "the successor had not seen the user before");
}

#[tokio::test]
async fn a_replica_that_becomes_a_master_again_is_used_again() {
    let server = RedisServer::process(&[]).await;
    let limiter = connected(&server.url).await;
    tell(&server, &["REPLICAOF", "127.0.0.1", "1"]).await;
    within(FOLLOWED_WITHIN, "left", async || limiter.state().is_err()).await;
    tell(&server, &["REPLICAOF", "NO", "ONE"]).await;
    within(FOLLOWED_WITHIN, "used again", async || is_decided(&limiter).await).await;
}

/// Goal: no attempt follows another one without a pause. Method: attempts are counted for a while,
/// on two lanes and the connection of what is not a decision.
#[tokio::test]
async fn a_server_that_is_gone_is_asked_for_a_few_times_a_second() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(&server).await;
    proxy.lead_to(CLOSED);
    let limiter = RedisLimiter::open(&settings(&proxy.url)).unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        let _ = limiter.admit(&request("a", 9, 9, 1)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let attempts = proxy.accepted.load(Ordering::Relaxed);
    // The shortest pauses: 25, 50, 100, then 125 ms.
    let most = 3 * (4 + u32::try_from(started.elapsed().as_millis()).unwrap() / 125);
    assert!((3..=most).contains(&attempts), "{attempts} attempts, not {most}");
    proxy.lead_to(port(&server));
    within(FOLLOWED_WITHIN, "found again", async || is_decided(&limiter).await).await;
}

/// Goal: a worker is not still waiting for an attempt of the time before when the server is back.
#[tokio::test]
async fn a_server_that_was_behind_a_black_hole_is_found_within_a_second_of_its_return() {
    let server = RedisServer::start().await;
    for away_ms in [300, 1_200, 1_600, 2_000] {
        let proxy = Proxy::start(&server).await;
        // One lane, which no other one helps out.
        let limiter = RedisLimiter::open(&Settings { lanes: 1, ..settings(&proxy.url) }).unwrap();
        within(Duration::from_secs(20), "decides", async || is_decided(&limiter).await).await;
        proxy.lead_to(HOLE);
        proxy.swallow_open_connections();
        let gone = Instant::now();
        while gone.elapsed() < Duration::from_millis(away_ms) {
            assert!(!is_decided(&limiter).await);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        proxy.lead_to(port(&server));
        within(FOLLOWED_WITHIN, "found again", async || is_decided(&limiter).await).await;
    }
}

/// Goal: where the server does not tell its role a worker goes on as well as it can.
#[tokio::test]
async fn a_user_without_the_right_to_ask_for_the_role_decides_all_the_same() {
    let server = RedisServer::start().await;
    tell(&server, &["ACL", "SETUSER", "worker", "on", ">s3cret", "~*", "+@all", "-role"]).await;
    let url = server.url.replace("redis://", "redis://worker:s3cret@");
    let limiter = connected(&url).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(is_decided(&limiter).await);
}

/// Goal: a server that passes every check and then says that it is a replica is left, and found
/// again with pauses between. Method: one that says so to every call, for two seconds.
#[tokio::test]
async fn a_server_that_fails_its_first_call_is_not_connected_to_without_a_pause() {
    let refusal = "-READONLY You can't write against a read only replica.\r\n";
    let server = FakeRedis::start(Reaction::Reply(refusal.to_owned())).await;
    let limiter = RedisLimiter::open(&Settings::new(&server.url())).unwrap();
    limiter.connected().await.unwrap();
    let (asked, started) = (request("a", 60, 60, 1), Instant::now());
    while started.elapsed() < Duration::from_secs(2) {
        assert!(limiter.admit(&asked).await.is_err());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Two lanes with at least an eighth of a second between, and the one connection beside them.
    let made = server.accepted();
    assert!((4..=2 * 17 + 2).contains(&made), "{made} connections in two seconds");
}
