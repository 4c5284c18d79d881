//! What a worker makes of its file from one reading to the next.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

const FIRST: &str = "[[policy]]\nname = 'default'\nminute = 10\nsecond = 10\n";
const SECOND: &str = "[[policy]]\nname = 'default'\nminute = 20\nsecond = 20\n";
const BROKEN: &str = "[redis]\nurl = 'redis://:hunter2'\n";

/// A reloader without a worker around it, and its file.
struct Stage {
    folder: TempDir,
    reloader: Reloader,
}

impl Stage {
    /// Runs under [`FIRST`].
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("transom.toml");
        std::fs::write(&file, FIRST).unwrap();
        Self { reloader: reloader(ConfigSource::new(Some(&file), [])), folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("transom.toml")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.file(), text).unwrap();
    }

    /// Reads the file twice, which is often enough for a change.
    async fn look_twice(&mut self) {
        self.reloader.look().await;
        self.reloader.look().await;
    }

    fn status(&self) -> Arc<ConfigStatus> {
        self.reloader.status().load_full()
    }

    /// Units a minute that are in force, and the version.
    fn in_force(&self) -> (u32, u64) {
        (minute(&self.reloader), self.status().version)
    }

    /// What is said of a refusal, without the folder.
    fn refusal(&self) -> Option<String> {
        let folder = format!("{}/", self.folder.path().display());
        self.status().last_error.as_ref().map(|refusal| refusal.message.replace(&folder, ""))
    }
}

fn reloader(source: ConfigSource) -> Reloader {
    let config = source.load().unwrap();
    let lasting = Lasting::open(&config).unwrap();
    let front = Arc::new(ArcSwap::from_pointee(lasting.front(&config).unwrap()));
    Reloader::new(source, config, lasting, front)
}

fn minute(reloader: &Reloader) -> u32 {
    reloader.front.load().gate.policies().default_policy().limits.minute
}

#[tokio::test]
async fn a_change_is_taken_up_when_two_readings_find_it() {
    let mut stage = Stage::new();
    stage.look_twice().await;
    assert_eq!((stage.in_force(), stage.refusal()), ((10, 1), None));
    let before = stage.status();
    stage.write(SECOND);
    stage.reloader.look().await;
    assert_eq!(stage.in_force(), (10, 1), "somebody may still be writing");
    stage.reloader.look().await;
    assert_eq!(stage.in_force(), (20, 2));
    let after = stage.status();
    assert!(after.digest.len() == 12 && after.digest != before.digest, "{after:?}");
    assert!(after.applied_at >= before.applied_at);
    stage.look_twice().await;
    assert_eq!(stage.status(), after, "one change is one version");
}

#[tokio::test]
async fn a_file_that_is_still_being_written_is_left_alone() {
    let mut stage = Stage::new();
    for half in ["", "[[policy]]\n", "[[policy]]\nname = 'def", SECOND] {
        stage.write(half);
        stage.reloader.look().await;
        assert_eq!((stage.in_force(), stage.refusal()), ((10, 1), None), "{half}");
    }
    stage.reloader.look().await;
    assert_eq!(stage.in_force(), (20, 2));
}

#[tokio::test]
async fn a_file_is_refused_once_and_what_was_in_force_stays() {
    let mut stage = Stage::new();
    stage.write(BROKEN);
    stage.look_twice().await;
    assert_eq!(stage.in_force(), (10, 1));
    let said = stage.refusal().unwrap();
    assert!(said.starts_with("transom.toml: redis.url: no host and port"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let refused = stage.status();
    stage.look_twice().await;
    assert!(Arc::ptr_eq(&stage.status(), &refused), "it is not refused again");
    stage.write(SECOND);
    stage.look_twice().await;
    assert_eq!((stage.in_force(), stage.refusal()), ((20, 2), None));
}

#[tokio::test]
async fn a_file_that_is_gone_is_refused_and_no_new_version_when_it_is_back() {
    let mut stage = Stage::new();
    std::fs::remove_file(stage.file()).unwrap();
    stage.reloader.look().await;
    assert_eq!(stage.refusal(), None, "it may be on its way");
    stage.reloader.look().await;
    assert_eq!(stage.in_force(), (10, 1));
    assert_eq!(stage.refusal().unwrap(), "transom.toml: no such file");
    stage.write(FIRST);
    stage.look_twice().await;
    assert_eq!((stage.in_force(), stage.refusal()), ((10, 1), None));
}

#[tokio::test]
async fn who_asks_gets_the_file_at_once() {
    let mut stage = Stage::new();
    for (text, in_force) in
        [(FIRST, (10, 1)), (SECOND, (20, 2)), (BROKEN, (20, 2)), (FIRST, (10, 3))]
    {
        stage.write(text);
        stage.reloader.reload().await;
        assert_eq!(stage.in_force(), in_force, "{text}");
        assert_eq!(stage.refusal().is_some(), text == BROKEN, "{text}");
        let handled = stage.status();
        stage.look_twice().await;
        assert!(Arc::ptr_eq(&stage.status(), &handled), "it is not taken up again");
    }
}

#[tokio::test]
async fn without_a_file_nothing_is_read() {
    let mut reloader = reloader(ConfigSource::new(None, []));
    let before = reloader.status().load_full();
    assert_eq!((before.version, before.digest.as_str()), (1, ""));
    reloader.reload().await;
    assert!(Arc::ptr_eq(&reloader.status().load_full(), &before));
}

#[tokio::test]
async fn connections_to_an_upstream_outlive_a_change_of_something_else() {
    let mut stage = Stage::new();
    let upstream = |stage: &Stage| Arc::clone(&stage.reloader.front.load().upstream);
    let to = |port| format!("[gateway]\nupstream = 'http://127.0.0.1:{port}'\n");
    let echo = upstream(&stage);
    stage.write(SECOND);
    stage.look_twice().await;
    assert!(Arc::ptr_eq(&upstream(&stage), &echo));
    stage.write(&to(3000));
    stage.look_twice().await;
    let first = upstream(&stage);
    assert!(!Arc::ptr_eq(&first, &echo));
    stage.write(&format!("{}{SECOND}", to(3000)));
    stage.look_twice().await;
    assert!(Arc::ptr_eq(&upstream(&stage), &first));
    stage.write(&to(3001));
    stage.look_twice().await;
    assert!(!Arc::ptr_eq(&upstream(&stage), &first));
}

#[tokio::test]
async fn what_waits_for_a_restart_is_told_as_long_as_it_does() {
    let mut stage = Stage::new();
    let listen = "[listen]\ngateway = '127.0.0.1:9080'\n[local]\nmax_identities = 1\n";
    for (text, in_force, waits) in [
        (format!("{listen}{SECOND}"), (20, 2), &["listen.gateway", "local.max_identities"][..]),
        (format!("{listen}{FIRST}"), (10, 3), &["listen.gateway", "local.max_identities"]),
        (FIRST.to_owned(), (10, 4), &[]),
    ] {
        stage.write(&text);
        stage.look_twice().await;
        assert_eq!(stage.in_force(), in_force);
        assert_eq!(stage.status().needs_restart, waits);
    }
}
