//! What the machine says of itself and of the processes on it.

use std::ops::{Add, Sub};
use std::process::Command;

use transom_tests::redis_server::{binary, repository};

/// Of `/proc/PID/stat`: 100 a second on every Linux.
const TICK_NS: u64 = 10_000_000;
/// Fields of `/proc/PID/stat` between the name in brackets and the time in user mode.
const BEFORE_TIMES: usize = 11;
/// The place of the stolen time among the times in `/proc/stat`.
const STOLEN: usize = 7;

/// Nanoseconds that all threads of a process have been on a core. Threads that have ended are not
/// counted; `None` where the system does not tell.
pub(crate) fn cpu_ns(pid: u32) -> Option<u64> {
    // What runs has run: a sum of 0 is none.
    schedstat(pid, 0).filter(|sum| *sum > 0)
}

/// Nanoseconds that threads of a process could have run and waited for a core, as in [`cpu_ns`].
pub(crate) fn waited_ns(pid: u32) -> Option<u64> {
    schedstat(pid, 1)
}

/// The sum of a number in `schedstat` of all threads of a process.
fn schedstat(pid: u32, place: usize) -> Option<u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().nth(place)?.parse::<u64>().ok())
        .reduce(|sum, of_thread| sum + of_thread)
}

/// What a process took between two readings of [`cpu_ns`]; `None` where one of them is none, and
/// where a thread that was counted has ended.
pub(crate) fn between(before: Option<u64>, after: Option<u64>) -> Option<u64> {
    after?.checked_sub(before?).filter(|took| *took > 0)
}

/// Why a time of a core is not told.
pub(crate) const CANNOT_BE_MEASURED: &str =
    "cannot be measured here: the system does not tell the time of the cores that a process took";

/// Nanoseconds on a core, by what ran there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// The program.
    pub(crate) user_ns: u64,
    /// The kernel for it: sockets, above all.
    pub(crate) kernel_ns: u64,
}

impl CpuTime {
    /// Of a process and all of its threads, in steps of 10 ms; `None` where the system does not
    /// tell.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // A name may hold spaces and brackets.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(BEFORE_TIMES).map(str::parse::<u64>);
        let mut next = || Some(times.next()?.ok()?.saturating_mul(TICK_NS));
        Some(Self { user_ns: next()?, kernel_ns: next()? })
    }

    /// Both together.
    pub(crate) const fn sum_ns(self) -> u64 {
        self.user_ns + self.kernel_ns
    }
}

impl Add for CpuTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user_ns: self.user_ns + other.user_ns, kernel_ns: self.kernel_ns + other.kernel_ns }
    }
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            user_ns: self.user_ns.saturating_sub(before.user_ns),
            kernel_ns: self.kernel_ns.saturating_sub(before.kernel_ns),
        }
    }
}

/// Time of all cores since the machine started, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostTime {
    all: u64,
    stolen: u64,
}

impl HostTime {
    /// `None` where the system does not tell.
    pub(crate) fn now() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
        // What follows the stolen time is in the time of the program already.
        let times: Vec<u64> = fields.take(STOLEN + 1).map_while(|time| time.parse().ok()).collect();
        Some(Self { all: times.iter().sum(), stolen: *times.get(STOLEN)? })
    }

    /// What the host of a virtual machine gave to others meanwhile, in thousandths of the time of
    /// all cores.
    pub(crate) fn stolen_per_mille(self, since: Self) -> u64 {
        let all = self.all.saturating_sub(since.all);
        self.stolen.saturating_sub(since.stolen) * 1_000 / all.max(1)
    }
}

/// How many processes can run at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Cores, and the system.
pub(crate) fn description() -> String {
    format!("{} cores, {} on {}", cores(), std::env::consts::OS, std::env::consts::ARCH)
}

/// The commit of the source, and whether it was changed since.
pub(crate) fn revision() -> String {
    let git = |arguments: &[&str]| {
        let said = Command::new("git").args(arguments).current_dir(repository()).output().ok()?;
        let said = String::from_utf8(said.stdout).ok().filter(|_| said.status.success())?;
        Some(said.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else {
        return "no commit".to_owned();
    };
    // What this program writes changes nothing that is measured.
    let changed = git(&["status", "--porcelain", "--", ".", ":!docs"]);
    let since = if changed.is_none_or(|changed| !changed.is_empty()) { " and changes" } else { "" };
    format!("commit {commit}{since}")
}

/// What time it is, UTC.
pub(crate) fn time() -> String {
    #[expect(clippy::disallowed_methods, reason = "says when a part ran, and decides nothing")]
    let now = std::time::SystemTime::now();
    humantime::format_rfc3339_seconds(now).to_string()
}

/// The version of the server that is started; `None` where there is none.
pub(crate) fn redis_version() -> Option<String> {
    let said = Command::new(binary()).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.split_whitespace().find_map(|word| word.strip_prefix("v=").map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "42 (a) b (c) R 1 42 42 0 -1 4194304 98 0 0 0 150 25 0 0 20 0 1 0 16 3 350";
        let times = CpuTime { user_ns: 1_500_000_000, kernel_ns: 250_000_000 };
        assert_eq!(CpuTime::parse(stat), Some(times));
        assert_eq!(CpuTime::parse("42 (a"), None);
    }

    #[test]
    fn what_the_host_takes_is_a_part_of_the_time_of_all_cores() {
        let of = |stat: &str| HostTime::parse(stat);
        let before = of("cpu  100 0 100 700 0 0 50 50 40 0\ncpu0 1 1\n").unwrap();
        let after = of("cpu  200 0 200 1400 0 0 100 100 80 0\n").unwrap();
        assert_eq!(after.stolen_per_mille(before), 50);
        assert_eq!(before.stolen_per_mille(before), 0);
        for other in ["", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "intr 1 2 3 4 5 6 7 8"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_revision_is_a_commit_or_says_that_there_is_none() {
        let said = revision();
        assert!(said.starts_with("commit ") || said == "no commit", "{said}");
    }

    #[test]
    fn a_time_that_is_not_told_is_not_0() {
        // No process has this number.
        let nobody = u32::MAX;
        assert_eq!((cpu_ns(nobody), waited_ns(nobody), CpuTime::of(nobody)), (None, None, None));
        assert!(cpu_ns(std::process::id()).is_some());
        assert_eq!(between(Some(5), Some(7)), Some(2));
        for (before, after) in [(None, Some(7)), (Some(5), None), (Some(7), Some(5))] {
            assert_eq!(between(before, after), None);
        }
    }
}
