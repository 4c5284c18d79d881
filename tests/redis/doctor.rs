//! What a doctor finds wrong with a Redis, and what it costs.

use redis::aio::MultiplexedConnection;
use transom_redis::{Examined, RedisLimiter, Severity};
use transom_tests::RedisServer;

use crate::acl::RIGHTS;
use crate::setup::{Setup, settings};

/// How many keys a doctor looks at.
const KEYS_MAX: u64 = 200_000;

/// A user with these rights, and a limiter that is this user.
async fn with_rights(
    server: &RedisServer,
    connection: &mut MultiplexedConnection,
    name: &str,
    rights: &[&str],
) -> RedisLimiter {
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg(name).arg("on").arg(">s3cret").arg(rights);
    command.exec_async(connection).await.unwrap();
    let url = server.url.replace("redis://", &format!("redis://{name}:s3cret@"));
    RedisLimiter::open(&settings(&url)).unwrap()
}

fn said_of<'a>(examined: &'a [Examined], what: &str) -> Option<&'a Examined> {
    examined.iter().find(|one| one.what == what)
}

/// Goal: who lacks a right is told which. Method: the README's rights, less one at a time.
#[tokio::test]
async fn a_user_who_lacks_a_right_is_told_so_by_name() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    let rights: Vec<_> = RIGHTS.split_whitespace().collect();
    let commands = rights.iter().filter_map(|right| right.strip_prefix('+'));
    for lacking in commands.clone() {
        let others: Vec<_> = rights.iter().copied().filter(|r| r[1..] != *lacking).collect();
        let limiter = with_rights(&server, &mut connection, lacking, &others).await;
        let examined = limiter.examine().await;
        let broken: Vec<_> =
            examined.iter().filter(|one| one.severity == Severity::Broken).collect();
        let [broken] = broken[..] else { panic!("{lacking}: {examined:?}") };
        let said = broken.said.to_lowercase();
        let words: Vec<_> = said.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        assert!(words.contains(&lacking), "{lacking}: {broken:?}");
        assert!(said.contains("the readme lists the rights"), "{lacking}: {broken:?}");
        for other in commands.clone().filter(|other| !matches!(*other, "get" | "set" | "type")) {
            let named = other == lacking || !words.contains(&other);
            assert!(named, "{lacking} lacks, and {other} is named: {broken:?}");
        }
    }
}

#[tokio::test]
async fn a_user_of_other_keys_is_told_so() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    let rights = RIGHTS.replace("~transom:1:*", "~other:*");
    let rights: Vec<_> = rights.split_whitespace().collect();
    let limiter = with_rights(&server, &mut connection, "worker", &rights).await;
    let examined = limiter.examine().await;
    let broken = said_of(&examined, "rights").unwrap();
    assert_eq!(broken.severity, Severity::Broken);
    assert!(broken.said.contains("GET (NOPERM ") && broken.said.contains("key"), "{broken:?}");
}

#[tokio::test]
async fn the_rights_of_the_readme_are_enough_and_nothing_is_left_behind() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    let rights: Vec<_> = RIGHTS.split_whitespace().collect();
    let limiter = with_rights(&server, &mut connection, "worker", &rights).await;
    let examined = limiter.examine().await;
    let of_rights = said_of(&examined, "rights").unwrap();
    assert_eq!(of_rights.severity, Severity::Fine, "{examined:?}");
    let left: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

/// Goal: what an interrupted doctor has left is gone after the next, and is no stranger to it.
#[tokio::test]
async fn what_a_doctor_has_left_is_taken_away_by_the_next() {
    let mut setup = Setup::new().await;
    let _: String = setup.ask(&["XADD", "transom:1:doctor:audit", "*", "a", "b"]).await;
    let _: () = setup.ask(&["SET", "transom:1:doctor:zset", "of another type"]).await;
    let examined = setup.limiter.examine().await;
    for what in ["rights", "keys"] {
        assert_eq!(said_of(&examined, what).unwrap().severity, Severity::Fine, "{examined:?}");
    }
    assert_eq!(setup.ask::<Vec<String>>(&["KEYS", "*"]).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_doctor_walks_no_further_than_its_bound() {
    let mut setup = Setup::new().await;
    let fill = "for i = 1, 10000 do redis.call('SET', KEYS[1] .. i, 1) end";
    for n in 0..30 {
        // Few at a time: a server that is silent for a second is taken for dead.
        let _: () = setup.ask(&["EVAL", fill, "1", &format!("transom:1:key:{n}:")]).await;
    }
    let examined = setup.limiter.examine().await;
    let of_keys: Vec<_> = examined.iter().filter(|one| one.what == "keys").collect();
    let more = of_keys.iter().any(|one| one.said.starts_with("there are more than the 200"));
    assert!(more, "{of_keys:?}");
    let types = setup.calls(&["type"]).await;
    assert!((KEYS_MAX..KEYS_MAX + 1_000).contains(&types), "{types} keys were looked at");
    let scans = setup.calls(&["scan"]).await;
    assert!(scans <= KEYS_MAX / 250 + 10, "{scans} steps");
}

/// Goal: doctors do not take the server together. Method: a walk has a connection of its own, so
/// the connections tell how many were under way at a time.
#[tokio::test]
async fn doctors_of_a_worker_walk_one_after_the_other() {
    let mut setup = Setup::new().await;
    let fill = "for i = 1, 20000 do redis.call('SET', 'transom:1:key:' .. i, 1) end";
    let _: () = setup.ask(&["EVAL", fill, "0"]).await;
    let all = futures_util::future::join_all((0..6).map(|_| setup.limiter.examine())).await;
    for examined in &all {
        let of_keys = said_of(examined, "keys").unwrap();
        assert!(of_keys.said.starts_with("20000 keys"), "{of_keys:?}");
    }
    let clients: String = setup.ask(&["INFO", "clients"]).await;
    let connected = clients.lines().find_map(|line| line.strip_prefix("connected_clients:"));
    // Two lanes, one for what is not a decision, one for walks, and the test's own.
    assert!(connected.unwrap().parse::<u32>().unwrap() <= 5, "{clients}");
}
