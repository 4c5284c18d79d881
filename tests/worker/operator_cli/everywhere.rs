//! Every command does the same wherever it is sent.

use serde_json::{Value, json};
use transom_tests::RedisServer;

use super::{CONFIG, Cli};
use crate::client::{get, send};
use crate::process::{Worker, text, write};

#[tokio::test]
async fn every_command_works_over_redis() {
    let server = RedisServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, "transom.toml", CONFIG);
    let cli = Cli::over_redis(&server).with("TRANSOM_CONFIG", text(&file));
    work_through(&cli).await;
    let decided = cli.json("explain user:42", 0).await;
    assert_eq!(decided["source"], "redis");
}

#[tokio::test]
async fn every_command_works_over_a_worker_without_redis() {
    let worker = Worker::start(CONFIG).await;
    let cli = Cli::over(&worker);
    work_through(&cli).await;
    assert_eq!(cli.json("explain user:42", 0).await["source"], "local");
    let audit = get(worker.admin, "/api/audit?max=1000").await;
    let audit: Value = serde_json::from_str(audit.body()).unwrap();
    let changes = audit["items"].as_array().unwrap();
    // The newest comes first.
    let set = changes.iter().rfind(|change| change["action"] == "override.set").unwrap();
    let signed = ["target", "by", "reason"].map(|field| set[field].as_str().unwrap());
    assert_eq!(signed, ["user:42", "ann", "migration"], "{set}");
    for action in ["override.delete", "block.set", "block.delete", "reset", "mode.set"] {
        let there = changes.iter().any(|change| change["action"] == action);
        assert!(there, "{action} is on record: {audit}");
    }
}

/// Goal: with the token of the environment, of an argument or of the configuration everything
/// works. Method: a worker that answers nobody without it.
#[tokio::test]
async fn every_command_works_over_a_worker_with_a_token() {
    let worker = Worker::with(CONFIG, &[("TRANSOM__ADMIN__TOKEN", "sesame-of-a-test")]).await;
    let by_variable = Cli::over(&worker).with("TRANSOM_TOKEN", "sesame-of-a-test");
    work_through(&by_variable).await;
    let mut by_argument = Cli::over(&worker);
    by_argument.arguments.extend(["--token".to_owned(), "sesame-of-a-test".to_owned()]);
    by_argument.done("mode").await;
    Cli::over(&worker).with("TRANSOM__ADMIN__TOKEN", "sesame-of-a-test").done("mode").await;
}

async fn work_through(cli: &Cli) {
    explain_and_inspect(cli).await;
    overrides(cli).await;
    blocks(cli).await;
    reset_mode_and_the_rest(cli).await;
}

async fn explain_and_inspect(cli: &Cli) {
    let said = cli.done("explain user:42 --method get --path /v1/search/x?q=1").await;
    for part in ["GET /v1/search/x by user:42 would be admitted", "search (method GET; path"] {
        assert!(said.contains(part), "{part:?}: {said}");
    }
    let said = cli.json("explain ip:2001:DB8::1:2:3:4", 0).await;
    assert_eq!((&said["identity"], &said["allowed"]), (&json!("ip:2001:db8::"), &json!(true)));
    let said = cli.done("inspect user:42").await;
    for part in ["policy default", "-60s", "-1s", "0/3 used, 3 left", "strikes", "block"] {
        assert!(said.contains(part), "{part:?}: {said}");
    }
    assert!(!said.contains('\u{1b}'), "no colour in a file: {said}");
    let kept = cli.json("inspect user:a/b?c#d%2F..", 0).await;
    assert_eq!(kept["identity"], "user:a/b?c#d%2F..");
    assert_eq!(kept["windows"][0]["policy"], "default");
}

async fn overrides(cli: &Cli) {
    assert_eq!(cli.done("override list").await, "no override is in force\n");
    let set = "override set user:42 --minute 600 --second 20 --for 2h --reason migration --by ann";
    let held = cli.json(set, 0).await;
    assert_eq!((&held["policy"], &held["minute"]), (&json!("*"), &json!(600)));
    let lasts = held["until_us"].as_u64().zip(held["at_us"].as_u64());
    assert_eq!(lasts.map(|(until_us, at_us)| until_us - at_us), Some(7_200_000_000));
    let said = cli.done("override set user:42 --minute 5 --second 4 --policy search").await;
    assert!(said.contains("user:42 may do 5 a minute and 4 a second under the policy search"));
    let list = cli.json("override list", 0).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "{list}");
    let said = cli.done("override list").await;
    assert!(said.contains("migration") && said.contains("for good"), "{said}");
    let said = cli.json("explain user:42", 0).await;
    assert_eq!(
        (&said["limits_from"], &said["override"]["by"]),
        (&json!("override_all"), &json!("ann"))
    );
    let said = cli.done("explain user:42 --path /v1/search/x").await;
    assert!(said.contains("5 a minute, 4 a second, an override for the policy search"), "{said}");
    let said = cli.done("override delete user:42 --policy search").await;
    assert_eq!(said, "user:42 has no override for the policy search any more\n");
    assert_eq!(cli.json("override delete user:42", 0).await, json!({"done": true}));
    cli.fails("override delete user:42", 1, &["user:42 has no override for all policies"]).await;
    let set = "override set user:42 --minute 1 --second 1";
    cli.fails(&format!("{set} --policy nope"), 2, &["policy", "\"nope\"", "search"]).await;
    cli.fails(&format!("{set} --for 5"), 2, &["for", "\"5\"", "10m"]).await;
    cli.fails("override set user:42 --minute 1", 2, &["--second"]).await;
    cli.fails("override set user:42 --minute 1000001 --second 1", 2, &["1000000"]).await;
}

async fn blocks(cli: &Cli) {
    assert_eq!(cli.done("block list").await, "nobody is blocked\n");
    let said = cli.done("block user:42 --for 10m --reason scraping --by ann").await;
    assert!(said.starts_with("user:42 is blocked until ") && said.contains("in 10 min"), "{said}");
    assert_eq!(cli.json("block ip:192.0.2.7", 0).await["until_us"], Value::Null);
    let list = cli.json("block list", 0).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "{list}");
    let [first, second] = [0, 1].map(|at| &list["items"][at]["identity"]);
    assert_eq!((first, second), (&json!("ip:192.0.2.7"), &json!("user:42")));
    let said = cli.done("block list").await;
    assert!(said.contains("scraping") && said.contains("for good"), "{said}");

    let denied = cli.run("explain user:42").await;
    assert_eq!((denied.code, &*denied.stderr), (Some(1), ""), "{denied:?}");
    for part in ["would be denied now: it was blocked by ann", "by ann, until"] {
        assert!(denied.stdout.contains(part), "{part:?}: {denied:?}");
    }
    let denied = cli.json("explain ip:192.0.2.7", 1).await;
    assert_eq!((&denied["allowed"], &denied["limited_by"]), (&json!(false), &json!("penalty")));
    assert!(cli.done("inspect user:42").await.contains("blocked\n"));

    let said = cli.done("unblock user:42").await;
    assert_eq!(said, "user:42 is not blocked, and its strikes are forgotten\n");
    cli.fails("unblock user:42", 1, &["user:42 is not blocked"]).await;
    assert_eq!(cli.json("unblock ip:192.0.2.7", 0).await, json!({"done": true}));
    cli.fails("block user:42 --for soon", 2, &["for", "\"soon\""]).await;
    cli.fails("block", 2, &["<IDENTITY>"]).await;
    cli.fails("block list user:42", 2, &["user:42"]).await;
}

async fn reset_mode_and_the_rest(cli: &Cli) {
    let said = cli.done("reset user:42 --reason asked").await;
    assert_eq!(said, "user:42 starts afresh under every policy, and is not blocked\n");
    assert_eq!(cli.json("reset user:42 --policy search", 0).await, json!({"done": true}));
    cli.fails("reset user:42 --policy nope", 2, &["\"nope\""]).await;

    assert!(cli.done("mode").await.starts_with("enforce (limiter.mode; nothing is set"));
    let said = cli.done("mode shadow --reason drill").await;
    assert!(said.starts_with("shadow is set") && said.contains("within a second"), "{said}");
    let mode = cli.json("mode", 0).await;
    assert_eq!(mode, json!({"mode": "shadow", "fleet": "shadow", "configured": "enforce"}));
    assert_eq!(cli.json("explain user:42", 0).await["policy"]["mode"], "shadow");
    cli.done("block user:42").await;
    cli.done("explain user:42").await;
    cli.done("unblock user:42").await;
    cli.done("mode off").await;
    let said = cli.done("explain user:42").await;
    assert!(said.contains("is not limited: the mode of default is off"), "{said}");
    cli.done("mode enforce").await;
    cli.fails("mode loud", 2, &["'loud'", "shadow"]).await;

    assert!(cli.json("top --max 5", 0).await["items"].is_array());
    cli.done("top").await;
    cli.fails("top --max 0", 2, &["--max"]).await;
    let findings = cli.json("doctor", 0).await;
    assert_eq!(findings[0]["check"], "configuration", "{findings}");
    let said = cli.done("doctor").await;
    let known = |line: &str| ["ok ", "unknown ", "warning "].iter().any(|w| line.starts_with(w));
    assert!(said.lines().count() > 1 && said.lines().all(known), "{said}");
}

#[tokio::test]
async fn who_makes_a_change_is_the_user_of_the_environment_unless_said_otherwise() {
    let worker = Worker::start(CONFIG).await;
    let cli = Cli::over(&worker).with("USER", "bob");
    assert_eq!(cli.json("block user:42", 0).await["by"], "bob");
    assert_eq!(cli.json("block user:42 --by ann", 0).await["by"], "ann");
    assert_eq!(cli.json("block list", 0).await["items"][0]["by"], "ann");
}

/// Goal: the caller of a denied request is found, and its windows are seen.
#[tokio::test]
async fn what_clients_did_is_seen_in_top_and_on_the_time_line() {
    let worker = Worker::start(CONFIG).await;
    for _ in 0..5 {
        send(worker.gateway, "GET", "/", &[], "").await;
    }
    let cli = Cli::over(&worker);
    let said = cli.done("inspect ip:127.0.0.1").await;
    assert!(said.contains("3/3 used, 0 left") && said.contains('█'), "{said}");
    let denied = cli.run("explain ip:127.0.0.1").await;
    assert_eq!(denied.code, Some(1), "{denied:?}");
    assert!(denied.stdout.contains("3 of 3 units of the minute are used"), "{denied:?}");
    let asked = std::time::Instant::now();
    while cli.json("top", 0).await["items"] != json!([{"identity": "ip:127.0.0.1", "denials": 2}]) {
        assert!(asked.elapsed().as_secs() < 10, "after ten seconds: {}", cli.done("top").await);
    }
    assert!(cli.done("top").await.contains("ip:127.0.0.1        2"));
}
