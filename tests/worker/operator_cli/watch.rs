//! `transom top --watch` ends when it is asked to.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::CONFIG;
use crate::process::{LOOK_AGAIN, Process, Worker};

/// Starts to watch, and waits until this has been said twice.
async fn watch(worker: &Worker, more: &[&str], part: &str) -> Process {
    let admin = format!("http://{}", worker.admin);
    let arguments = [&["top", "--watch", "--admin", &admin], more].concat();
    let watching = Process::start(&arguments, &[]);
    let asked = Instant::now();
    while watching.all_said().matches(part).count() < 2 {
        let patient = asked.elapsed() < Duration::from_secs(20);
        assert!(patient, "{part:?} is not said twice: {}", watching.all_said());
        sleep(LOOK_AGAIN).await;
    }
    watching
}

#[tokio::test]
async fn watching_prints_one_table_after_another_until_it_is_interrupted() {
    let worker = Worker::start(CONFIG).await;
    for signal in ["INT", "TERM"] {
        let mut watching = watch(&worker, &[], "nobody was denied").await;
        watching.signal(signal);
        let ended = watching.end().await;
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{signal}: {ended:?}");
        assert!(!ended.stdout.contains('\u{1b}'), "nothing is cleared in a file: {ended:?}");
    }
}

#[tokio::test]
async fn watching_in_json_is_a_document_a_line() {
    let worker = Worker::start(CONFIG).await;
    let mut watching = watch(&worker, &["--json"], "}\n").await;
    watching.signal("INT");
    let ended = watching.end().await;
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    for line in ended.stdout.lines() {
        let top: Value = serde_json::from_str(line).unwrap();
        assert!(top["items"].is_array(), "{line}");
    }
}

/// Goal: `transom top --watch | head -1` ends.
#[tokio::test]
async fn watching_ends_when_nobody_reads_any_more() {
    let worker = Worker::start(CONFIG).await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let admin = format!("http://{}", worker.admin);
    let ended = tokio::task::spawn_blocking(move || {
        let mut command = std::process::Command::new(transom_tests::fleet::worker_binary());
        command.args(["top", "--watch", "--admin", &admin]).env_clear().stdout(writer);
        command.output().unwrap()
    });
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}
