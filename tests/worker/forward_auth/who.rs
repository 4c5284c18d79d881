//! Who is limited behind a proxy, and by which policy.

use serde_json::json;

use super::proxies::Proxy;
use super::{CLIENT, CONFIG, Stand, charged, one};
use crate::client::{is_decided, send_from};
use crate::process::Worker;

/// Goal: who is limited, and for what, is what the proxy sees and not what a client says.
#[tokio::test]
async fn a_client_chooses_neither_who_it_is_nor_what_it_asks_for() {
    let heads: [&[&[u8]]; 12] = [
        &[],
        &[b"X-Forwarded-For: 203.0.113.9"],
        &[b"X-Forwarded-For: 203.0.113.9, 127.0.0.1", b"x-forwarded-for: 203.0.113.10"],
        &[b"X-Forwarded-For: 203.0.113.9", b"Connection: x-forwarded-for, x-forwarded-uri"],
        &[b"X_Forwarded_For: 203.0.113.9"],
        &[b"Forwarded: for=203.0.113.9", b"X-Real-IP: 203.0.113.9"],
        &[b"X-Api-Key: wrong", b"X-User-Id: 42"],
        &[b"Authorization: Bearer wrong", b"X_Api_Key: foo"],
        &[b"X-Original-Method: POST", b"X-Original-URI: /v1/few"],
        &[b"X-Forwarded-Method: POST", b"X-Forwarded-Uri: /v1/few"],
        &[b"X-Forwarded-Host: shop.example", b"X-Original-Host: shop.example"],
        &[b"X-RateLimit-Limit: 7", b"X-RateLimit-Status: 200", b"X-Request-Id: mine"],
    ];
    for proxy in Proxy::ALL {
        let stand = Stand::of(proxy).await;
        for (sent, lines) in (1_u64..).zip(heads) {
            let (reply, got) = stand.passes("GET", "/v1/people", lines, "").await;
            let shown: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
            let expected = charged([("ip:127.0.0.2 default", sent)]);
            assert_eq!(stand.charged().await, expected, "{proxy:?} {shown:?}");
            assert_eq!(one(&reply, "x-ratelimit-limit"), "100", "{proxy:?} {shown:?}");
            // Nor does the API hear it.
            let fields = &got["fields"];
            assert_eq!(fields["x-forwarded-for"], json!(["127.0.0.2"]), "{proxy:?} {shown:?}");
            let host = fields["x-forwarded-host"][0].as_str().expect("a host");
            assert!(host.starts_with("127.0.0.1"), "{proxy:?} {shown:?} {host}");
            for name in ["forwarded", "x_forwarded_for", "x-forwarded-method", "x-forwarded-uri"] {
                assert!(fields[name].is_null(), "{proxy:?} {shown:?} {name}");
            }
            assert_ne!(fields["x-real-ip"], json!(["203.0.113.9"]), "{proxy:?} {shown:?}");
            let id = one(&reply, "x-request-id");
            assert!(!["mine", "of-the-api"].contains(&id), "{reply:?}");
            assert_eq!(fields["x-request-id"], json!([id]), "{proxy:?} {shown:?}");
        }
    }
}

#[tokio::test]
async fn a_user_that_only_the_client_names_is_nobody() {
    for proxy in Proxy::ALL {
        let stand = Stand::of(proxy).await;
        let header = CONFIG.replace("[identity]", "[identity]\nmode = \"header\"");
        let variables = [("TRANSOM__REDIS__URL", stand.redis.url.as_str())];
        let worker = Worker::with(&header, &variables).await;
        let proxy = proxy.start(worker.check, stand.api.address).await;
        let reply = send_from(CLIENT, proxy.address, "GET", "/", &[b"X-User-Id: 42"], "").await;
        assert!(reply.status() == 200 && is_decided(&reply), "{reply:?}");
        assert_eq!(stand.charged().await, charged([("ip:127.0.0.2 default", 1)]));
    }
}

#[tokio::test]
async fn method_path_and_host_find_the_policy() {
    for proxy in Proxy::ALL {
        let stand = Stand::of(proxy).await;
        for (method, target, limit) in [
            ("POST", "/v1/few?q=1", "2"),
            ("GET", "/v1/few", "100"),
            ("POST", "/v1/few/more", "100"),
            ("POST", "//v1/./other/..//%66ew/", "2"),
            ("GET", "/", "100"),
            ("GET", "http://shop.example/v1/people", "50"),
            ("GET", "/v1/people/caf%C3%A9?back=http://shop.example/", "100"),
        ] {
            let (reply, got) = stand.passes(method, target, &[], "").await;
            assert_eq!(one(&reply, "x-ratelimit-limit"), limit, "{proxy:?} {method} {target}");
            let path = target.trim_start_matches("http://shop.example");
            assert_eq!(got["target"], json!(path), "{proxy:?} {method}");
        }
        let preflight: [&[u8]; 2] =
            [b"Origin: https://a.example", b"Access-Control-Request-Method: PUT"];
        let before = stand.charged().await;
        for (method, target, lines) in
            [("OPTIONS", "/v1/people", &preflight[..]), ("GET", "/healthz", &[])]
        {
            let (reply, _) = stand.passes(method, target, lines, "").await;
            assert!(!is_decided(&reply), "{proxy:?} {reply:?}");
        }
        assert_eq!(stand.charged().await, before);
    }
}
