//! Ways to reach Redis: a Unix socket, TLS with a private authority.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use transom_core::{Limiter, Unavailable};
use transom_redis::{RedisLimiter, Settings, Tls};
use transom_tests::chaos::{Chaos, Mode, Way, Which};
use transom_tests::lateness::Sleeper;
use transom_tests::redis_server::{free_port, has_tls};
use transom_tests::{RedisServer, not_run};

use crate::setup::{request, settings};

pub(crate) async fn decides(settings: &Settings) -> Result<(), Unavailable> {
    let limiter = RedisLimiter::open(settings).unwrap();
    limiter.connected().await?;
    let asked = request("a", 60, 2, 1);
    for expected in [true, true, false] {
        assert_eq!(limiter.admit(&asked).await?.allowed, expected);
    }
    assert!(!limiter.peek(&asked).await?.allowed);
    limiter.reset(&asked.identity, &asked.policy.name).await?;
    assert!(limiter.peek(&asked).await?.allowed);
    Ok(())
}

#[tokio::test]
async fn a_unix_socket_carries_decisions() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    let socket = socket.to_str().unwrap();
    let _server = RedisServer::process(&["--unixsocket", socket]).await;
    decides(&settings(&format!("unix://{socket}"))).await.unwrap();
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A private authority, and a server's and a client's certificate signed by it.
pub(crate) fn certificates(folder: &Path) {
    let key = ["-newkey", "rsa:2048", "-nodes"];
    let ca = [
        "req",
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=test authority",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    ];
    openssl(folder, &[&ca[..], &key[..]].concat());
    for (name, extension) in [
        ("server", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ("client", "extendedKeyUsage=clientAuth"),
    ] {
        let (keyout, csr) = (format!("{name}.key"), format!("{name}.csr"));
        let (pem, ext) = (format!("{name}.pem"), format!("{name}.ext"));
        std::fs::write(folder.join(&ext), extension).unwrap();
        let subject = format!("/CN={name}");
        let request = ["req", "-subj", &subject, "-keyout", &keyout, "-out", &csr];
        openssl(folder, &[&request[..], &key[..]].concat());
        openssl(
            folder,
            &[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                &csr,
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-out",
                &pem,
                "-extfile",
                &ext,
            ],
        );
    }
}

/// A server with certificates, its port for TLS, and what a client needs there.
async fn with_tls() -> (RedisServer, u16, Tls) {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let read = |name: &str| std::fs::read(path(name)).unwrap();
    let client = Some((read("client.pem"), read("client.key")));
    let tls = Tls { ca: Some(read("ca.pem")), client };
    let port = free_port();
    let server = RedisServer::process(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path("server.pem"),
        "--tls-key-file",
        &path("server.key"),
        "--tls-ca-cert-file",
        &path("ca.pem"),
    ])
    .await;
    (server, port, tls)
}

#[tokio::test]
async fn tls_carries_decisions_and_verifies_both_sides() {
    if !has_tls() {
        return not_run("this server was built without TLS");
    }
    let (_server, port, tls) = with_tls().await;
    let with = |tls: Tls| Settings { tls, ..settings(&format!("rediss://localhost:{port}")) };

    decides(&with(tls.clone())).await.unwrap();
    for (what, tls) in [
        ("an authority that the worker does not know", Tls { ca: None, ..tls.clone() }),
        ("a worker without a certificate", Tls { client: None, ..tls }),
    ] {
        let refused = decides(&with(tls)).await;
        assert!(refused.is_err(), "{what} was accepted");
    }
}

/// Goal: a handshake that stalls is given up, and no decision takes longer for it than its deadline
/// and 100 ms, beyond what the machine itself is late. Method: a proxy that takes connections and
/// loses what is sent on them, and then does not any more.
#[tokio::test]
async fn a_handshake_that_stalls_costs_no_more_than_the_deadline() {
    if !has_tls() {
        return not_run("this server was built without TLS");
    }
    let (_server, port, tls) = with_tls().await;
    let proxy = Chaos::start((Ipv4Addr::LOCALHOST, port).into()).await;
    proxy.set(Mode::BlackHole(Way::Both), Which::All).await;
    let deadline = Duration::from_millis(50);
    let url = format!("rediss://{}", proxy.address);
    let limiter = RedisLimiter::open(&Settings { deadline, tls, ..settings(&url) }).unwrap();
    let asked = request("a", 1_000_000, 1_000_000, 1);

    let (stalled, sleeper, mut took) = (Instant::now(), Sleeper::start(), Vec::new());
    while stalled.elapsed() < Duration::from_secs(2) {
        let sent = Instant::now();
        assert!(limiter.admit(&asked).await.is_err(), "decided, and nothing gets through");
        took.push(sent.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (bound, lateness) = (deadline + Duration::from_millis(100), sleeper.end());
    let late = took.iter().filter(|took| **took > bound).count();
    let excused = lateness.of(took.len().try_into().unwrap(), bound - deadline);
    assert!(late <= usize::try_from(excused).unwrap(), "{late} were late: {took:?}");
    // Two lanes and the connection beside them, each for the second time at least.
    let attempts: usize = proxy.accepts_since(stalled).iter().sum();
    assert!(attempts >= 6, "{attempts} attempts: one that stalls is not given up");

    proxy.set(Mode::Pass, Which::All).await;
    let back = Instant::now();
    while let Err(reason) = limiter.admit(&asked).await {
        assert!(back.elapsed() < Duration::from_secs(1), "after a second: {reason}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
