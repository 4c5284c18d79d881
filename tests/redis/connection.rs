//! Ways to reach Redis: a Unix socket, TLS with a private authority.

use std::path::Path;
use std::process::Command;

use transom_core::{Limiter, Unavailable};
use transom_redis::{RedisLimiter, Settings, Tls};
use transom_tests::RedisServer;
use transom_tests::redis_server::free_port;

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

#[tokio::test]
async fn tls_carries_decisions_and_verifies_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let port = free_port();
    let _server = RedisServer::process(&[
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
    let client = Some((read("client.pem"), read("client.key")));
    let with = |tls: Tls| Settings { tls, ..settings(&format!("rediss://localhost:{port}")) };

    decides(&with(Tls { ca: Some(read("ca.pem")), client: client.clone() })).await.unwrap();
    for (what, tls) in [
        ("an authority that the worker does not know", Tls { ca: None, client }),
        ("a worker without a certificate", Tls { ca: Some(read("ca.pem")), client: None }),
    ] {
        let refused = decides(&with(tls)).await;
        assert!(refused.is_err(), "{what} was accepted");
    }
}
