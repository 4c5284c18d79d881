//! Users by the word of a trusted proxy, and by verified tokens: who pays, and what the upstream
//! is told.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::client::{left, number, send};
use crate::configuration::refused;
use crate::issuer::{Issuer, LATER_S, encode, unsigned};
use crate::process::{Worker, run, text, write};

const PEER: &str = "ip:127.0.0.1";
const USER: &str = "user:42";

/// More than any test here uses up.
const POLICY: &str = "
[[policy]]
name = \"default\"
minute = 1000
second = 1000
";

async fn by_header(trusted: &str) -> Worker {
    let identity =
        format!("[identity]\nmode = \"header\"\ntrusted_proxies = [\"{trusted}\"]\n{POLICY}");
    Worker::start(&identity).await
}

fn by_token(algorithm: &str, key: &str) -> String {
    format!(
        "[identity]\nmode = \"jwt\"\njwt_algorithm = \"{algorithm}\"\n{key}\njwt_issuer = \
         \"https://issuer.example\"\njwt_audience = \"transom\"\n{POLICY}"
    )
}

/// A request to the gateway with these lines: what its caller has left, and the header of the user
/// that the built-in upstream got.
async fn ask(gateway: SocketAddr, lines: &[&[u8]]) -> (u64, Value) {
    let reply = send(gateway, "GET", "/v1/people", lines, "").await;
    assert_eq!(reply.status(), 200, "{reply:.300?}");
    let echo: Value = serde_json::from_str(reply.body()).expect("an echo in JSON");
    let remaining = number(&reply, "x-ratelimit-remaining");
    assert_eq!(echo["headers"]["x_user_id"], Value::Null, "{echo}");
    (remaining, echo["headers"]["x-user-id"].clone())
}

#[tokio::test]
async fn a_trusted_proxy_names_the_user_to_the_limiter_and_to_the_upstream() {
    let worker = by_header("127.0.0.1").await;
    let mut remaining = 1_000;
    for lines in [
        &[b"X-User-Id: 42".as_slice()][..],
        &[b"x-user-id:42 ", b"X-Forwarded-For: 203.0.113.9"],
        &[b"X-User-Id: 42", b"Connection: x-user-id"],
        &[b"X-User-Id: 42", b"X_User_Id: 43", b"X-Api-Key: 43"],
    ] {
        remaining -= 1;
        assert_eq!(ask(worker.gateway, lines).await, (remaining, json!("42")), "{lines:?}");
    }
    assert_eq!(left(worker.check, USER, "/").await, remaining);
    assert_eq!(left(worker.check, PEER, "/").await, 1_000);
}

#[tokio::test]
async fn a_value_that_is_no_user_counts_on_the_address_and_is_taken_away() {
    let worker = by_header("127.0.0.1").await;
    let long = [b"X-User-Id: ".as_slice(), &[b'x'; 1_025]].concat();
    let mut remaining = 1_000;
    for lines in [
        &[][..],
        &[b"X-User-Id:".as_slice()],
        &[b"X-User-Id: 42", b"X-User-Id: 43"],
        &[b"X-User-Id: 42", b"X-User-Id: 42"],
        &[b"X-User-Id: 42, 43"],
        &[b"X-User-Id: 4 2"],
        &[b"X-User-Id: \xc3\xa4"],
        &[b"X-User-Id: 4\t2"],
        &[&long],
        &[b"X_User_Id: 42"],
        &[b"X-User: 42"],
    ] {
        remaining -= 1;
        let shown: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
        assert_eq!(ask(worker.gateway, lines).await, (remaining, Value::Null), "{shown:.60?}");
    }
    assert_eq!(left(worker.check, PEER, "/").await, remaining);
    let behind = [b"X-User-Id: ".as_slice(), b"X-Forwarded-For: 203.0.113.9"];
    assert_eq!(ask(worker.gateway, &behind).await, (999, Value::Null), "the address behind it");
}

#[tokio::test]
async fn a_stranger_names_nobody_and_the_upstream_is_not_told() {
    let worker = by_header("10.0.0.0/8").await;
    let mut remaining = 1_000;
    for lines in [
        &[b"X-User-Id: 42".as_slice()][..],
        &[b"X-User-Id: 42", b"X-Forwarded-For: 10.0.0.1"],
        &[b"X-User-Id: 42", b"Connection: x-user-id"],
        &[b"X_User_Id: 42"],
        &[b"X-User-Id: 42", b"X-User-Id: 43"],
    ] {
        remaining -= 1;
        assert_eq!(ask(worker.gateway, lines).await, (remaining, Value::Null), "{lines:?}");
    }
    assert_eq!(left(worker.check, USER, "/").await, 1_000);
}

fn claims(changed: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://issuer.example", "aud": "transom", "sub": "42", "exp": LATER_S,
    });
    for (name, value) in changed.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

fn bearer(token: &str) -> Vec<u8> {
    format!("Authorization: Bearer {token}").into_bytes()
}

/// Goal: RSA by both paddings, from one key or a set of them, at the gateway and at the check
/// listener.
#[tokio::test]
async fn a_token_names_its_user_at_every_listener() {
    let issuer = Issuer::new();
    let set = json!({"keys": [{"kty": "OKP", "crv": "X25519"}, issuer.jwk("2026-10")]});
    std::fs::write(issuer.path("keys.json"), set.to_string()).unwrap();
    for (algorithm, key) in [("RS256", "key"), ("PS256", "key"), ("RS256", "keys")] {
        let name = if key == "key" { "public.pem" } else { "keys.json" };
        let key = format!("jwt_{key}_file = \"{}\"", issuer.path(name));
        let worker = Worker::start(&by_token(algorithm, &key)).await;
        let header = json!({"alg": algorithm, "kid": "2026-10"});
        let token = bearer(&issuer.token(&header, &claims(&json!({}))));
        assert_eq!(ask(worker.gateway, &[&token]).await.0, 999, "{algorithm} {key}");
        let elsewhere = [&token[..], b"X-Forwarded-For: 203.0.113.9", b"X-User-Id: 43"];
        let (remaining, kept) = ask(worker.gateway, &elsewhere).await;
        assert_eq!(
            (remaining, kept),
            (998, json!("43")),
            "another mode's header is the upstream's"
        );
        let original = [&token[..], b"X-Original-Method: GET", b"X-Original-URI: /v1/people"];
        let reply = send(worker.check, "GET", "/check?profile=nginx", &original, "").await;
        assert_eq!(number(&reply, "x-ratelimit-remaining"), 997);
        assert_eq!(left(worker.check, USER, "/").await, 997);
        assert_eq!(left(worker.check, PEER, "/").await, 1_000);
    }
}

#[tokio::test]
async fn a_forged_token_counts_on_the_address() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let set = json!({"keys": [issuer.jwk("ours")]});
    std::fs::write(issuer.path("keys.json"), set.to_string()).unwrap();
    let key = format!("jwt_keys_file = \"{}\"", issuer.path("keys.json"));
    let worker = Worker::start(&by_token("RS256", &key)).await;
    let (rs, hs) = (json!({"alg": "RS256", "kid": "ours"}), json!({"alg": "HS256", "kid": "ours"}));
    let good = claims(&json!({}));
    let signed = |changed: Value| issuer.token(&rs, &claims(&changed));
    let named = |kid: &str| issuer.token(&json!({"alg": "RS256", "kid": kid}), &good);
    let true_token = signed(json!({}));
    let (true_message, true_signature) = true_token.rsplit_once('.').unwrap();
    let other_claims = unsigned(&rs, &claims(&json!({"sub": "43"})));
    let brought = json!({"alg": "RS256", "kid": "ours", "jwk": other.jwk("ours"), "jku": "http://127.0.0.1:1"});
    let forged = [
        format!("{}.", unsigned(&json!({"alg": "none", "kid": "ours"}), &good)),
        issuer.token_by_secret(&hs, &good, &issuer.public_pem()),
        issuer.token_by_secret(&rs, &good, &issuer.public_pem()),
        issuer.token(&json!({"alg": "PS256", "kid": "ours"}), &good),
        other.token(&rs, &good),
        other.token(&brought, &good),
        signed(json!({"exp": 1_000_000_000})),
        signed(json!({"exp": null})),
        signed(json!({"nbf": LATER_S - 1})),
        signed(json!({"iss": "https://evil.example"})),
        signed(json!({"iss": null})),
        signed(json!({"aud": "another"})),
        signed(json!({"aud": null})),
        signed(json!({"sub": ""})),
        signed(json!({"sub": null})),
        signed(json!({"sub": "42\r\nX-User-Id: 43"})),
        signed(json!({"sub": "x".repeat(1_025)})),
        signed(json!({"padding": "x".repeat(20_000)})),
        format!("{other_claims}.{true_signature}"),
        format!("{true_message}."),
        format!("{true_token}.{true_signature}"),
        named("../../../../etc/passwd"),
        named("/dev/zero"),
        named("theirs"),
        format!("{}.a.b.c.d", encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"ours"}"#)),
        "null".to_owned(),
        "..".to_owned(),
    ];
    let mut remaining = 1_000;
    for token in &forged {
        remaining -= 1;
        assert_eq!(ask(worker.gateway, &[&bearer(token)]).await.0, remaining, "{token:.200}");
    }
    let twice = [&bearer(&true_token)[..], b"Authorization: Bearer x"];
    assert_eq!(ask(worker.gateway, &twice).await.0, remaining - 1, "the upstream may take either");
    assert_eq!(left(worker.check, PEER, "/").await, remaining - 1);
    assert_eq!(left(worker.check, USER, "/").await, 1_000);
    assert_eq!(ask(worker.gateway, &[&bearer(&true_token)]).await.0, 999, "after all of them");
}

/// A head of more than 64 KiB is refused before anybody asks who sent it.
#[tokio::test]
async fn a_token_of_100_kib_is_refused_and_charged_to_nobody() {
    let issuer = Issuer::new();
    let key = format!("jwt_key_file = \"{}\"", issuer.path("public.pem"));
    let worker = Worker::start(&by_token("RS256", &key)).await;
    let long = bearer(&"x".repeat(100 * 1024));
    for listener in [worker.gateway, worker.check] {
        let reply = send(listener, "GET", "/check", &[&long], "").await;
        assert_eq!(reply.status(), 431, "{reply:.200?}");
    }
    assert_eq!(left(worker.check, PEER, "/").await, 1_000);
}

/// Goal: braces in a subject, which would be a hash tag in Redis, do not lead to the keys of
/// another user.
#[tokio::test]
async fn a_subject_with_braces_is_a_user_of_its_own() {
    let secret = "0123456789abcdef0123456789abcdef";
    let config = by_token("HS256", &format!("jwt_secret = \"{secret}\""));
    let server = transom_tests::RedisServer::start().await;
    let variables =
        [("TRANSOM__REDIS__URL", server.url.as_str()), ("TRANSOM__REDIS__DEADLINE", "5s")];
    let worker = Worker::with(&config, &variables).await;
    let issuer = Issuer::new();
    for sub in ["42}:default:minute", "{user:42}", "42"] {
        let claims = claims(&json!({"sub": sub}));
        let token = issuer.token_by_secret(&json!({"alg": "HS256"}), &claims, secret.as_bytes());
        assert_eq!(ask(worker.gateway, &[&bearer(&token)]).await.0, 999, "{sub}");
    }
}

#[tokio::test]
async fn a_key_file_that_cannot_be_used_is_refused_at_start() {
    let (issuer, folder) = (Issuer::new(), tempdir().unwrap());
    let private = issuer.path("private.pem");
    let set = write(&folder, "keys.json", "{\"keys\":[]}");
    let missing = issuer.path("missing.pem");
    for (algorithm, setting, path, says) in [
        ("RS256", "jwt_key_file", private.as_str(), "it holds a private key"),
        ("ES256", "jwt_key_file", &issuer.path("public.pem"), "a key on the curve P-256"),
        ("RS256", "jwt_key_file", &missing, "No such file"),
        ("RS256", "jwt_keys_file", text(&set), "no key in it is for RS256"),
        ("RS256", "jwt_keys_file", &issuer.path("public.pem"), "no JSON Web Key Set"),
    ] {
        let config = by_token(algorithm, &format!("{setting} = \"{path}\""));
        let config = write(&folder, "transom.toml", &config);
        let key = format!("identity.{setting}: ");
        for command in ["check-config", "serve"] {
            let ended = run(&["--config", text(&config), command], &[]).await;
            refused(&ended, &[&key, path, says]);
        }
    }
}
