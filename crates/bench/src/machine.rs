//! What the machine says of itself and of the processes on it.

use std::process::Command;

/// Nanoseconds that all threads of a process have been on a core. Threads that have ended are not
/// counted; 0 where the system does not tell.
pub(crate) fn cpu_ns(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

/// Cores, and the system.
pub(crate) fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores, {} on {}", std::env::consts::OS, std::env::consts::ARCH)
}

/// The version of the `redis-server` that is started; `None` where there is none.
pub(crate) fn redis_version() -> Option<String> {
    let said = Command::new("redis-server").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.split_whitespace().find_map(|word| word.strip_prefix("v=").map(str::to_owned))
}
