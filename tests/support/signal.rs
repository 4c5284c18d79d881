//! Signals to processes that a test has started.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a process may take to stop on a machine that is busy with other things.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// Sends signals by their names, such as `TERM`, from one shell so that nothing comes between
/// them. After `STOP` it waits until the process has stopped: a thread of it that runs meanwhile
/// goes on for a while, and answers.
///
/// # Panics
///
/// If there is no such process, or it does not stop.
pub fn signal(pid: u32, names: &[&str]) {
    let kill: Vec<_> = names.iter().map(|name| format!("kill -s {name} {pid}")).collect();
    let status = Command::new("sh").args(["-c", &kill.join(" && ")]).status();
    assert!(status.is_ok_and(|status| status.success()), "not sent to {pid}: {names:?}");
    if names.last() == Some(&"STOP") {
        let sent = Instant::now();
        while !has_stopped(pid) {
            assert!(sent.elapsed() < STOPS_WITHIN, "process {pid} does not stop");
            sleep(Duration::from_millis(1));
        }
    }
}

/// The letter that the system has for what a process is doing; `None` where it tells none.
pub(crate) fn state(pid: u32) -> Option<char> {
    state_in(Path::new(&format!("/proc/{pid}")))
}

/// The same of a process or a thread in its folder.
fn state_in(folder: &Path) -> Option<char> {
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next())
}

/// Whether all threads of a process have stopped, or the system does not tell.
fn has_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| state_in(&thread.path())).all(|state| state == 'T')
}
