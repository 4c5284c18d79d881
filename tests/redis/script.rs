//! What the scripts write, and what they leave alone.

use std::collections::BTreeSet;
use std::time::Instant;

use transom_core::{Limiter, Request, Unavailable, Window};
use transom_redis::{RedisLimiter, Script};
use transom_tests::clock;

use crate::setup::{Setup, key, request, settings};

const NOW_US: u64 = 1_800_000_000_000_000;
const WRITES: [&str; 7] = ["zadd", "zrem", "zremrangebyscore", "expire", "pexpire", "del", "set"];

/// A limiter by a clock that stands still, so that no step of the machine's clock takes part.
async fn at_a_standstill(setup: &mut Setup) -> RedisLimiter {
    let (admit, peek) = (clock::replace(&Script::admit()), clock::replace(&Script::peek()));
    clock::set(NOW_US).exec_async(&mut setup.connection).await.unwrap();
    let limiter = RedisLimiter::open_with(&settings(&setup.server.url), admit, peek).unwrap();
    limiter.connected().await.unwrap();
    limiter
}

#[tokio::test]
async fn a_denied_request_writes_nothing() {
    let mut setup = Setup::new().await;
    let limiter = at_a_standstill(&mut setup).await;
    for _ in 0..2 {
        assert!(limiter.admit(&request("a", 60, 2, 1)).await.unwrap().allowed);
    }
    let before = setup.calls(&WRITES).await;
    for _ in 0..50 {
        assert!(!limiter.admit(&request("a", 60, 2, 1)).await.unwrap().allowed);
    }
    assert_eq!(setup.calls(&WRITES).await, before);
    assert!(before > 0, "the statistics count what runs inside scripts");
}

#[tokio::test]
async fn a_peek_and_a_cost_of_nothing_leave_no_key() {
    let mut setup = Setup::new().await;
    assert!(setup.limiter.peek(&request("a", 60, 2, 1)).await.unwrap().allowed);
    assert!(setup.limiter.admit(&request("a", 60, 2, 0)).await.unwrap().allowed);
    assert_eq!(setup.ask::<u64>(&["DBSIZE"]).await, 0);
}

#[tokio::test]
async fn both_keys_always_have_a_ttl_of_at_most_two_windows() {
    let mut setup = Setup::new().await;
    let asked = request("a", 1_000, 1_000, 1);
    for _ in 0..200 {
        let started = Instant::now();
        setup.limiter.admit(&asked).await.unwrap();
        for window in Window::ALL {
            let ttl_ms: i64 = setup.ask(&["PTTL", &key(&asked, window)]).await;
            let length_ms = i64::try_from(window.length_us() / 1_000).unwrap();
            // What a slow machine has let pass since the admission counts for the key.
            let passed_ms = i64::try_from(started.elapsed().as_millis()).unwrap();
            assert!(ttl_ms + passed_ms > length_ms, "{window:?}: {ttl_ms} ms left");
            assert!(ttl_ms <= 2 * length_ms, "{window:?}: {ttl_ms} ms left");
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Goal: what an identity takes stays what is published. Method: two units every other second, so
/// that at the end 60 of 60 and 2 of 2 are used.
#[tokio::test]
async fn an_identity_that_has_used_all_takes_at_most_1_600_bytes() {
    let mut setup = Setup::new().await;
    let limiter = at_a_standstill(&mut setup).await;
    let asked = request("42", 60, 2, 2);
    for step in 0..30 {
        clock::set(NOW_US + step * 2_000_000).exec_async(&mut setup.connection).await.unwrap();
        assert!(limiter.admit(&asked).await.unwrap().allowed);
    }
    let decision = limiter.admit(&asked).await.unwrap();
    assert_eq!((decision.minute.remaining, decision.second.remaining), (0, 0));
    let mut bytes = 0;
    for window in Window::ALL {
        let used = ["MEMORY", "USAGE", &key(&asked, window), "SAMPLES", "0"];
        bytes += setup.ask::<u64>(&used).await;
    }
    assert!(bytes <= 1_600, "{bytes} bytes");
}

#[tokio::test]
async fn a_window_that_somebody_has_deleted_gets_a_ttl_again() {
    let mut setup = Setup::new().await;
    let limiter = at_a_standstill(&mut setup).await;
    let asked = request("a", 60, 60, 1);
    for lost in Window::ALL {
        limiter.admit(&asked).await.unwrap();
        setup.ask::<()>(&["DEL", &key(&asked, lost)]).await;
        limiter.admit(&asked).await.unwrap();
        for window in Window::ALL {
            let ttl_ms: i64 = setup.ask(&["PTTL", &key(&asked, window)]).await;
            assert!(ttl_ms > 0, "{lost:?} was deleted, {window:?} has {ttl_ms}");
        }
    }
}

#[tokio::test]
async fn every_unit_is_a_member_of_its_own_and_an_integer() {
    // One microsecond, several calls of several units each: more than a thousand.
    let mut setup = Setup::new().await;
    let limiter = at_a_standstill(&mut setup).await;
    let asked = request("a", 5_000, 5_000, 7);
    for _ in 0..200 {
        assert!(limiter.admit(&asked).await.unwrap().allowed);
    }
    let mut members = redis::cmd("ZRANGE");
    members.arg(key(&asked, Window::Minute)).arg(0).arg(-1);
    let members: Vec<String> = members.query_async(&mut setup.connection).await.unwrap();
    let numbers: BTreeSet<i64> = members.iter().map(|member| member.parse().unwrap()).collect();
    let first = i64::try_from(NOW_US * 1_000).unwrap();
    assert_eq!(numbers, (first..first + 1_400).collect());
}

#[tokio::test]
async fn a_member_that_is_taken_yields_the_next_integer() {
    // As a step of the clock could leave it: members of this microsecond, admitted before.
    let mut setup = Setup::new().await;
    let limiter = at_a_standstill(&mut setup).await;
    let asked = request("a", 60, 60, 2);
    for (place, earlier_us) in [(1, 3), (0, 2)] {
        let (score, member) = (NOW_US - earlier_us, NOW_US * 1_000 + place);
        for window in Window::ALL {
            let mut add = redis::cmd("ZADD");
            add.arg(key(&asked, window)).arg(score).arg(member);
            add.exec_async(&mut setup.connection).await.unwrap();
        }
    }
    let decision = limiter.admit(&asked).await.unwrap();
    assert_eq!((decision.allowed, decision.minute.remaining), (true, 56));
    for window in Window::ALL {
        assert_eq!(setup.ask::<u64>(&["ZCARD", &key(&asked, window)]).await, 4, "{window:?}");
    }
}

/// All members of a window, as numbers, with their scores.
async fn members(setup: &mut Setup, asked: &Request, window: Window) -> Vec<(u64, u64)> {
    let mut range = redis::cmd("ZRANGE");
    range.arg(key(asked, window)).arg(0).arg(-1).arg("WITHSCORES");
    range.query_async(&mut setup.connection).await.unwrap()
}

/// Goal: after a step back all is stamped with the time that is. Method: a step that is shorter
/// than what a thousand units of a microsecond reach ahead, and one to a time of fewer digits.
#[tokio::test]
async fn a_step_back_stamps_what_was_there_and_what_comes_with_the_time_that_is() {
    for (user, back_us) in [("a", 500), ("b", NOW_US - 946_684_800_000_000)] {
        let mut setup = Setup::new().await;
        let limiter = at_a_standstill(&mut setup).await;
        let (asked, now_us) = (request(user, 60, 60, 1), NOW_US - back_us);
        limiter.admit(&asked).await.unwrap();
        clock::set(now_us).exec_async(&mut setup.connection).await.unwrap();
        for _ in 0..2 {
            assert!(limiter.admit(&asked).await.unwrap().allowed);
        }
        for window in Window::ALL {
            let members = members(&mut setup, &asked, window).await;
            let stamped: Vec<_> = (0..3).map(|place| (now_us * 1_000 + place, now_us)).collect();
            assert_eq!(members, stamped, "{back_us} back: {window:?}");
        }
        clock::set(now_us + 1_000_000).exec_async(&mut setup.connection).await.unwrap();
        let decision = limiter.peek(&asked).await.unwrap();
        assert_eq!((decision.second.remaining, decision.minute.remaining), (60, 57), "{back_us}");
    }
}

#[tokio::test]
async fn members_of_any_form_count_by_their_score_and_hold_nothing_up() {
    let mut setup = Setup::new().await;
    let limiter = at_a_standstill(&mut setup).await;
    let asked = request("a", 60, 60, 2);
    let tomorrow = (NOW_US + 86_400_000_000) * 1_000;
    let odd = ["12345e67abc", "infxxx", "nanxxx", "0xffffffffffffffff000", "1795545891427", ""];
    for member in odd.map(str::to_owned).into_iter().chain([tomorrow.to_string()]) {
        for window in Window::ALL {
            let mut add = redis::cmd("ZADD");
            add.arg(key(&asked, window)).arg(NOW_US - 400_000).arg(&member);
            add.exec_async(&mut setup.connection).await.unwrap();
        }
    }
    for (remaining, at_us) in [(51, NOW_US), (49, NOW_US + 1), (54, NOW_US + 600_000)] {
        clock::set(at_us).exec_async(&mut setup.connection).await.unwrap();
        let decision = limiter.admit(&asked).await.unwrap();
        assert_eq!((decision.allowed, decision.second.remaining), (true, remaining), "{at_us}");
        assert!(decision.minute.reset_us <= 59_600_000, "{decision:?}");
    }
}

#[tokio::test]
async fn an_entry_of_the_future_in_one_log_does_not_reach_the_other() {
    let mut setup = Setup::new().await;
    let limiter = at_a_standstill(&mut setup).await;
    let asked = request("a", 60, 60, 1);
    for _ in 0..5 {
        limiter.admit(&asked).await.unwrap();
    }
    let tomorrow = NOW_US + 86_400_000_000;
    let mut add = redis::cmd("ZADD");
    add.arg(key(&asked, Window::Second)).arg(tomorrow).arg(tomorrow * 1_000);
    add.exec_async(&mut setup.connection).await.unwrap();
    let decision = limiter.admit(&asked).await.unwrap();
    assert_eq!((decision.minute.remaining, decision.second.remaining), (54, 53));
    for window in Window::ALL {
        let mut newest = redis::cmd("ZRANGE");
        newest.arg(key(&asked, window)).arg(-1).arg(-1).arg("WITHSCORES");
        let newest: Vec<(u64, u64)> = newest.query_async(&mut setup.connection).await.unwrap();
        assert_eq!((newest[0].0 / 1_000, newest[0].1), (NOW_US, NOW_US), "{window:?}");
    }
}

#[tokio::test]
async fn what_somebody_else_put_into_a_log_counts_by_its_score() {
    let mut setup = Setup::new().await;
    let limiter = at_a_standstill(&mut setup).await;
    let asked = request("a", 3, 3, 1);
    for (member, age_us) in [("old", 61_000_000), ("x", 500_000)] {
        for window in Window::ALL {
            let mut add = redis::cmd("ZADD");
            add.arg(key(&asked, window)).arg(NOW_US - age_us).arg(member);
            add.exec_async(&mut setup.connection).await.unwrap();
        }
    }
    let decision = limiter.admit(&asked).await.unwrap();
    assert_eq!((decision.allowed, decision.minute.remaining), (true, 1));
    assert_eq!((decision.second.remaining, decision.second.reset_us), (1, 500_000));
}

#[tokio::test]
async fn a_key_of_another_type_fails_its_own_request_alone() {
    let mut setup = Setup::new().await;
    let (bad, good) = (request("bad", 60, 2, 1), request("good", 60, 2, 1));
    setup.ask::<()>(&["SET", &key(&bad, Window::Minute), "x"]).await;
    let (bad, good) = tokio::join!(setup.limiter.admit(&bad), setup.limiter.admit(&good));
    assert!(good.unwrap().allowed);
    let Err(Unavailable::Refused { code, .. }) = bad else { panic!("{bad:?}") };
    assert_eq!(code, "WRONGTYPE");
}

#[tokio::test]
async fn a_full_server_refuses_loudly_and_does_not_grow() {
    let mut setup = Setup::new().await;
    setup.limiter.admit(&request("a", 60, 2, 1)).await.unwrap();
    setup.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let keys: u64 = setup.ask(&["DBSIZE"]).await;
    for n in 0..20 {
        let refused = setup.limiter.admit(&request(&format!("new-{n}"), 60, 2, 1)).await;
        let Err(Unavailable::Refused { code, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(code, "OOM");
    }
    assert_eq!(setup.ask::<u64>(&["DBSIZE"]).await, keys);
    setup.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert!(setup.limiter.admit(&request("new", 60, 2, 1)).await.unwrap().allowed);
}

#[tokio::test]
async fn an_entry_of_the_future_is_stamped_now_by_the_first_denial_that_sees_it() {
    let mut setup = Setup::new().await;
    let asked = request("a", 1, 1, 1);
    let later = "4000000000000000";
    for window in Window::ALL {
        setup.ask::<()>(&["ZADD", &key(&asked, window), later, "4000000000000000000"]).await;
    }
    let denied = setup.limiter.admit(&asked).await.unwrap();
    assert_eq!((denied.allowed, denied.retry_after_us), (false, Some(60_000_000)));
    let (_, score): (String, u64) = setup
        .ask::<Vec<(String, u64)>>(&[
            "ZRANGE",
            &key(&asked, Window::Minute),
            "0",
            "-1",
            "WITHSCORES",
        ])
        .await
        .remove(0);
    assert_eq!(score, denied.at_us);
    let ttl_ms: i64 = setup.ask(&["PTTL", &key(&asked, Window::Minute)]).await;
    assert!((1..=120_000).contains(&ttl_ms), "{ttl_ms}");
}

#[tokio::test]
async fn a_reset_lets_the_next_request_pass_and_leaves_other_keys_alone() {
    let mut setup = Setup::new().await;
    let (a, b) = (request("a", 1, 1, 1), request("b", 1, 1, 1));
    for asked in [&a, &b] {
        assert!(setup.limiter.admit(asked).await.unwrap().allowed);
    }
    setup.limiter.reset(&a.identity, &a.policy.name).await.unwrap();
    assert_eq!(
        setup.ask::<u64>(&["EXISTS", &key(&a, Window::Minute), &key(&a, Window::Second)]).await,
        0
    );
    assert!(setup.limiter.admit(&a).await.unwrap().allowed);
    assert!(!setup.limiter.admit(&b).await.unwrap().allowed);
}
