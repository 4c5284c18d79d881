//! The least rights. The whole of this suite runs under them, since its limiter does; here is that
//! they are those of the README, that nothing of what a worker and an operator do is refused, and
//! what is.

use std::time::{Duration, Instant};

use transom_core::{
    Change, Counts, Denied, Held, Identity, LimitedBy, Limiter, Limits, Mode, Note, Operations,
    PenaltyRules, PolicyName, Request, Scope, Share, Unavailable,
};
use transom_redis::{Digest, RedisLimiter};
use transom_tests::RedisServer;
use transom_tests::redis_server::repository;

use crate::setup::{Setup, WITHIN, acl_log, log_in, request, settings};

/// The rights that a worker needs, and nothing else; as in the README.
pub(crate) const RIGHTS: &str = "resetkeys ~transom:1:* resetchannels &transom:1:* -@all +evalsha \
    +eval +time +exists +zadd +zrem +zcard +zcount +zrange +zrangebyscore +zremrangebyscore +zscore \
    +zremrangebyrank +zincrby +pexpire +persist +pttl \
    +type +del +get +set +incr +hget +hset +hmget +hgetall \
    +hincrby +hkeys +hdel +scan +xadd +xrevrange \
    +info +multi +exec +ping +role +publish +subscribe";

/// The rights that the sentinels have to give a worker; as in the README.
pub(crate) const SENTINEL_RIGHTS: &str =
    "resetkeys resetchannels -@all +sentinel|get-master-addr-by-name";

/// What a cluster takes beside [`RIGHTS`]; as in the README.
pub(crate) const CLUSTER_RIGHTS: &str = "+cluster|slots +asking";

/// What a worker never sends, and nobody with its password can: reading and writing what is not
/// its own, looking around, and taking the server over.
const REFUSED: [&str; 31] = [
    "KEYS *",
    "RANDOMKEY",
    "DBSIZE",
    "FLUSHALL",
    "FLUSHDB",
    "SWAPDB 0 1",
    "CONFIG GET requirepass",
    "CONFIG SET dir /tmp",
    "DEBUG SLEEP 0",
    "SHUTDOWN NOSAVE",
    "SAVE",
    "REPLICAOF 127.0.0.1 1",
    "ACL LIST",
    "ACL SETUSER worker allcommands",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "MONITOR",
    "SCRIPT FLUSH",
    "FUNCTION LIST",
    "MODULE LIST",
    "MIGRATE 127.0.0.1 1 transom:1:mode 0 1",
    "RENAME transom:1:mode other",
    "SUBSCRIBE transom:1",
    "PUBLISH transom:1 x",
    "PSUBSCRIBE *",
    "PUBSUB CHANNELS",
    "GET other:1:mode",
    "SET other 1",
    "DEL transom:1:mode other",
    "ZADD other:1:{user:a}:default:minute 1 1",
    "EVALSHA 0000000000000000000000000000000000000000 1 other",
];

/// Everything that an operator may do.
pub(crate) async fn operates(limiter: &RedisLimiter) -> Result<(), Unavailable> {
    let (user, note) = (Identity::user("a").unwrap(), Note::default());
    let lasting = Some(Duration::from_secs(9));
    for lasting in [lasting, None] {
        limiter.set_override(&user, &Scope::All, Limits::DEFAULT, lasting, &note).await?;
        limiter.block(&user, lasting, &note).await?;
    }
    limiter.standings(Held::Override, 9).await?;
    limiter.standings(Held::Block, 9).await?;
    limiter.standing(&user).await?;
    limiter.delete_override(&user, &Scope::All).await?;
    limiter.unblock(&user).await?;
    limiter.marks(&user, &PolicyName::default(), 9).await?;
    let counts = Counts { admitted: 1, ..Counts::default() };
    let denied = |n: u32| Denied { identity: Identity::user(&n.to_string()).unwrap(), denials: 1 };
    limiter.report(&counts, &(0..1_100).map(denied).collect::<Vec<_>>()).await?;
    limiter.traffic().await?;
    limiter.denied(9).await?;
    limiter.set_mode(Some(Mode::Enforce)).await?;
    limiter.fleet_mode().await?;
    limiter.record(&Change::default()).await?;
    limiter.changes(9).await?;
    limiter.api_keys().list(None, 9).await?;
    let rules = PenaltyRules {
        strikes: 0,
        within_us: 1_000_000,
        block_us: 1_000_000,
        max_us: 1_000_000,
        forget_us: 1_000_000,
    };
    let denied = Request { penalty: Some(rules), ..request("b", 0, 0, 1) };
    assert_eq!(limiter.admit(&denied).await?.limited_by, LimitedBy::Penalty);
    Ok(())
}

#[tokio::test]
async fn nothing_that_a_worker_or_an_operator_does_is_refused() {
    let Setup { limiter, mut connection, server: _server, .. } = Setup::knowing().await;
    let asked = request("decided", 60, 2, 1);
    assert!(limiter.admit(&asked).await.unwrap().allowed);
    assert!(limiter.peek(&asked).await.unwrap().allowed);
    limiter.reset(&asked.identity, &asked.policy.name).await.unwrap();
    let share = Share::of(7);
    let joined = tokio::spawn({
        let (limiter, share) = (limiter.clone(), share.clone());
        async move { limiter.join(share).await }
    });
    let keys = limiter.api_keys();
    let digest = Digest::of(b"k");
    keys.add(digest, "42", "test").await.unwrap();
    assert!(keys.user_of(digest, WITHIN).await.unwrap().is_some());
    assert!(keys.revoke(digest).await.unwrap());
    let started = Instant::now();
    while share.workers() != 1 {
        assert!(started.elapsed() < Duration::from_secs(20), "the roster was not read twice");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    joined.abort();
    limiter.leave().await;
    operates(&limiter).await.unwrap();
    let refused = acl_log(&mut connection).await;
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn whatever_else_is_asked_under_the_rights_of_a_worker_is_refused() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    let url = log_in(&server, &mut connection, RIGHTS).await;
    let client = redis::Client::open(url).unwrap();
    let mut worker = client.get_multiplexed_async_connection().await.unwrap();
    for line in REFUSED {
        let words: Vec<_> = line.split(' ').collect();
        let mut command = redis::cmd(words[0]);
        let answer: Result<redis::Value, _> =
            command.arg(&words[1..]).query_async(&mut worker).await;
        let error = answer.expect_err(line);
        // Redis 7 refuses DEBUG to everybody, unless its configuration says otherwise.
        let to_all = line.starts_with("DEBUG") && error.to_string().contains("not allowed");
        // Functions came with Redis 7.
        let to_all = to_all || error.to_string().contains("unknown command");
        assert!(to_all || error.code() == Some("NOPERM"), "{line}: {error}");
    }
    // A script has no more rights than who calls it, and not all of these.
    for body in ["return redis.call('GET', 'other')", "return redis.call('CONFIG', 'GET', '*')"] {
        let mut eval = redis::cmd("EVAL");
        let answer: Result<redis::Value, _> = eval.arg(body).arg(0).query_async(&mut worker).await;
        let said = answer.expect_err(body).to_string();
        let refused =
            ["The user executing the script can't", "ACL failure", "not allowed from script"];
        assert!(refused.iter().any(|why| said.contains(why)), "{body}: {said}");
    }
    assert!(!acl_log(&mut connection).await.is_empty(), "refusals are on record");
}

#[tokio::test]
async fn another_database_takes_one_more_right() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    for (rights, works) in [(RIGHTS.to_owned(), false), (format!("{RIGHTS} +select"), true)] {
        let url = format!("{}/3", log_in(&server, &mut connection, &rights).await);
        let limiter = RedisLimiter::open(&settings(&url)).unwrap();
        assert_eq!(limiter.connected().await.is_ok(), works, "{rights}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    let url = log_in(&server, &mut connection, RIGHTS).await.replace("s3cret", "wrong");
    let error = RedisLimiter::open(&settings(&url)).unwrap().connected().await.unwrap_err();
    assert!(!error.to_string().contains("wrong@"), "{error}");
    assert!(matches!(error, Unavailable::Unreachable { .. }), "{error}");
}

#[test]
fn the_rights_are_those_of_the_readme() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let shown = readme.replace("\\\n", " ").replace('\'', "");
    let shown: Vec<_> = shown.split_whitespace().collect();
    for rights in [RIGHTS, SENTINEL_RIGHTS, CLUSTER_RIGHTS] {
        let rights: Vec<_> = rights.split_whitespace().collect();
        assert!(shown.windows(rights.len()).any(|words| words == rights), "not shown: {rights:?}");
    }
}
