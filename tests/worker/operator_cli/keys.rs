//! API keys: shown once, known by their digest, and revoked by either.

use serde_json::Value;
use transom_redis::Digest;
use transom_tests::RedisServer;

use super::{CONFIG, Cli};
use crate::process::Worker;

/// Creates a key, and reads it as a script would.
pub(super) async fn create(cli: &Cli, user: &str) -> String {
    let ended = cli.run(&format!("key create --user {user} --label CI")).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let key = ended.stdout.strip_suffix('\n').unwrap_or_default();
    assert!(key.starts_with("tk_") && !key.contains(char::is_whitespace), "{ended:?}");
    let digest = Digest::of(key.as_bytes()).to_string();
    for part in ["shown this once", &format!("user {user}"), &digest] {
        assert!(ended.stderr.contains(part), "{part:?}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains(key), "the key is on standard output alone: {ended:?}");
    key.to_owned()
}

async fn work_through(cli: &Cli) {
    assert_eq!(cli.done("key list").await, "there are no such keys\n");
    let (first, second) = (create(cli, "42").await, create(cli, "7").await);
    let created = cli.run("key create --user 42 --json").await;
    let third: Value = serde_json::from_str(&created.stdout).expect("a document");
    let third = third["digest"].as_str().expect("its digest");
    let digests = [&first, &second].map(|key| Digest::of(key.as_bytes()).to_string());
    let said = cli.done("key list").await;
    for digest in &digests {
        assert!(said.contains(digest), "{said}");
    }
    assert!(!said.contains("tk_"), "{said}");
    let list = cli.json("key list --user 7", 0).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["items"][0]["digest"], digests[1]);

    let said = cli.done(&format!("key revoke {first} --reason leaked")).await;
    assert!(said.starts_with(&format!("{} is revoked", digests[0])), "{said}");
    let said = cli.fails(&format!("key revoke {first}"), 1, &[&digests[0]]).await;
    assert!(!said.contains(&first), "{said}");
    cli.done(&format!("key revoke {}", digests[1].to_uppercase())).await;
    cli.json(&format!("key revoke {third}"), 0).await;
    assert_eq!(cli.done("key list").await, "there are no such keys\n");
    cli.fails("key create", 2, &["--user"]).await;
    cli.fails("key revoke", 2, &["<DIGEST-OR-KEY>"]).await;
}

#[tokio::test]
async fn keys_are_created_listed_and_revoked_over_redis_and_over_a_worker() {
    let server = RedisServer::start().await;
    work_through(&Cli::over_redis(&server)).await;
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &server.url)]).await;
    work_through(&Cli::over(&worker)).await;
}

#[tokio::test]
async fn a_worker_without_redis_says_that_it_keeps_no_keys() {
    let worker = Worker::start(CONFIG).await;
    let cli = Cli::over(&worker);
    for command in ["key create --user 42", "key list", "key revoke tk_MARKED"] {
        let said = cli.fails(command, 2, &["redis.url is not set", "[[api_key]]"]).await;
        assert!(!said.contains("MARKED"), "{said}");
    }
}
