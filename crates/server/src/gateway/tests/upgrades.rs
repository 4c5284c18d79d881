//! WebSocket and the like.

use std::time::Duration;

use super::support::{Running, Setup, Stage, Wire, gateway};
use crate::listen::ListenSettings;

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: api\r\nconnection: keep-alive, Upgrade\r\n\
                   upgrade: websocket\r\nsec-websocket-key: x\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n\
                     upgrade: websocket\r\nsec-websocket-accept: y\r\n\r\n";

/// Client and upstream of an open tunnel.
async fn tunnel(gateway: &Running, stage: &Stage) -> (Wire, Wire) {
    let mut client = gateway.send(ASK).await;
    let mut upstream = stage.accept().await;
    let head = upstream.head().await;
    assert_eq!((head.one("connection"), head.one("upgrade")), ("upgrade", "websocket"));
    assert_eq!(head.one("sec-websocket-key"), "x");
    upstream.send(AGREE).await;
    let head = client.head().await;
    assert_eq!(head.first, "HTTP/1.1 101 Switching Protocols");
    assert_eq!((head.one("connection"), head.one("upgrade")), ("upgrade", "websocket"));
    assert_eq!(head.one("sec-websocket-accept"), "y");
    head.is_limited();
    (client, upstream)
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let (mut client, mut upstream) = tunnel(&gateway, &stage).await;
    for turn in ["one.", "two."] {
        client.send(turn).await;
        assert_eq!(upstream.until(".").await, turn);
        upstream.send(turn).await;
        assert_eq!(client.until(".").await, turn);
    }
}

#[tokio::test]
async fn bytes_right_behind_the_handshake_are_not_lost() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let mut client = gateway.send(&format!("{ASK}early.")).await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream.send(&format!("{AGREE}too.")).await;
    client.head().await;
    assert_eq!(client.until(".").await, "too.");
    assert_eq!(upstream.until(".").await, "early.");
}

#[tokio::test]
async fn a_tunnel_ends_when_either_side_ends() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let (client, mut upstream) = tunnel(&gateway, &stage).await;
    drop(client);
    upstream.closed().await;
    let (mut client, mut upstream) = tunnel(&gateway, &stage).await;
    upstream.send("bye.").await;
    drop(upstream);
    assert_eq!(client.rest().await, "bye.");
}

#[tokio::test]
async fn a_side_that_has_ended_hears_the_other_out() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let (mut client, mut upstream) = tunnel(&gateway, &stage).await;
    client.send("bye.").await;
    client.end().await;
    assert_eq!(upstream.rest().await, "bye.");
    upstream.send("and so long.").await;
    drop(upstream);
    assert_eq!(client.rest().await, "and so long.");
}

#[tokio::test]
async fn an_upstream_may_decline() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let mut client = gateway.send(ASK).await;
    let mut upstream = stage.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 400 Bad Request\r\nupgrade: websocket\r\ncontent-length: 0\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(head.first, "HTTP/1.1 400 Bad Request");
    head.is_limited();
    assert!(!head.has("upgrade"));
}

#[tokio::test]
async fn another_version_of_http_is_not_asked_for() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let ask = "GET / HTTP/1.1\r\nhost: api\r\nconnection: upgrade, http2-settings\r\n\
               upgrade: h2c\r\nhttp2-settings: AAM\r\n\r\n";
    let _client = gateway.send(ask).await;
    let head = stage.accept().await.head().await;
    for gone in ["upgrade", "connection", "http2-settings"] {
        assert!(!head.has(gone), "{head:?}");
    }
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_502() {
    let other = ASK.replace("upgrade: websocket", "upgrade: other");
    for ask in ["GET / HTTP/1.1\r\nhost: api\r\n\r\n", &other] {
        let stage = Stage::new().await;
        let gateway = gateway(&stage).await;
        let mut client = gateway.send(ask).await;
        let mut upstream = stage.accept().await;
        upstream.head().await;
        upstream.send(AGREE).await;
        let head = client.head().await;
        assert_eq!(head.first, "HTTP/1.1 502 Bad Gateway");
        head.is_limited();
        upstream.closed().await;
    }
}

#[tokio::test]
async fn shutdown_waits_for_a_tunnel_and_then_cuts_it() {
    let stage = Stage::new().await;
    let drain = Duration::from_millis(100);
    let listen = ListenSettings { drain, ..ListenSettings::default() };
    let gateway = Setup { listen, ..Setup::default() }.before(&stage).await;
    let (mut client, mut upstream) = tunnel(&gateway, &stage).await;
    gateway.shut_down();
    client.send("still.").await;
    assert_eq!(upstream.until(".").await, "still.");
    assert_eq!(gateway.ended().await.cut, 1);
    client.closed().await;
    upstream.closed().await;
}

#[tokio::test]
async fn shutdown_is_over_when_the_last_tunnel_ends() {
    let stage = Stage::new().await;
    let gateway = gateway(&stage).await;
    let (client, _upstream) = tunnel(&gateway, &stage).await;
    gateway.shut_down();
    drop(client);
    assert_eq!(gateway.ended().await.cut, 0);
}
