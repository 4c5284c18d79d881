//! What a client says about its own address, from where nobody is trusted and through a proxy.

use std::net::SocketAddr;

use futures_util::future::join_all;

use crate::client::{get, left, number, send};
use crate::process::Worker;

/// More than any test here uses up.
const LIMIT: u64 = 100;

const UNTRUSTED: &str = r#"
[[policy]]
name = "default"
minute = 100
second = 100
"#;

/// The peer of every test is a proxy, and so is whoever calls from 10.0.0.0/8.
const TRUSTED: &str = r#"
[identity]
trusted_proxies = ["127.0.0.1", "10.0.0.0/8"]

[[policy]]
name = "default"
minute = 100
second = 100
"#;

const PEER: &str = "ip:127.0.0.1";
const CLIENT: &str = "ip:203.0.113.9";

/// A head with these lines.
type Lines = Vec<Vec<u8>>;

fn lines(lines: &[&str]) -> Lines {
    lines.iter().map(|line| line.as_bytes().to_vec()).collect()
}

/// `X-Forwarded-For` with a thousand addresses of strangers, and what else comes to its right.
fn a_thousand_hops(last: &str) -> String {
    let hops: Vec<_> =
        (0..1_000).map(|hop| format!("198.18.{}.{}", hop / 250, hop % 250)).collect();
    format!("X-Forwarded-For: {}{last}", hops.join(", "))
}

/// A request to the gateway with these lines: what its caller has left, if it passed.
async fn remaining(gateway: SocketAddr, forged: &Lines) -> Option<u64> {
    let forged: Vec<_> = forged.iter().map(Vec::as_slice).collect();
    let reply = send(gateway, "GET", "/v1/people", &forged, "").await;
    let passes = reply.status() == 200;
    assert!(passes || reply.status() == 429, "{reply:?}");
    passes.then(|| number(&reply, "x-ratelimit-remaining"))
}

/// Sends every head once and expects each to be charged to the same caller.
async fn all_count_on(worker: &Worker, identity: &str, heads: &[Lines]) {
    let mut expected = left(worker.check, identity, "/").await;
    for head in heads {
        expected -= 1;
        let shown: Vec<_> = head.iter().map(|line| String::from_utf8_lossy(line)).collect();
        assert_eq!(remaining(worker.gateway, head).await, Some(expected), "{shown:.200?}");
    }
    assert_eq!(left(worker.check, identity, "/").await, expected);
}

#[tokio::test]
async fn nothing_that_a_stranger_sends_opens_a_second_bucket() {
    let worker = Worker::start(UNTRUSTED).await;
    let mut heads = vec![
        lines(&[]),
        lines(&["X-Forwarded-For: 203.0.113.9"]),
        lines(&["X-Forwarded-For: 203.0.113.9, 127.0.0.1"]),
        lines(&["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 203.0.113.10"]),
        lines(&["x-forwarded-for:203.0.113.9:4711"]),
        lines(&["X-Forwarded-For: [2001:db8::1]:4711"]),
        lines(&["X-Forwarded-For: ::ffff:203.0.113.9"]),
        lines(&["X-Forwarded-For: fe80::1%eth0"]),
        lines(&["X-Forwarded-For: unknown"]),
        lines(&["X-Forwarded-For: ,,, ,"]),
        lines(&["X-Forwarded-For:"]),
        lines(&["X-Forwarded-For: \"203.0.113.9\"; user:42"]),
        lines(&["Forwarded: for=203.0.113.9;proto=https", "Forwarded: for=\"[2001:db8::1]\""]),
        lines(&["X-Real-IP: 203.0.113.9", "X-Client-IP: 203.0.113.9", "True-Client-IP: 1.1.1.1"]),
        lines(&["CF-Connecting-IP: 203.0.113.9", "X-Cluster-Client-IP: 203.0.113.9"]),
        lines(&["X-Forwarded-For: 203.0.113.9", "Connection: x-forwarded-for"]),
        lines(&["Connection: x-forwarded-for, forwarded, host", "Forwarded: for=203.0.113.9"]),
        lines(&[&a_thousand_hops("")]),
        vec![b"X-Forwarded-For: \xff\xfe\xfd, 203.0.113.9".to_vec()],
    ];
    // Many lines: the most that a head may have, beside Host and Connection.
    let many = (0..90).map(|hop| format!("X-Forwarded-For: 198.18.0.{hop}").into_bytes());
    heads.push(many.collect());

    all_count_on(&worker, PEER, &heads).await;
    for other in [CLIENT, "ip:203.0.113.10", "ip:2001:db8::1", "user:42"] {
        assert_eq!(left(worker.check, other, "/").await, LIMIT, "{other}");
    }
}

#[tokio::test]
async fn behind_a_proxy_the_rightmost_stranger_counts() {
    let worker = Worker::start(TRUSTED).await;
    let heads = [
        lines(&["X-Forwarded-For: 203.0.113.9"]),
        lines(&["X-Forwarded-For: 198.51.100.1, 203.0.113.9"]),
        lines(&["X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.9"]),
        lines(&["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.1.2.3, 10.3.2.1"]),
        lines(&["X-Forwarded-For: 198.51.100.2,203.0.113.9,10.1.2.3,127.0.0.1"]),
        lines(&["X-Forwarded-For: junk, 203.0.113.9"]),
        lines(&["X-Forwarded-For: junk", "X-Forwarded-For: 203.0.113.9"]),
        lines(&["X-Forwarded-For: 203.0.113.9:4711"]),
        lines(&["X-Forwarded-For: ::ffff:203.0.113.9"]),
        lines(&["X-Forwarded-For: ::ffff:cb00:7109"]),
        lines(&["X-Forwarded-For: [::ffff:203.0.113.9]:4711"]),
        lines(&["X-Forwarded-For: 203.0.113.9, ::ffff:10.1.2.3"]),
        lines(&["X-Forwarded-For: 203.0.113.9", "Connection: x-forwarded-for"]),
        lines(&["X-Forwarded-For: 203.0.113.9", "Forwarded: for=198.51.100.3"]),
        lines(&["X-Forwarded-For: 203.0.113.9", "X-Real-IP: 198.51.100.4"]),
        lines(&[&a_thousand_hops(", 203.0.113.9")]),
        vec![b"X-Forwarded-For: \xff, 203.0.113.9".to_vec()],
    ];
    all_count_on(&worker, CLIENT, &heads).await;
    assert_eq!(left(worker.check, PEER, "/").await, LIMIT, "the proxy pays for nobody");

    // Nobody to the right of what cannot be read: the proxy itself. All trusted: the leftmost.
    let unread = [
        lines(&[]),
        lines(&["X-Forwarded-For: 203.0.113.9, junk"]),
        lines(&["X-Forwarded-For: 203.0.113.9,"]),
        lines(&["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: unknown"]),
        lines(&["Forwarded: for=203.0.113.9"]),
    ];
    all_count_on(&worker, PEER, &unread).await;
    let trusted = [
        lines(&["X-Forwarded-For: 10.0.0.7, 10.0.0.8, 127.0.0.1"]),
        lines(&["X-Forwarded-For: junk, 10.0.0.7, 127.0.0.1"]),
    ];
    all_count_on(&worker, "ip:10.0.0.7", &trusted).await;
}

/// Goal: one host, which has all of its /64, is one caller.
/// Method: a thousand of its addresses, eight at a time; of them exactly as many pass as may.
#[tokio::test]
async fn a_thousand_addresses_of_one_network_are_one_caller() {
    for config in [UNTRUSTED, TRUSTED] {
        let worker = Worker::start(config).await;
        let gateway = worker.gateway;
        let connections = (0..8_u16).map(|connection| async move {
            let mut passed = 0_u64;
            for host in (connection..1_000).step_by(8) {
                let address = format!("2001:db8:7:7:{:x}::{host:x}", 40_000 + host);
                let forged = lines(&[&format!("X-Forwarded-For: {address}")]);
                passed += u64::from(remaining(gateway, &forged).await.is_some());
            }
            passed
        });
        assert_eq!(join_all(connections).await.iter().sum::<u64>(), LIMIT);
    }
    let worker = Worker::start(TRUSTED).await;
    let neighbour = lines(&["X-Forwarded-For: 2001:db8:7:8::1"]);
    assert_eq!(remaining(worker.gateway, &neighbour).await, Some(LIMIT - 1));
    assert_eq!(left(worker.check, "ip:2001:db8:7:8::", "/").await, LIMIT - 1);
}

/// Goal: a head that is refused before it is read costs nobody anything and opens nothing.
#[tokio::test]
async fn a_head_with_a_thousand_lines_is_refused_and_charged_to_nobody() {
    let worker = Worker::start(TRUSTED).await;
    let hops =
        (0..1_000).map(|hop| format!("X-Forwarded-For: 198.18.0.{}", hop % 250).into_bytes());
    let hops: Lines = hops.collect();
    let forged: Vec<_> = hops.iter().map(Vec::as_slice).collect();
    let reply = send(worker.gateway, "GET", "/", &forged, "").await;
    assert_eq!(reply.status(), 431, "{reply:?}");
    assert_eq!(number(&get(worker.gateway, "/").await, "x-ratelimit-remaining"), LIMIT - 1);
}
