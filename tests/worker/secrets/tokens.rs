//! Tokens, and the secret that signs them.

use serde_json::json;
use transom_tests::RedisServer;

use super::{assert_clean, contents};
use crate::client::send;
use crate::issuer::{Issuer, LATER_S, encode};
use crate::process::{Worker, run};

const SECRET: &str = "MARKED-secret-that-is-long-enough";
const CONFIG: &str = r#"
[redis]
deadline = "5s"

[identity]
mode = "jwt"
jwt_algorithm = "HS256"
jwt_issuer = "https://issuer.example"
jwt_audience = "transom"
jwt_secret = "MARKED-secret-that-is-long-enough"

[log]
level = "trace"
decisions = true
requests = true
"#;

/// Goal: neither a token, good or bad, nor the secret is anywhere, and nothing that is in a token
/// but its subject. Method: a claim with the mark, and the token's own text.
#[tokio::test]
async fn no_token_and_no_secret_is_in_a_log_an_answer_or_redis() {
    let issuer = Issuer::new();
    let claims = json!({"sub": "42", "iss": "https://issuer.example", "aud": "transom",
        "exp": LATER_S, "email": "MARKED@example.com"});
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let good = issuer.token_by_secret(&header, &claims, SECRET.as_bytes());
    let forged = issuer.token_by_secret(&header, &claims, b"another-secret-of-a-good-length.");
    let server = RedisServer::start().await;
    let mut worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    let mut said = Vec::new();
    for token in [&good, &forged] {
        for listener in [worker.gateway, worker.check] {
            for _ in 0..4 {
                let line = format!("Authorization: Bearer {token}");
                let reply = send(listener, "GET", "/check", &[line.as_bytes()], "").await;
                said.push(format!("{reply:?}"));
            }
        }
    }
    let metrics = send(worker.admin, "GET", "/metrics", &[], "").await;
    said.push(metrics.body().clone());
    said.push(contents(&mut server.connect().await).await);
    assert!(said.last().is_some_and(|kept| kept.contains("{user:42}")), "{said:?}");
    worker.process.signal("TERM");
    let ended = worker.process.end().await;
    assert!(ended.stderr.contains("identity=\"user:42\""), "{}", ended.stderr);
    said.push(ended.stdout + &ended.stderr);
    for text in &said {
        assert_clean("what a worker says or keeps", text);
        for part in [&good, &forged].iter().flat_map(|token| token.split('.')) {
            // The header of all tokens says nothing.
            let secret = part != encode(header.to_string());
            assert!(!secret || !text.contains(part), "a token: {text}");
        }
    }
}

#[tokio::test]
async fn a_secret_of_tokens_is_in_no_configuration_that_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = crate::process::write(&folder, "transom.toml", CONFIG);
    for arguments in [&["check-config"][..], &["check-config", "--json"]] {
        let arguments = [arguments, &["--config", crate::process::text(&file)]].concat();
        let ended = run(&arguments, &[]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_clean("check-config", &(ended.stdout + &ended.stderr));
    }
    let short = ("TRANSOM__IDENTITY__JWT_SECRET", "MARKED");
    let ended = run(&["check-config", "--config", crate::process::text(&file)], &[short]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_clean("check-config", &(ended.stdout + &ended.stderr));
}
