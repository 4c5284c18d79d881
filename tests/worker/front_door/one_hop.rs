//! What a client cannot say to the upstream, and cannot keep the worker from saying.

use serde_json::Value;

use super::recorder::{Manner, Recorder};
use super::*;
use crate::client::{Reply, send};

/// The header fields that the built-in echo has got.
async fn upstream_sees(worker: &Worker, lines: &[&str]) -> (Value, Reply) {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    let reply = send(worker.gateway, "GET", "/", &lines, "").await;
    assert_eq!(reply.status(), 200, "{reply:?}");
    let echo: Value = serde_json::from_str(reply.body()).expect("JSON");
    (echo["headers"].clone(), reply)
}

#[tokio::test]
async fn connection_takes_away_nothing_that_the_worker_says() {
    let worker = worker(None, &[]).await;
    let (seen, reply) = upstream_sees(
        &worker,
        &[
            "Connection: x-forwarded-for, x-forwarded-proto, x-forwarded-host, forwarded, x-real-ip",
            "Connection: x-request-id, traceparent, tracestate, authorization, host, cookie",
            "Connection: x-ratelimit-limit, x-ratelimit-remaining, X_Forwarded_For",
            "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "Authorization: Bearer x",
        ],
    )
    .await;
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1");
    assert_eq!(seen["x-forwarded-proto"], "http");
    assert_eq!(seen["x-forwarded-host"], worker.gateway.to_string());
    assert_eq!(seen["host"], worker.gateway.to_string());
    assert_eq!(seen["authorization"], "…");
    assert!(seen["traceparent"].is_string(), "{seen}");
    assert_eq!(reply.headers()["x-request-id"], seen["x-request-id"].as_str().expect("an id"));
    assert!(crate::client::is_decided(&reply));
}

#[tokio::test]
async fn no_spelling_of_a_forwarding_field_reaches_the_upstream() {
    const FORGED: &str = "203.0.113.9";
    let forged = [
        "X_Forwarded_For",
        "X-Forwarded_For",
        "X_Forwarded-For",
        "X_Forwarded_Host",
        "X_Real_IP",
        "X-Real_IP",
        "X-Client-IP",
        "True_Client_IP",
        "CF-Connecting-IP",
        "X-Forwarded-For",
        "X-Real-IP",
        "X-Forwarded-Anything",
    ]
    .map(|name| format!("{name}: {FORGED}"));
    let lines: Vec<_> = forged.iter().map(String::as_str).collect();
    let stranger = worker(None, &[]).await;
    let (seen, _) = upstream_sees(&stranger, &lines).await;
    assert!(!seen.to_string().contains(FORGED), "{seen}");
    // A proxy passes on what its client has spelled another way.
    let proxy = worker(None, &[("TRANSOM__IDENTITY__TRUSTED_PROXIES", "127.0.0.1")]).await;
    let (seen, _) = upstream_sees(&proxy, &lines).await;
    assert_eq!(seen["x-forwarded-for"], format!("{FORGED}, 127.0.0.1"));
    let fields = seen.as_object().expect("fields");
    assert!(fields.keys().all(|name| !name.contains('_')), "{seen}");
}

#[tokio::test]
async fn trailers_say_nothing_that_a_head_could_not() {
    let upstream = Recorder::start(Manner::Answer).await;
    let settings = [
        ("TRANSOM__IDENTITY__MODE", "header"),
        ("TRANSOM__IDENTITY__TRUSTED_PROXIES", "192.0.2.1"),
    ];
    let worker = worker(Some(upstream.address), &settings).await;
    let names = "x-sum, x-forwarded-for, x_forwarded_for, forwarded, x-request-id, x-user-id, \
                 x_user_id, connection, cf-connecting-ip";
    let trailers: String = names.split(", ").map(|name| format!("{name}: evil\r\n")).collect();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: api\r\nTE: trailers\r\nConnection: te, close\r\n\
         Trailer: {names}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n{trailers}\r\n"
    );
    let mut client = begin(worker.gateway, request.as_bytes()).await;
    assert!(rest(&mut client, Duration::ZERO).await.starts_with("HTTP/1.1 200 "));
    let heard = upstream.heard().join("");
    assert!(heard.contains("x-sum: evil\r\n"), "{heard}");
    assert_eq!(heard.matches(": evil").count(), 1, "{heard}");
}

#[tokio::test]
async fn another_version_of_http_is_not_asked_for() {
    let upstream = Recorder::start(Manner::Answer).await;
    let worker = worker(Some(upstream.address), &[]).await;
    let request = "GET / HTTP/1.1\r\nHost: api\r\nConnection: upgrade, http2-settings, close\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let mut client = begin(worker.gateway, request.as_bytes()).await;
    assert!(rest(&mut client, Duration::ZERO).await.starts_with("HTTP/1.1 200 "));
    let heard = upstream.heard().join("").to_ascii_lowercase();
    assert!(!heard.contains("upgrade") && !heard.contains("http2-settings"), "{heard}");
}

/// Goal: a script may read why it was refused, where the configuration lets scripts read that.
#[tokio::test]
async fn a_refusal_can_be_read_by_scripts_where_they_may() {
    let denying = "[[policy]]\nname = \"default\"\nminute = 0\nsecond = 0\n";
    for (expose, allowed) in [("true", Some("*")), ("false", None)] {
        let worker = Worker::with(denying, &[("TRANSOM__HEADERS__EXPOSE", expose)]).await;
        let origin = b"Origin: https://app.example".as_slice();
        let reply = send(worker.gateway, "GET", "/", &[origin], "").await;
        assert_eq!(reply.status(), 429);
        let field = reply.headers().get("access-control-allow-origin");
        assert_eq!(field.map(|value| value.to_str().expect("text")), allowed);
        assert!(
            !get(worker.gateway, "/").await.headers().contains_key("access-control-allow-origin")
        );
    }
}
