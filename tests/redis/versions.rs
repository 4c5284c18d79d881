//! Which server all these tests are run on.

use std::process::Command;

use transom_tests::RedisServer;
use transom_tests::redis_server::binary;

/// Goal: what is said of a version is true of the server that was asked, and no other answered.
/// Method: what the binary says of itself, and what the server that it became says.
#[tokio::test]
async fn the_server_that_answers_is_the_binary_that_was_named() {
    let output = Command::new(binary()).arg("--version").output().unwrap();
    let named = String::from_utf8(output.stdout).unwrap();
    let server = RedisServer::process(&[]).await;
    let mut connection = server.connect().await;
    let asked = redis::cmd("INFO").arg("server").query_async(&mut connection).await;
    let info: String = asked.unwrap();
    let of = |field: &str| info.lines().find_map(|line| line.strip_prefix(field));
    // Valkey says which Redis it descends from, too.
    let version = of("valkey_version:").or_else(|| of("redis_version:")).unwrap();
    let said = format!(" server v={} ", version.trim());
    assert!(named.contains(&said), "{named} {info}");
    let own = std::env::var_os("TRANSOM_REDIS_SERVER").is_some();
    assert!(!own || RedisServer::start().await.pid().is_some(), "a container answered");
}
