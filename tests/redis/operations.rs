//! What operators do, on a real Redis: in force at once, gone by itself, and never a storm of
//! writes.

use std::time::Duration;

use transom_core::{
    Change, Counts, Denied, Held, Identity, LimitedBy, Limiter, Limits, LimitsFrom, Mode, Note,
    Operations, PenaltyRules, Request, Scope, Traffic, Window,
};

use crate::setup::{Setup, key, request};

const WRITES: [&str; 8] =
    ["zadd", "zrem", "zremrangebyscore", "pexpire", "del", "set", "hset", "hdel"];
const RULES: PenaltyRules = PenaltyRules {
    strikes: 5,
    within_us: 60_000_000,
    block_us: 300_000_000,
    max_us: 600_000_000,
    forget_us: 3_600_000_000,
};

fn user() -> Identity {
    Identity::user("a").unwrap()
}

fn note() -> Note {
    Note { by: "an operator".into(), reason: "ü \"why\" {not}".into() }
}

/// A request that may end in a block.
fn punishable(minute: u32, second: u32) -> Request {
    Request { penalty: Some(RULES), ..request("a", minute, second, 1) }
}

#[tokio::test]
async fn an_override_holds_for_the_next_request_and_ends_by_itself() {
    let mut setup = Setup::new().await;
    let asked = request("a", 1, 1, 1);
    assert!(setup.limiter.admit(&asked).await.unwrap().allowed);
    assert!(!setup.limiter.admit(&asked).await.unwrap().allowed);
    let limits = Limits { minute: 100, second: 50 };
    let lasting = Some(Duration::from_millis(400));
    let set = setup.limiter.set_override(&user(), &Scope::All, limits, lasting, &note()).await;
    assert_eq!(set.as_ref().unwrap().until_us, Some(set.as_ref().unwrap().at_us + 400_000));
    let raised = setup.limiter.admit(&asked).await.unwrap();
    assert!(raised.allowed);
    assert_eq!((raised.minute.limit, raised.limits_from), (100, LimitsFrom::OverrideAll));
    let (_, standing) = setup.limiter.standing(&user()).await.unwrap();
    assert_eq!(standing.overrides[&Scope::All], set.unwrap());

    while setup.limiter.peek(&asked).await.unwrap().minute.limit != 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The key's own time is in whole milliseconds, rounded up.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let keys: Vec<String> = setup.ask(&["KEYS", "*override"]).await;
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test]
async fn an_override_without_end_keeps_its_key_and_a_shorter_one_does_not_take_it_along() {
    let mut setup = Setup::new().await;
    let limits = Limits { minute: 7, second: 7 };
    let search = Scope::Policy("search".to_owned().try_into().unwrap());
    let set = async |scope: &Scope, lasting: Option<u64>| {
        let lasting = lasting.map(Duration::from_secs);
        setup.limiter.set_override(&user(), scope, limits, lasting, &note()).await.unwrap();
    };
    set(&Scope::All, Some(100)).await;
    set(&search, Some(10)).await;
    let ttl_ms: i64 = setup.ask(&["PTTL", "transom:1:{user:a}:override"]).await;
    assert!((90_000..=100_000).contains(&ttl_ms), "{ttl_ms}");
    let set = async |scope: &Scope, lasting: Option<u64>| {
        let lasting = lasting.map(Duration::from_secs);
        setup.limiter.set_override(&user(), scope, limits, lasting, &note()).await.unwrap();
    };
    set(&search, None).await;
    let ttl_ms: i64 = setup.ask(&["PTTL", "transom:1:{user:a}:override"]).await;
    assert_eq!(ttl_ms, -1);
    assert!(setup.limiter.delete_override(&user(), &search).await.unwrap());
    assert!(!setup.limiter.delete_override(&user(), &search).await.unwrap());
    let ttl_ms: i64 = setup.ask(&["PTTL", "transom:1:{user:a}:override"]).await;
    assert!((80_000..=100_000).contains(&ttl_ms), "what is left ends: {ttl_ms}");
    assert!(setup.limiter.delete_override(&user(), &Scope::All).await.unwrap());
    assert_eq!(setup.ask::<u64>(&["EXISTS", "transom:1:{user:a}:override"]).await, 0);
}

#[tokio::test]
async fn a_block_by_hand_stands_before_every_policy_and_survives_ordinary_traffic() {
    let mut setup = Setup::new().await;
    let asked = punishable(60, 60);
    setup.limiter.block(&user(), None, &note()).await.unwrap();
    for _ in 0..20 {
        let denied = setup.limiter.admit(&asked).await.unwrap();
        assert_eq!(denied.limited_by, LimitedBy::Penalty);
        assert_eq!(denied.retry_after_us, Some(86_400_000_000));
        assert_eq!(denied.minute.remaining, 60, "true numbers of the window");
    }
    assert_eq!(setup.ask::<i64>(&["PTTL", "transom:1:{user:a}:penalty"]).await, -1);
    let shadow = Request { enforced: false, ..asked.clone() };
    assert!(setup.limiter.admit(&shadow).await.unwrap().allowed);

    let block = setup.limiter.block(&user(), Some(Duration::from_secs(9)), &note()).await.unwrap();
    assert_eq!(block.note, note());
    let denied = setup.limiter.admit(&asked).await.unwrap();
    assert!(denied.retry_after_us.is_some_and(|wait_us| wait_us <= 9_000_000), "{denied:?}");
    let ttl_ms: i64 = setup.ask(&["PTTL", "transom:1:{user:a}:penalty"]).await;
    assert!((1..=9_000).contains(&ttl_ms), "{ttl_ms}");
    assert!(setup.limiter.unblock(&user()).await.unwrap());
    assert!(!setup.limiter.unblock(&user()).await.unwrap());
    assert!(setup.limiter.admit(&asked).await.unwrap().allowed);
}

#[tokio::test]
async fn a_storm_of_denials_is_a_block_and_few_writes() {
    let mut setup = Setup::new().await;
    let asked = punishable(60, 1);
    assert!(setup.limiter.admit(&asked).await.unwrap().allowed);
    let before = setup.calls(&WRITES).await;
    let started = tokio::time::Instant::now();
    let mut denials = 0;
    loop {
        let answers = (0..50).map(|_| setup.limiter.admit(&asked));
        let answers = futures_util::future::join_all(answers).await;
        denials += answers.iter().filter(|answer| !answer.as_ref().unwrap().allowed).count();
        if answers.iter().any(|answer| {
            answer.as_ref().is_ok_and(|decision| decision.limited_by == LimitedBy::Penalty)
        }) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "no block after {denials} denials");
    }
    // One report a second, each an HSET and a PEXPIRE, the last with the block's own HSET; and
    // what was admitted, at most one a second.
    let seconds = started.elapsed().as_secs() + 2;
    let writes = setup.calls(&WRITES).await - before;
    assert!(writes <= 9 * seconds, "{writes} writes in {seconds} s for {denials} denials");

    let before = setup.calls(&WRITES).await;
    for _ in 0..500 {
        assert!(!setup.limiter.admit(&asked).await.unwrap().allowed);
    }
    assert_eq!(setup.calls(&WRITES).await, before, "who is blocked writes nothing");
}

#[tokio::test]
async fn records_that_cannot_be_read_fail_their_identity_alone() {
    let mut setup = Setup::new().await;
    let _: () = setup.ask(&["HSET", "transom:1:{user:a}:override", "*:minute", "many"]).await;
    let _: () = setup.ask(&["HSET", "transom:1:{user:b}:penalty", "until_us", "soon"]).await;
    let _: () = setup.ask(&["SET", "transom:1:{user:c}:override", "1"]).await;
    let _: () = setup.ask(&["SET", "transom:1:{user:d}:penalty", "1"]).await;
    for (user, says) in
        [("a", "in an override"), ("b", "in a penalty"), ("c", "WRONGTYPE"), ("d", "WRONGTYPE")]
    {
        let refused = setup.limiter.admit(&request(user, 60, 2, 1)).await.unwrap_err();
        assert!(refused.to_string().contains(says), "{user}: {refused}");
        assert!(!refused.may_have_charged());
    }
    assert!(setup.limiter.admit(&request("e", 60, 2, 1)).await.unwrap().allowed);
}

#[tokio::test]
async fn everybody_with_an_override_or_a_block_is_listed() {
    let setup = Setup::new().await;
    let limits = Limits { minute: 1, second: 1 };
    let names = ["b", "c}d", "a"];
    for name in names {
        let user = Identity::user(name).unwrap();
        setup.limiter.set_override(&user, &Scope::All, limits, None, &note()).await.unwrap();
    }
    setup.limiter.block(&Identity::user("x").unwrap(), None, &note()).await.unwrap();
    setup.limiter.block(&Identity::user("a").unwrap(), None, &note()).await.unwrap();
    let long = Identity::user(&"и".repeat(400)).unwrap();
    setup.limiter.block(&long, None, &note()).await.unwrap();
    // Those with strikes alone are many, and their names come first.
    for n in 0..50 {
        let address: Identity = format!("ip:192.0.2.{n}").parse().unwrap();
        let asked = Request { identity: address, ..punishable(60, 0) };
        assert!(!setup.limiter.admit(&asked).await.unwrap().allowed);
    }
    let list = async |kind, max| {
        let listed = setup.limiter.standings(kind, max).await.unwrap();
        let names = listed.held.into_iter().map(|(identity, _)| identity.to_string());
        (names.collect::<Vec<_>>(), listed.more)
    };
    let overrides = ["user:a", "user:b", "user:c}d"].map(str::to_owned).to_vec();
    assert_eq!(list(Held::Override, 10).await, (overrides, false));
    let blocks = vec!["user:a".to_owned(), "user:x".to_owned(), long.to_string()];
    assert_eq!(list(Held::Block, 10).await, (blocks, false));
    assert_eq!(list(Held::Block, 1).await, (vec!["user:a".to_owned()], true));
}

#[tokio::test]
async fn marks_are_the_units_that_count_at_their_times() {
    let mut setup = Setup::new().await;
    let asked = request("a", 60, 60, 3);
    setup.limiter.admit(&asked).await.unwrap();
    setup.limiter.admit(&asked).await.unwrap();
    let marks = setup.limiter.marks(&user(), &asked.policy.name, 100).await.unwrap();
    let units: Vec<_> = marks.minute.iter().map(|mark| mark.units).collect();
    assert_eq!(units, [3, 3]);
    let score: Vec<String> =
        setup.ask(&["ZRANGE", &key(&asked, Window::Minute), "0", "0", "WITHSCORES"]).await;
    assert_eq!(marks.minute[0].at_us.to_string(), score[1]);
    let newest = setup.limiter.marks(&user(), &asked.policy.name, 2).await.unwrap();
    assert_eq!(newest.minute.len(), 1);
    assert_eq!(newest.minute[0].units, 2);
}

#[tokio::test]
async fn reports_of_workers_add_up_and_stay_bounded() {
    let mut setup = Setup::new().await;
    let counts = Counts { admitted: 3, denied_second: 2, degraded: 1, ..Counts::default() };
    let denied = |name: &str, denials| Denied { identity: Identity::user(name).unwrap(), denials };
    for _ in 0..2 {
        let who = [denied("a", 5), denied("b", 7)];
        setup.limiter.report(&counts, &who).await.unwrap();
    }
    let traffic = setup.limiter.traffic().await.unwrap();
    let mut sum = Counts::default();
    traffic.buckets.iter().for_each(|bucket| sum.add(&bucket.counts));
    assert_eq!((sum.admitted, sum.denied_second, sum.degraded), (6, 4, 2));
    assert_eq!(setup.limiter.denied(1).await.unwrap(), [denied("b", 14)]);

    for hundred in 0..12 {
        let many: Vec<_> = (0..100).map(|n| denied(&format!("{hundred}-{n}"), 1)).collect();
        setup.limiter.report(&Counts::default(), &many).await.unwrap();
    }
    let keys: Vec<String> = setup.ask(&["KEYS", "*denied*"]).await;
    for key in keys {
        assert!(setup.ask::<usize>(&["ZCARD", &key]).await <= Traffic::DENIED_MAX);
        let ttl_ms: i64 = setup.ask(&["PTTL", &key]).await;
        assert!((1..=600_000).contains(&ttl_ms), "{ttl_ms}");
    }
    assert_eq!(setup.limiter.denied(2).await.unwrap(), [denied("b", 14), denied("a", 10)]);
    let ttl_ms: i64 = setup.ask(&["PTTL", "transom:1:{fleet}:traffic"]).await;
    assert!((1..=900_000).contains(&ttl_ms), "{ttl_ms}");
}

#[tokio::test]
async fn a_report_drops_buckets_that_are_too_old() {
    let mut setup = Setup::new().await;
    let traffic = "transom:1:{fleet}:traffic";
    let _: () = setup.ask(&["HSET", traffic, "1000:admitted", "9", "nonsense", "1"]).await;
    let counts = Counts { admitted: 1, ..Counts::default() };
    setup.limiter.report(&counts, &[]).await.unwrap();
    let fields: Vec<String> = setup.ask(&["HKEYS", traffic]).await;
    let counted: Vec<_> = fields.iter().filter(|field| !field.ends_with(":span")).collect();
    assert_eq!(counted.len(), 1, "{fields:?}");
    assert!(counted[0].ends_with(":admitted") && counted[0] != "1000:admitted");
    let _: () = setup.ask(&["HSET", traffic, "1000:admitted", "9"]).await;
    assert_eq!(setup.limiter.traffic().await.unwrap().buckets.len(), 1, "what is old is not told");
}

#[tokio::test]
async fn denials_of_an_older_span_are_not_added_to() {
    let mut setup = Setup::new().await;
    let who = [Denied { identity: user(), denials: 5 }];
    setup.limiter.report(&Counts::default(), &who).await.unwrap();
    // As if these sets were of spans long ago that have not expired.
    let _: () =
        setup.ask(&["HSET", "transom:1:{fleet}:traffic", "even:span", "1", "odd:span", "2"]).await;
    setup.limiter.report(&Counts::default(), &who).await.unwrap();
    assert_eq!(setup.limiter.denied(9).await.unwrap(), who);
}

#[tokio::test]
async fn strikes_of_whoever_stays_away_are_reported_too() {
    let mut setup = Setup::new().await;
    let asked = punishable(60, 0);
    for _ in 0..4 {
        assert!(!setup.limiter.admit(&asked).await.unwrap().allowed);
    }
    let started = tokio::time::Instant::now();
    loop {
        let (_, standing) = setup.limiter.standing(&user()).await.unwrap();
        if standing.penalty.strikes == 4 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{standing:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let windows: Vec<String> = setup.ask(&["KEYS", "*:minute"]).await;
    assert!(windows.is_empty(), "a report charges nothing: {windows:?}");
}

#[tokio::test]
async fn a_full_redis_denies_as_the_windows_say_and_counts_no_strike() {
    let mut setup = Setup::new().await;
    let asked = punishable(60, 0);
    let _: () = setup.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let denied = setup.limiter.admit(&asked).await.unwrap();
    assert_eq!((denied.allowed, denied.limited_by), (false, LimitedBy::Second));
    let admitted = setup.limiter.admit(&punishable(60, 1)).await;
    assert!(admitted.is_err_and(|reason| reason.to_string().contains("OOM")));
    let _: () = setup.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let (_, standing) = setup.limiter.standing(&user()).await.unwrap();
    assert_eq!(standing.penalty.strikes, 0);
}

#[tokio::test]
async fn a_mode_that_was_taken_back_is_not_one_that_is_forgotten() {
    let mut setup = Setup::new().await;
    let mode = transom_core::FleetMode::default();
    let following = tokio::spawn({
        let (limiter, mode) = (setup.limiter.clone(), mode.clone());
        async move { limiter.follow_mode(mode).await }
    });
    let becomes = async |expected: Option<Mode>| {
        let started = tokio::time::Instant::now();
        while mode.get() != expected {
            assert!(started.elapsed() < Duration::from_secs(20), "{:?}", mode.get());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    setup.limiter.set_mode(Some(Mode::Off)).await.unwrap();
    becomes(Some(Mode::Off)).await;
    let _: () = setup.ask(&["FLUSHALL"]).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(mode.get(), Some(Mode::Off), "a Redis that comes back empty changes nothing");
    setup.limiter.set_mode(Some(Mode::Shadow)).await.unwrap();
    becomes(Some(Mode::Shadow)).await;
    setup.limiter.set_mode(None).await.unwrap();
    becomes(None).await;
    assert_eq!(setup.limiter.fleet_mode().await.unwrap(), None);
    following.abort();
}

#[tokio::test]
async fn the_mode_of_the_fleet_and_changes_are_kept() {
    let mut setup = Setup::new().await;
    assert_eq!(setup.limiter.fleet_mode().await.unwrap(), None);
    setup.limiter.set_mode(Some(Mode::Shadow)).await.unwrap();
    assert_eq!(setup.limiter.fleet_mode().await.unwrap(), Some(Mode::Shadow));
    for target in ["user:1", "user:2"] {
        let change = Change {
            action: "block.set".into(),
            target: target.into(),
            detail: "10m".into(),
            note: note(),
            at_ms: 0,
        };
        setup.limiter.record(&change).await.unwrap();
    }
    let changes = setup.limiter.changes(10).await.unwrap();
    let targets: Vec<_> = changes.iter().map(|change| change.target.as_str()).collect();
    assert_eq!(targets, ["user:2", "user:1"], "newest first");
    assert_eq!(changes[0].note, note());
    assert!(changes[0].at_ms > 1_600_000_000_000);
    let _: () = setup.ask(&["SET", "transom:1:mode", "loud"]).await;
    assert!(setup.limiter.fleet_mode().await.is_err());
}
