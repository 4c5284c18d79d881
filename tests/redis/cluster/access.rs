//! TLS and an ACL user, on every node.

use transom_redis::{RedisLimiter, Servers, Settings, Severity, Tls};
use transom_tests::redis_server::{free_port, has_tls};
use transom_tests::{Cluster, not_run};

use super::settings_for;
use crate::acl::{CLUSTER_RIGHTS, RIGHTS, operates};
use crate::connection::{certificates, decides};
use crate::setup::{acl_log, settings};

async fn add_user(cluster: &Cluster, name: &str, rights: &str) {
    for place in 0..cluster.primaries() {
        let mut words = vec!["ACL", "SETUSER", name, "on", ">s3cret"];
        words.extend(rights.split_whitespace());
        cluster.ask::<()>(place, &words).await;
    }
}

fn as_user(cluster: &Cluster, name: &str) -> Settings {
    let with_user = |url: &String| url.replace("redis://", &format!("redis://{name}:s3cret@"));
    let urls = cluster.urls().iter().map(with_user).collect();
    Settings { servers: Servers::Cluster(urls), ..settings_for(cluster) }
}

#[tokio::test]
async fn an_acl_user_with_the_least_rights_carries_decisions_on_every_node() {
    let cluster = Cluster::start(3, 0).await;
    let rights = format!("{RIGHTS} {CLUSTER_RIGHTS}");
    add_user(&cluster, "worker", &rights).await;
    let settings = as_user(&cluster, "worker");
    decides(&settings).await.unwrap();
    let limiter = RedisLimiter::open(&settings).unwrap();
    limiter.connected().await.unwrap();
    operates(&limiter).await.unwrap();
    let examined = limiter.examine().await;
    assert!(examined.iter().all(|one| one.severity != Severity::Broken), "{examined:?}");
    for place in 0..3 {
        let refused = acl_log(&mut cluster.connect(place).await.unwrap()).await;
        assert!(refused.is_empty(), "{refused:?}");
    }

    // Less one: it is named, with the node.
    add_user(&cluster, "lacking", &rights.replace("+asking", "")).await;
    let limiter = RedisLimiter::open(&as_user(&cluster, "lacking")).unwrap();
    let examined = limiter.examine().await;
    let said = &examined.iter().find(|one| one.what == "rights").unwrap().said;
    assert!(said.contains(&format!("ASKING on {}", cluster.address(2))), "{said}");
    add_user(&cluster, "blind", &rights.replace("+cluster|slots", "")).await;
    let limiter = RedisLimiter::open(&as_user(&cluster, "blind")).unwrap();
    let examined = limiter.examine().await;
    // Redis 6.2 names the command alone.
    assert!(examined[0].said.to_lowercase().contains("cluster"), "{examined:?}");
    assert!(examined[0].said.contains("the README lists the rights"), "{examined:?}");
}

#[tokio::test]
async fn tls_carries_decisions_to_every_node() {
    if !has_tls() {
        return not_run("this server was built without TLS");
    }
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let ports = std::sync::Mutex::new(Vec::new());
    let cluster = Cluster::start_with(3, 0, |port| {
        let tls_port = free_port();
        ports.lock().unwrap().push(tls_port);
        [
            ["--tls-port", &tls_port.to_string()],
            ["--tls-cluster", "yes"],
            ["--cluster-port", &(port + 10_000).to_string()],
            ["--tls-cert-file", &path("server.pem")],
            ["--tls-key-file", &path("server.key")],
            ["--tls-ca-cert-file", &path("ca.pem")],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
    })
    .await;
    let ports = ports.into_inner().unwrap();
    let servers = Servers::Cluster(vec![format!("rediss://127.0.0.1:{}", ports[0])]);
    let client = Some((read("client.pem"), read("client.key")));
    let tls = Tls { ca: Some(read("ca.pem")), client };
    let with = |tls: Tls| Settings { servers: servers.clone(), tls, ..settings("") };
    decides(&with(tls.clone())).await.unwrap();
    let limiter = RedisLimiter::open(&with(tls.clone())).unwrap();
    limiter.connected().await.unwrap();
    operates(&limiter).await.unwrap();
    let examined = limiter.examine().await;
    for port in &ports[1..] {
        let named = examined.iter().any(|one| one.said.contains(&format!("127.0.0.1:{port}")));
        assert!(named, "{port} is asked over TLS: {examined:?}");
    }
    assert!(decides(&with(Tls { ca: None, ..tls })).await.is_err());
    drop(cluster);
}
