//! Lanes: what waits goes together, nothing is charged twice, and every call ends in time.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use transom_core::{Limiter, LimitsFrom, Unavailable, Verdict, Window};
use transom_redis::{Keyspace, RedisLimiter, Script, Settings, decode};
use transom_tests::RedisServer;
use transom_tests::fake_redis::{FakeRedis, Reaction};

use crate::setup::{Setup, key, request, settings};

#[tokio::test]
async fn many_tasks_on_one_key_admit_exactly_its_limit() {
    let mut setup = Setup::new().await;
    let limiter = Arc::new(setup.limiter.clone());
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move { limiter.admit(&request("hot", 100, 100, 1)).await.unwrap() })
        })
        .collect();
    let mut admitted = 0;
    for task in tasks {
        admitted += u64::from(task.await.unwrap().allowed);
    }
    assert_eq!(admitted, 100);
    let asked = request("hot", 100, 100, 1);
    let members: u64 = setup.ask(&["ZCARD", &key(&asked, Window::Minute)]).await;
    assert_eq!(members, admitted, "each admitted request is one member");
    let calls = setup.calls(&["evalsha", "eval"]).await;
    assert!(calls < 250, "500 requests took {calls} calls: what waits goes together");
}

#[tokio::test]
async fn a_batch_answers_every_caller_with_its_own_decision() {
    let setup = Setup::new().await;
    let limiter = Arc::new(setup.limiter.clone());
    let mut tasks = HashMap::new();
    for n in 1..200u32 {
        let limiter = Arc::clone(&limiter);
        let asked = request(&format!("user-{n}"), 1_000 + n, n, 1);
        tasks.insert(n, tokio::spawn(async move { limiter.admit(&asked).await.unwrap() }));
    }
    for (n, task) in tasks {
        let decision = task.await.unwrap();
        assert_eq!((decision.minute.limit, decision.second.limit), (1_000 + n, n));
        assert_eq!((decision.allowed, decision.second.remaining), (true, n - 1));
    }
}

/// Goal: in one call each request is decided by its own terms. Method: groups of equal terms that
/// come and go, one identity in several, and in the middle of a group a key of another type, an
/// override and a denial.
#[tokio::test]
async fn a_call_decides_each_of_its_requests_by_its_own_terms() {
    let mut setup = Setup::new().await;
    let (script, keyspace) = (Script::admit(), Keyspace::new("transom:1"));
    setup.ask::<()>(&["SCRIPT", "LOAD", script.source()]).await;
    let usual = |user| request(user, 60, 2, 1);
    setup.ask::<()>(&["SET", &key(&usual("bad"), Window::Second), "x"]).await;
    let raised = keyspace.overrides(&usual("raised").identity);
    let limits = ["default:minute", "100", "default:second", "50", "default:until_us", "0"];
    setup.ask::<()>(&[&["HSET", &raised], &limits[..]].concat()).await;

    let requests = [
        usual("a"),
        usual("bad"),
        usual("raised"),
        usual("b"),
        request("a", 9, 3, 2),
        request("c", 9, 3, 4),
        usual("a"),
        usual("d"),
    ];
    let call = script.evalsha(&keyspace, &requests, 0);
    let reply = call.query_async(&mut setup.connection).await.unwrap();
    let answers = decode(&reply, requests.len()).unwrap().into_iter().map(|answer| match answer {
        Ok(Verdict { allowed, minute, second, limits_from, .. }) => {
            let used = [minute.limit, minute.used, second.limit, second.used];
            Ok((allowed, used, limits_from))
        }
        Err(Unavailable::Refused { code, .. }) => Err(code),
        Err(other) => panic!("{other}"),
    });
    let expected = [
        Ok((true, [60, 1, 2, 1], LimitsFrom::Policy)),
        Err("WRONGTYPE".to_owned()),
        Ok((true, [100, 1, 50, 1], LimitsFrom::Override)),
        Ok((true, [60, 1, 2, 1], LimitsFrom::Policy)),
        Ok((true, [9, 3, 3, 3], LimitsFrom::Policy)),
        Ok((false, [9, 0, 3, 0], LimitsFrom::Policy)),
        Ok((false, [60, 3, 2, 3], LimitsFrom::Policy)),
        Ok((true, [60, 1, 2, 1], LimitsFrom::Policy)),
    ];
    assert_eq!(answers.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_flushed_script_is_sent_again_without_a_double_charge() {
    let mut setup = Setup::new().await;
    let asked = request("a", 1_000, 1_000, 1);
    for n in 1..=50u32 {
        setup.ask::<()>(&["SCRIPT", "FLUSH"]).await;
        let decision = setup.limiter.admit(&asked).await.unwrap();
        assert_eq!(decision.minute.remaining, 1_000 - n);
    }
}

#[tokio::test]
async fn a_decision_ends_at_its_deadline_while_redis_is_frozen_and_the_lane_recovers() {
    let server = RedisServer::process(&[]).await;
    let deadline = Duration::from_millis(50);
    let limiter = RedisLimiter::open(&Settings { deadline, ..Settings::new(&server.url) }).unwrap();
    limiter.connected().await.unwrap();
    let asked = request("a", 1_000, 1_000, 1);
    limiter.admit(&asked).await.unwrap();

    server.signal("STOP");
    for _ in 0..5 {
        let started = Instant::now();
        let refused = limiter.admit(&asked).await.unwrap_err();
        assert!(started.elapsed() < deadline + Duration::from_millis(100));
        assert!(matches!(refused, Unavailable::Deadline | Unavailable::Unreachable { .. }));
    }
    server.signal("CONT");
    eventually(&limiter).await;
}

/// Goal: one slow call holds up nobody else. Method: a call that is never answered, and then
/// another request, which is to be decided while the first one still waits.
#[tokio::test]
async fn a_call_without_an_answer_does_not_hold_up_the_next_one() {
    let server = FakeRedis::start(Reaction::Silence).await;
    let limiter = RedisLimiter::open(&settings(&server.url())).unwrap();
    limiter.connected().await.unwrap();
    let (stuck, next) = (request("a", 60, 60, 1), request("b", 60, 60, 1));
    let mut stuck = pin!(limiter.admit(&stuck));
    tokio::select! {
        ended = stuck.as_mut() => panic!("{ended:?} without an answer"),
        () = server.called(1) => {}
    }

    let reply = "*2\r\n:1800000000000000\r\n$36\r\n1 60 1 60000000 0 60 1 1000000 0 0 0\r\n";
    server.react(Reaction::Reply(reply.to_owned()));
    tokio::select! {
        biased;
        ended = stuck => panic!("the call that has no answer ended first: {ended:?}"),
        decided = limiter.admit(&next) => assert!(decided.unwrap().allowed),
    }
}

#[tokio::test]
async fn a_limiter_recovers_by_itself_when_redis_comes_back() {
    let mut server = RedisServer::process(&[]).await;
    let limiter = RedisLimiter::open(&settings(&server.url)).unwrap();
    limiter.connected().await.unwrap();
    limiter.admit(&request("a", 60, 2, 1)).await.unwrap();

    server.stop();
    let started = Instant::now();
    while limiter.state().is_ok() {
        let _ = limiter.admit(&request("a", 60, 2, 1)).await;
        assert!(started.elapsed() < Duration::from_secs(5), "the loss was not noticed");
    }
    let refused = limiter.admit(&request("a", 60, 2, 1)).await.unwrap_err();
    assert!(matches!(refused, Unavailable::Unreachable { .. }), "{refused}");
    assert!(!refused.may_have_charged());

    server.start_again().await;
    eventually(&limiter).await;
}

#[tokio::test]
async fn a_limiter_opens_without_redis_and_says_why_it_cannot_decide() {
    let port = transom_tests::redis_server::free_port();
    let limiter = RedisLimiter::open(&settings(&format!("redis://127.0.0.1:{port}"))).unwrap();
    let refused = limiter.connected().await.unwrap_err();
    assert!(refused.to_string().contains("refused"), "{refused}");
    let started = Instant::now();
    assert!(limiter.admit(&request("a", 60, 2, 1)).await.is_err());
    assert!(started.elapsed() < Duration::from_secs(1), "known to be down, so at once");
}

/// Decisions come again within a few seconds.
async fn eventually(limiter: &RedisLimiter) {
    let started = Instant::now();
    while limiter.admit(&request("again", 1_000_000, 1_000_000, 1)).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(5), "no decision after 5 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
