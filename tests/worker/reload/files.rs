//! Files that are broken, mended, gone, or swapped as Kubernetes does it.

use std::fs::{create_dir, remove_dir, remove_dir_all, remove_file, rename, write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::tempdir;
use tokio::time::sleep;

use super::{WITHIN, in_force, limit, limit_of};
use crate::process::{CONFIG_FILE, LOOK_AGAIN, Worker};

const REFUSED: &str = "the configuration is refused";

/// Asserts that a limit stays in force for as long as another could take to be.
async fn stays(worker: &Worker, minute: u64) {
    let began = Instant::now();
    while began.elapsed() < WITHIN {
        assert_eq!(limit_of(worker).await, minute);
        sleep(LOOK_AGAIN).await;
    }
}

fn path(worker: &Worker) -> PathBuf {
    worker.folder.as_ref().expect("a file of its own").path().join(CONFIG_FILE)
}

/// Goal: a mistake in a file costs nothing but a line in the log, which says what to mend.
#[tokio::test]
async fn a_broken_file_is_refused_once_and_a_mended_one_is_in_force() {
    let worker = Worker::start(&limit(10)).await;
    worker.configure(&format!("{}cost = 1001\n", limit(20)));
    worker.says(REFUSED, 1).await;
    stays(&worker, 10).await;
    let log = worker.process.all_said();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(REFUSED)).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in ["ERROR", CONFIG_FILE, "policy[0].cost: must be 0 to 1000, not 1001", "version=1"] {
        assert_eq!(lines[0].matches(part).count(), 1, "{part} once in: {}", lines[0]);
    }
    worker.configure(&limit(20));
    in_force(&worker, 20).await;
    worker.configure("[policy");
    worker.says(REFUSED, 2).await;
    worker.configure(&limit(30));
    in_force(&worker, 30).await;
    worker.says("in force version=3", 1).await;
}

#[tokio::test]
async fn a_file_that_is_gone_leaves_the_old_one_in_force() {
    let worker = Worker::start(&limit(10)).await;
    let path = path(&worker);
    remove_file(&path).unwrap();
    worker.says("transom.toml: no such file", 1).await;
    create_dir(&path).unwrap();
    worker.says("transom.toml: a directory, not a file", 1).await;
    assert_eq!(limit_of(&worker).await, 10);
    remove_dir(&path).unwrap();
    write(&path, limit(10)).unwrap();
    worker.says("the configuration in force was read again version=1", 1).await;
    for minute in [20, 30] {
        remove_file(&path).unwrap();
        write(&path, limit(minute)).unwrap();
        in_force(&worker, minute).await;
    }
    assert!(!worker.process.all_said().contains("panicked"));
}

#[tokio::test]
async fn a_file_that_is_written_in_place_is_in_force() {
    let worker = Worker::start(&limit(10)).await;
    let path = path(&worker);
    for minute in [20, 30] {
        write(&path, limit(minute)).unwrap();
        in_force(&worker, minute).await;
    }
}

/// Writes a folder of a ConfigMap, and points the link `..data` at it in one step.
fn publish(mount: &Path, folder: &str, minute: u64) {
    let steps = || {
        create_dir(mount.join(folder))?;
        write(mount.join(folder).join(CONFIG_FILE), limit(minute))?;
        symlink(folder, mount.join("..data_tmp"))?;
        rename(mount.join("..data_tmp"), mount.join("..data"))
    };
    steps().expect("a mount of this test");
}

/// Goal: a ConfigMap that changes is seen, though neither the file's link nor any file does.
/// Method: a mount as the kubelet lays it out, `FILE -> ..data/FILE` and `..data -> FOLDER`.
#[tokio::test]
async fn a_link_that_kubernetes_swaps_is_followed() {
    let mount = tempdir().unwrap();
    let mount = mount.path();
    publish(mount, "..2001", 10);
    let path = mount.join(CONFIG_FILE);
    symlink(Path::new("..data").join(CONFIG_FILE), &path).unwrap();
    let worker = Worker::with_file(&[], &path, &[]).await;
    assert_eq!(limit_of(&worker).await, 10);
    for (old, folder, minute) in [("..2001", "..2002", 20), ("..2002", "..2003", 30)] {
        publish(mount, folder, minute);
        remove_dir_all(mount.join(old)).unwrap();
        in_force(&worker, minute).await;
    }
    assert!(!worker.process.all_said().contains(REFUSED));
}
