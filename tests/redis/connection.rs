//! Ways to reach Redis: a Unix socket, TLS with a private authority, an ACL user.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use transom_core::{
    Change, Counts, Denied, Held, Identity, LimitedBy, Limiter, Limits, Mode, Note, Operations,
    PenaltyRules, PolicyName, Request, Scope, Share, Unavailable,
};
use transom_redis::{RedisLimiter, Settings, Tls};
use transom_tests::RedisServer;
use transom_tests::redis_server::{free_port, repository};

use crate::setup::{WITHIN, request, settings};

/// The rights that a worker needs, and nothing else; as in the README.
pub(crate) const RIGHTS: &str = "resetkeys ~transom:1:* resetchannels -@all +evalsha \
    +eval +time +exists +zadd +zrem +zcard +zcount +zrange +zrangebyscore +zremrangebyscore \
    +zremrangebyrank +zincrby +pexpire +persist +pttl \
    +type +del +get +set +incr +hget +hset +hmget +hgetall \
    +hincrby +hkeys +hdel +scan +xadd +xrevrange \
    +info +multi +exec +ping +role";

async fn decides(settings: &Settings) -> Result<(), Unavailable> {
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

/// Everything that an operator may do.
async fn operates(limiter: &RedisLimiter) -> Result<(), Unavailable> {
    let (user, note) = (Identity::user("a").unwrap(), Note::default());
    let lasting = Some(Duration::from_secs(9));
    for lasting in [lasting, None] {
        limiter.set_override(&user, &Scope::All, Limits::DEFAULT, lasting, &note).await?;
        limiter.block(&user, lasting, &note).await?;
    }
    limiter.standings(Held::Override, 9).await?;
    limiter.standings(Held::Block, 9).await?;
    limiter.standing(&user).await?;
    limiter.delete_override(&user, &Scope::All).await?;
    limiter.unblock(&user).await?;
    limiter.marks(&user, &PolicyName::default(), 9).await?;
    let counts = Counts { admitted: 1, ..Counts::default() };
    let denied = |n: u32| Denied { identity: Identity::user(&n.to_string()).unwrap(), denials: 1 };
    limiter.report(&counts, &(0..1_100).map(denied).collect::<Vec<_>>()).await?;
    limiter.traffic().await?;
    limiter.denied(9).await?;
    limiter.set_mode(Some(Mode::Enforce)).await?;
    limiter.fleet_mode().await?;
    limiter.record(&Change::default()).await?;
    limiter.changes(9).await?;
    limiter.api_keys().list(None, 9).await?;
    let rules = PenaltyRules {
        strikes: 0,
        within_us: 1_000_000,
        block_us: 1_000_000,
        max_us: 1_000_000,
        forget_us: 1_000_000,
    };
    let denied = Request { penalty: Some(rules), ..request("b", 0, 0, 1) };
    assert_eq!(limiter.admit(&denied).await?.limited_by, LimitedBy::Penalty);
    Ok(())
}

#[tokio::test]
async fn an_acl_user_with_the_least_rights_carries_decisions() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg("worker").arg("on").arg(">s3cret");
    command.arg(RIGHTS.split_whitespace().collect::<Vec<_>>());
    command.exec_async(&mut connection).await.unwrap();

    let url = server.url.replace("redis://", "redis://worker:s3cret@");
    decides(&settings(&url)).await.unwrap();
    let limiter = RedisLimiter::open(&settings(&url)).unwrap();
    let share = Share::of(7);
    let joined = tokio::spawn({
        let (limiter, share) = (limiter.clone(), share.clone());
        async move { limiter.join(share).await }
    });
    let keys = limiter.api_keys();
    let digest = transom_redis::Digest::of(b"k");
    keys.add(digest, "42", "test").await.unwrap();
    assert!(keys.user_of(digest, WITHIN).await.unwrap().is_some());
    assert!(keys.revoke(digest).await.unwrap());
    let started = Instant::now();
    while share.workers() != 1 {
        assert!(started.elapsed() < Duration::from_secs(20), "the roster was not read twice");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    joined.abort();
    limiter.leave().await;
    operates(&limiter).await.unwrap();

    let mut log = redis::cmd("ACL");
    log.arg("LOG");
    let refused: Vec<redis::Value> = log.query_async(&mut connection).await.unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let shown = readme.replace("\\\n", " ").replace('\'', "");
    let shown: Vec<_> = shown.split_whitespace().collect();
    let rights: Vec<_> = RIGHTS.split_whitespace().collect();
    assert!(shown.windows(rights.len()).any(|words| words == rights), "the README shows others");

    let wrong = server.url.replace("redis://", "redis://worker:wrong@");
    let error = decides(&settings(&wrong)).await.unwrap_err();
    assert!(!error.to_string().contains("wrong@"), "{error}");
    assert!(matches!(error, Unavailable::Unreachable { .. }), "{error}");
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A private authority, and a server's and a client's certificate signed by it.
fn certificates(folder: &Path) {
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
