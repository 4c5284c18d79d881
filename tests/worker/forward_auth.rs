//! What clients meet at an nginx and at a Caddy that ask a worker.

mod api;
mod proxies;
mod undecided;
mod who;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use futures_util::future::join_all;
use serde_json::{Value, json};
use transom_tests::RedisServer;

use self::api::Api;
use self::proxies::Proxy;
use crate::client::{DECIDED, Reply, get, is_decided, number, send, send_from};
use crate::process::Worker;
use crate::proxy_process::ProxyProcess;

/// The limits tell which policy has matched. Windows are as wide as each other, so that no test
/// hangs on how fast it is; the deadline is one that a busy machine keeps.
const CONFIG: &str = r#"
[redis]
deadline = "5s"

[identity]
trusted_proxies = ["127.0.0.1"]

[limiter]
exempt_paths = ["/healthz"]
exempt_preflight = true

[[api_key]]
sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
user = "42"

[[policy]]
name = "default"
minute = 100
second = 100

[[policy]]
name = "few"
methods = ["POST"]
path = "/v1/few"
minute = 2
second = 2

[[policy]]
name = "shop"
host = "shop.example"
minute = 50
second = 50

[[policy]]
name = "allow"
path = "/allow"
on_failure = "allow"
minute = 5
second = 5

[[policy]]
name = "deny"
path = "/deny"
on_failure = "deny"
minute = 5
second = 5
"#;

/// Of the digest in [`CONFIG`].
const KEY: &[u8] = b"X-Api-Key: foo";
/// Where a client is that is not the proxy's machine, as it were.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A proxy, what it asks, and what it forwards to.
#[derive(Debug)]
struct Stand {
    proxy: ProxyProcess,
    worker: Worker,
    api: Api,
    redis: RedisServer,
}

impl Stand {
    async fn with(proxy: Proxy, settings: &str) -> Self {
        let (redis, api) = (RedisServer::start().await, Api::start().await);
        let variables = [("TRANSOM__REDIS__URL", redis.url.as_str())];
        let worker = Worker::with(&format!("{settings}{CONFIG}"), &variables).await;
        let proxy = proxy.start(worker.check, api.address).await;
        Self { proxy, worker, api, redis }
    }

    async fn of(proxy: Proxy) -> Self {
        Self::with(proxy, "").await
    }

    /// How many units of the minute Redis holds, by identity and policy.
    async fn charged(&self) -> BTreeMap<String, u64> {
        let mut connection = self.redis.connect().await;
        let mut command = redis::cmd("KEYS");
        command.arg("transom:1:{*}:*:minute");
        let keys: Vec<String> = command.query_async(&mut connection).await.expect("the keys");
        let mut charged = BTreeMap::new();
        for key in keys {
            let units = redis::cmd("ZCARD").arg(&key).query_async(&mut connection).await;
            let named = key.trim_start_matches("transom:1:{").trim_end_matches(":minute");
            charged.insert(named.replace("}:", " "), units.expect("a sorted set"));
        }
        charged
    }

    /// A request of [`CLIENT`] that passes: the response, and what the API got.
    async fn passes(
        &self,
        method: &str,
        target: &str,
        lines: &[&[u8]],
        body: &str,
    ) -> (Reply, Value) {
        let reply = send_from(CLIENT, self.proxy.address, method, target, lines, body).await;
        assert_eq!(reply.status(), 200, "{reply:?}");
        let got = serde_json::from_str(reply.body()).expect("what the API got");
        (reply, got)
    }
}

fn charged<const N: usize>(of: [(&str, u64); N]) -> BTreeMap<String, u64> {
    of.map(|(who, units)| (who.to_owned(), units)).into()
}

/// The one line of a field.
fn one<'a>(reply: &'a Reply, name: &str) -> &'a str {
    let lines: Vec<_> = reply.headers().get_all(name).iter().collect();
    assert_eq!(lines.len(), 1, "{name}: {reply:?}");
    lines[0].to_str().expect("text")
}

/// What a worker answers to whom it denies under the policy `few`.
fn is_denial(reply: &Reply, message: &str) {
    assert_eq!(reply.status(), 429, "{reply:?}");
    assert!((1..=60).contains(&number(reply, "retry-after")), "{reply:?}");
    let wait = one(reply, "retry-after");
    let body = format!(r#"{{"message":"{message}","status_code":429,"retry_after":{wait}}}"#);
    assert_eq!(reply.body(), &body);
    let limits = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-limited-by"];
    assert_eq!(limits.map(|name| one(reply, name)), ["2", "0", "minute"]);
    assert_eq!(one(reply, "x-ratelimit-reset"), wait);
    assert_eq!(one(reply, "content-type"), "application/json");
    assert_eq!(one(reply, "cache-control"), "no-store");
    assert!(is_decided(reply), "{reply:?}");
}

#[tokio::test]
async fn what_passes_reaches_the_api_whole_and_carries_the_fields_of_the_worker() {
    for proxy in Proxy::ALL {
        let stand =
            Stand::with(proxy, "[headers]\nietf = true\naliases = true\nexpose = true\n").await;
        let body = "x".repeat(100_000);
        for times in 1..=3 {
            let (reply, got) = stand.passes("PUT", "/v1/people?q=a%20b", &[KEY], &body).await;
            assert_eq!(
                (&got["method"], &got["target"]),
                (&json!("PUT"), &json!("/v1/people?q=a%20b"))
            );
            assert_eq!(got["body"], json!(body));
            assert_eq!(got["fields"]["x-api-key"], json!(["foo"]));
            assert_eq!(one(&reply, "x-ratelimit-remaining"), (100 - times).to_string());
            for name in DECIDED {
                assert_ne!(one(&reply, name), "9999");
            }
            assert_eq!(one(&reply, "x-ratelimit-limit-minute"), "100");
            assert_eq!(one(&reply, "x-ratelimit-remaining-minute"), (100 - times).to_string());
            assert!(one(&reply, "ratelimit").starts_with("\"minute\";r="), "{reply:?}");
            assert_eq!(
                one(&reply, "ratelimit-policy"),
                r#""minute";q=100;w=60, "second";q=100;w=1"#
            );
            assert!(one(&reply, "access-control-expose-headers").contains("ratelimit-policy"));
            // What the API says of other things stays as it is.
            assert_eq!(
                (one(&reply, "retry-after"), one(&reply, "cache-control")),
                ("77", "max-age=60")
            );
        }
        assert_eq!(stand.charged().await, charged([("user:42 default", 3)]));
        let (_, got) = stand.passes("GET", "/v1/people", &[], "").await;
        assert_eq!(got["body"], json!(""));
        let head = send_from(CLIENT, stand.proxy.address, "HEAD", "/", &[], "").await;
        assert!(head.status() == 200 && is_decided(&head), "{head:?}");
        let expected = charged([("user:42 default", 3), ("ip:127.0.0.2 default", 2)]);
        assert_eq!(stand.charged().await, expected);
    }
}

#[tokio::test]
async fn exactly_the_limit_passes_and_a_denial_is_the_worker_s() {
    for proxy in Proxy::ALL {
        let stand = Stand::of(proxy).await;
        for (lines, who, identity) in
            [(vec![KEY], "user", "user:42"), (vec![], "IP", "ip:127.0.0.2")]
        {
            let before = stand.api.requests();
            let address = stand.proxy.address;
            let burst =
                (0..20).map(|_| send_from(CLIENT, address, "POST", "/v1/few", &lines, "a body"));
            let replies = join_all(burst).await;
            let (passed, denied): (Vec<_>, Vec<_>) =
                replies.iter().partition(|reply| reply.status() == 200);
            let passed_on = stand.api.requests() - before;
            assert_eq!((passed.len(), denied.len(), passed_on), (2, 18, 2), "{proxy:?}");
            for reply in denied {
                is_denial(reply, &format!("You have exceeded your {who} rate limit."));
            }
            let charged = stand.charged().await;
            assert_eq!(charged[&format!("{identity} few")], 2, "{charged:?}");
        }
        assert_eq!(get(stand.proxy.address, "/v1/few").await.status(), 200);
    }
}

#[tokio::test]
async fn what_the_api_answers_is_passed_on_as_it_is() {
    for proxy in Proxy::ALL {
        let stand = Stand::of(proxy).await;
        for status in [201, 401, 403, 404, 429, 500, 502, 503] {
            let target = format!("/status/{status}");
            let reply = send(stand.proxy.address, "GET", &target, &[], "").await;
            assert_eq!(reply.status(), status, "{proxy:?}");
            assert!(is_decided(&reply), "{proxy:?} {reply:?}");
            assert_eq!(one(&reply, "x-ratelimit-limit"), "100", "{proxy:?} {status}");
            assert_eq!(one(&reply, "retry-after"), "77", "{proxy:?} {status}");
            assert!(reply.body().contains(&target), "{proxy:?} {reply:?}");
        }
    }
}
