//! SIGHUP: the file is read at once.

use std::time::{Duration, Instant};

use super::{in_force, limit, limit_of};
use crate::client::get;
use crate::process::Worker;

/// How long two readings that nobody asks for are apart: without the signal nothing is in force
/// before.
const TWO_READINGS: Duration = Duration::from_millis(500);

/// Goal: the signal is what puts a file in force.
/// Method: on a machine that is busy it may take its time; so it is tried until it was sooner than
/// the readings could have been.
#[tokio::test]
async fn sighup_puts_a_file_in_force_at_once() {
    let worker = Worker::start(&limit(10)).await;
    let mut took = Vec::new();
    for minute in 20..40 {
        worker.configure(&limit(minute));
        let asked = Instant::now();
        worker.process.signal("HUP");
        in_force(&worker, minute).await;
        took.push(asked.elapsed());
        if asked.elapsed() < TWO_READINGS {
            return;
        }
    }
    panic!("never sooner than {TWO_READINGS:?}: {took:?}");
}

#[tokio::test]
async fn sighup_reads_a_file_that_has_not_changed_and_says_what_it_found() {
    let worker = Worker::start(&limit(10)).await;
    for times in 1..=2 {
        worker.process.signal("HUP");
        worker.says("the configuration in force was read again version=1", times).await;
    }
    worker.configure("[redis]\nlane = 2\n");
    for times in 1..=2 {
        worker.process.signal("HUP");
        worker.says("redis.lane: unknown key; did you mean lanes?", times).await;
    }
    assert_eq!(limit_of(&worker).await, 10);
}

/// Goal: a signal that is sent to every worker ends none.
#[tokio::test]
async fn sighup_without_a_file_changes_nothing() {
    let mut worker = Worker::by_default().await;
    worker.process.signals(&["HUP", "HUP"]);
    worker.says("there is no configuration file to read again", 1).await;
    assert_eq!(get(worker.gateway, "/").await.status(), 200);
    worker.process.signal("TERM");
    assert_eq!(worker.process.end().await.code, Some(0));
}

#[tokio::test]
async fn sighup_while_a_worker_drains_is_heard_and_does_not_hurry_it() {
    let delay = [("TRANSOM__GATEWAY__DRAIN_DELAY", "1h")];
    let mut worker = Worker::with(&limit(10), &delay).await;
    worker.process.signal("TERM");
    worker.says("draining", 1).await;
    worker.configure(&limit(20));
    worker.process.signal("HUP");
    in_force(&worker, 20).await;
    worker.process.signal("INT");
    let ended = worker.process.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
