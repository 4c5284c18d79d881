//! Workers that cannot hear of changes answer nothing themselves.

use std::time::{Duration, Instant};

use transom_core::{Decision, Limiter, Request, Source};
use transom_redis::RedisLimiter;
use transom_tests::RedisServer;
use transom_tests::chaos::{Chaos, Mode, Way, Which};

use super::{until_denied, until_known};
use crate::acl::RIGHTS;
use crate::sentinel::{FOLLOWED_WITHIN, connected, until};
use crate::setup::{Setup, knowing, log_in, request, settings};

/// Nothing is said of what Redis has not shown for so long to have changed by nobody.
const SEEN_WITHIN: Duration = Duration::from_millis(100);

/// What a worker says for a while that knows of a denial, and when each was asked for.
async fn hammer(
    limiter: &RedisLimiter,
    asked: &Request,
    lasts: Duration,
) -> Vec<(Instant, Decision)> {
    let mut answers = Vec::new();
    let started = Instant::now();
    while started.elapsed() < lasts {
        let sent = Instant::now();
        // Who gets no answer now does not wait for it.
        let answer = tokio::time::timeout(Duration::from_millis(20), limiter.admit(asked)).await;
        if let Ok(Ok(decision)) = answer {
            answers.push((sent, decision));
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    answers
}

fn known(answers: &[(Instant, Decision)]) -> usize {
    answers.iter().filter(|(_, answer)| answer.source == Source::Cache).count()
}

#[tokio::test]
async fn without_the_right_to_the_channel_everything_is_asked() {
    let mut setup = Setup::new().await;
    for lacking in ["&transom:1:*", "+subscribe"] {
        let rights = RIGHTS.replace(lacking, "");
        let url = log_in(&setup.server, &mut setup.connection, &rights).await;
        let settings = transom_redis::Settings { known_denials: true, ..settings(&url) };
        let limiter = RedisLimiter::open(&settings).unwrap();
        limiter.connected().await.unwrap();
        let asked = request(lacking, 1, 1, 1);
        until_denied(&limiter, &asked).await;
        let answers = hammer(&limiter, &asked, Duration::from_millis(500)).await;
        assert!(answers.len() > 20 && known(&answers) == 0, "{lacking}: {}", known(&answers));
        // What operators do is done all the same.
        limiter.reset(&asked.identity, &asked.policy.name).await.unwrap();
        assert!(limiter.admit(&asked).await.unwrap().allowed, "{lacking}");
    }
}

#[tokio::test]
async fn without_the_right_to_publish_a_change_is_made_and_seen_within_a_second() {
    let mut setup = Setup::knowing().await;
    let asked = request("a", 1, 1, 1);
    until_denied(&setup.limiter, &asked).await;
    let rights = RIGHTS.replace("+publish", "");
    let url = log_in(&setup.server, &mut setup.connection, &rights).await;
    let other = RedisLimiter::open(&settings(&url)).unwrap();
    other.connected().await.unwrap();
    let limiter = knowing(&settings(&url)).await;
    until_denied(&limiter, &asked).await;
    other.reset(&asked.identity, &asked.policy.name).await.unwrap();
    let changed = Instant::now();
    while !limiter.admit(&asked).await.unwrap().allowed {
        assert!(changed.elapsed() < Duration::from_millis(1_100), "a known denial lasts a second");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Goal: a connection that has died in silence, as a network does it, is not taken for peace.
/// Method: a proxy swallows all that goes through open connections.
#[tokio::test]
async fn a_connection_that_has_died_in_silence_is_not_taken_for_peace() {
    let setup = Setup::new().await;
    let upstream = setup.server.url.trim_start_matches("redis://").parse().unwrap();
    let proxy = Chaos::start(upstream).await;
    let url = setup.url.replace(&upstream.to_string(), &proxy.address.to_string());
    let limiter = knowing(&settings(&url)).await;
    let asked = request("a", 1, 1, 1);
    until_denied(&limiter, &asked).await;
    // By now the minute alone denies, so that what is known lasts.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    until_denied(&limiter, &asked).await;
    proxy.set(Mode::BlackHole(Way::Both), Which::All).await;
    let cut = Instant::now();
    let answers = hammer(&limiter, &asked, Duration::from_millis(600)).await;
    assert!(known(&answers) > 0, "nothing was known");
    for (sent, answer) in answers {
        let after = sent.saturating_duration_since(cut);
        assert!(after <= SEEN_WITHIN, "{after:?} after the cut: {answer:?}");
    }
    proxy.set(Mode::Pass, Which::All).await;
    until("changes are heard of again", async || limiter.hears_changes()).await;
}

/// Goal: what is changed while a worker cannot hear is seen with its next answer. Method: the server
/// ends the subscription and takes no other, and a window is emptied by hand.
#[tokio::test]
async fn a_worker_whose_subscription_was_ended_asks() {
    let mut setup = Setup::knowing().await;
    let asked = request("a", 1, 1, 1);
    until_denied(&setup.limiter, &asked).await;
    until_known(&setup.limiter, &asked).await;
    let _: String = setup.ask(&["ACL", "SETUSER", "worker", "resetchannels"]).await;
    let _: redis::Value = setup.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    until("it is deaf", async || !setup.limiter.hears_changes()).await;
    let answers = hammer(&setup.limiter, &asked, Duration::from_millis(300)).await;
    assert!(answers.len() > 20 && known(&answers) == 0, "{}", known(&answers));
    let _: String = setup.ask(&["ACL", "SETUSER", "worker", "&transom:1:*"]).await;
    until("changes are heard of again", async || setup.limiter.hears_changes()).await;
    until_denied(&setup.limiter, &asked).await;
    until_known(&setup.limiter, &asked).await;
}

#[tokio::test]
async fn what_is_known_of_a_server_that_was_killed_is_not_said() {
    let mut setup = Setup::on(RedisServer::process(&[]).await).await.and_knowing().await;
    let asked = request("a", 1, 1, 1);
    until_denied(&setup.limiter, &asked).await;
    until_known(&setup.limiter, &asked).await;
    setup.server.stop();
    until("it is deaf", async || !setup.limiter.hears_changes()).await;
    let answers = hammer(&setup.limiter, &asked, Duration::from_millis(300)).await;
    assert!(answers.is_empty(), "{answers:?}");
    setup.server.start_again().await;
    let mut connection = setup.server.connect().await;
    log_in(&setup.server, &mut connection, RIGHTS).await;
    until("it decides", async || setup.limiter.admit(&asked).await.is_ok()).await;
    until("it peeks, on a connection of its own", async || {
        setup.limiter.peek(&asked).await.is_ok()
    })
    .await;
    let forgotten = setup.limiter.peek(&asked).await.unwrap();
    assert_eq!(forgotten.minute.used, 1, "the first request after the restart was admitted");
}

/// Goal: after a failover a worker hears the new master, and says nothing that the old one told it.
#[tokio::test]
async fn after_a_failover_the_new_master_is_heard() {
    let sentinels = transom_tests::sentinel::Sentinels::start().await;
    let settings = crate::sentinel::settings(sentinels.urls(""));
    let limiter = connected(&settings).await;
    until("changes are heard of", async || limiter.hears_changes()).await;
    let asked = request("a", 1, 1, 1);
    until("it denies", async || limiter.admit(&asked).await.is_ok_and(|a| !a.allowed)).await;
    until_known(&limiter, &asked).await;
    let before = sentinels.master().await;
    sentinels.fail_over().await;
    until("another is the master", async || sentinels.master().await != before).await;
    tokio::time::sleep(FOLLOWED_WITHIN).await;
    until("changes are heard of there", async || limiter.hears_changes()).await;
    until("it denies", async || limiter.admit(&asked).await.is_ok_and(|a| !a.allowed)).await;
    // The operator goes to the new master, as sentinels name it.
    let operator = connected(&settings).await;
    operator.reset(&asked.identity, &asked.policy.name).await.unwrap();
    tokio::time::sleep(SEEN_WITHIN).await;
    let answer = limiter.admit(&asked).await.unwrap();
    assert!(answer.allowed, "{answer:?}");
}
