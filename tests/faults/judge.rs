//! What must hold of a cell, whatever the fault.

use std::time::Duration;

use transom_tests::checker::{Clock, Rule, Violation, check, check_members, check_outage};
use transom_tests::fleet::{Sample, by_redis_permille, records};
use transom_tests::promises::Row;

use crate::cell::{Seen, Span, WORKERS, deadline};
use crate::fault::{Fault, RECONNECTS};
use crate::stage::Topology;

/// What decisions may take beyond the deadline, and how many of a thousand may take longer.
const BEYOND: [(Duration, i64); 2] =
    [(Duration::from_millis(10), 1), (Duration::from_millis(100), 0)];
/// Redis decides again, within this, for so many of a thousand.
const BACK_WITHIN_MS: u64 = 1_000;
const BACK_PERMILLE: usize = 990;
/// Recovery is measured in steps of this.
const STEP_MS: u64 = 50;
/// Connections of a worker to Redis: its two lanes, three that the pool has to spare, and one that
/// listens for changes.
const CONNECTIONS: usize = 6;
/// Of these, those that are always connected.
const CONNECTING: usize = 4;
/// What a worker may hold more after a fault than before: it holds no more of anything that grows
/// with the requests that failed, of which there are hundreds.
const MORE_TASKS: i64 = 24;
const MORE_FILES: i64 = 12;
const MORE_BYTES: i64 = 48 << 20;

/// Asserts what holds, and writes the row down.
pub(crate) fn cell(row: &str, seen: &Seen) {
    for sample in &seen.samples {
        assert!(is_its_policys(sample), "no answer of its policy: {sample:?}");
    }
    let (over_admissions, broken) = broken_rules(seen);
    let shown: Vec<_> = broken.iter().take(5).map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{} rules broken: {}", broken.len(), shown.join("\n"));
    let times = seen.after.since(&seen.before).times();
    let count = times.count();
    for (beyond, permille) in BEYOND {
        let late = times.above(micros(deadline(seen.fault) + beyond));
        // Half of it is the worker's own, which takes longer on a machine that is late.
        let excused = seen.lateness.of(count, beyond / 2);
        assert!(
            late - excused <= count * permille / 1_000,
            "{late} of {count} decisions took longer than D + {beyond:?}, and the machine was \
             late for {excused}: {times:?}"
        );
    }
    let recovery_ms = recovery_ms(seen);
    let moved = signs(seen);
    is_flat(seen);
    Row {
        times: seen.spans.len() as u64,
        decisions: count.unsigned_abs(),
        p999_us: Some(times.edge_us(1)),
        worst_us: Some(times.edge_us(0)),
        over_admissions,
        recovery_ms: Some(recovery_ms),
        moved,
        ..Row::new(row)
    }
    .write();
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).expect("a short time")
}

/// Whether an answer is one that its policy may give: nothing is made up for want of a decision.
fn is_its_policys(sample: &Sample) -> bool {
    let denied = if sample.gateway { 429 } else { 200 };
    match (sample.source.as_str(), sample.path) {
        ("cache", _) => sample.reason.is_none() && sample.status == denied,
        ("redis", _) => sample.reason.is_none() && [200, denied].contains(&sample.status),
        ("local", "/" | "/tight") => {
            sample.reason.is_some() && [200, denied].contains(&sample.status)
        }
        ("none", "/allow") => sample.reason.is_some() && sample.status == 200,
        ("none", "/deny") => sample.reason.is_none() && sample.status == 503,
        _ => false,
    }
}

/// What the checker says. A rule that a clock is part of says nothing of a clock that stepped.
/// With how many times a window held more than its limit, allowed for this fault or not.
fn broken_rules(seen: &Seen) -> (u64, Vec<Violation>) {
    let records = records(&seen.samples);
    let mut broken = check(&records, Clock::REDIS).violations;
    broken.extend(check_members(&records, &seen.kept, seen.read_at_us));
    // By the clock of the clients: one that stepped says nothing of real time.
    let over = broken.iter().filter(|violation| violation.rule == Rule::S2RealTime).count();
    let has_lost = broken.iter().any(|violation| violation.rule == Rule::S4ChargedOnce);
    let losses = if seen.may_lose && has_lost { seen.spans.len() } else { 0 };
    if losses > 0 {
        // What a replica had not got, or an old master took on its return, is gone. S6 remains.
        broken.clear();
    }
    let losses = u32::try_from(losses).expect("a few");
    broken.extend(check_outage(&records, WORKERS, losses));
    broken.retain(|violation| match seen.fault {
        // Of a step back real time is the judge.
        Fault::ClockBack => violation.rule == Rule::S2RealTime,
        // After a step forward a key may get its limit once more, which is S6's bound.
        Fault::ClockForward => ![Rule::S2RealTime, Rule::S4ChargedOnce].contains(&violation.rule),
        _ => true,
    });
    (over as u64, broken)
}

/// How long it took until Redis decided again, at the worst.
fn recovery_ms(seen: &Seen) -> u64 {
    let back = |span: &Span, ms: u64| {
        let by_redis =
            by_redis_permille(&seen.samples, span.back_ns + ms * 1_000_000, span.until_ns);
        by_redis.is_some_and(|permille| permille >= BACK_PERMILLE)
    };
    let worst = seen.spans.iter().map(|span| {
        let mut steps = (0..=BACK_WITHIN_MS).step_by(usize::try_from(STEP_MS).expect("a few"));
        steps.find(|ms| back(span, *ms)).unwrap_or_else(|| {
            let permille = by_redis_permille(
                &seen.samples,
                span.back_ns + BACK_WITHIN_MS * 1_000_000,
                span.until_ns,
            );
            panic!("a second after its return Redis decides {permille:?} of a thousand")
        })
    });
    worst.max().unwrap_or(0)
}

/// The metrics that had to move, and by how much.
fn signs(seen: &Seen) -> Vec<String> {
    let moved = seen.after.since(&seen.before);
    let degraded = moved.sum("transom_degraded_total", &[]);
    if seen.fault.is_invisible() {
        let without: Vec<_> =
            seen.samples.iter().filter(|sample| !sample.is_by_redis()).take(3).collect();
        assert!(degraded == 0 && without.is_empty(), "{degraded} degraded: {without:?}");
    } else if seen.fault != Fault::Failover {
        assert!(degraded > 0, "nothing was counted as decided without Redis");
    }
    // In a cluster another node's connections are there already, none is made in place of another.
    let elsewhere = seen.topology == Topology::Cluster && seen.may_lose;
    let signs = seen.fault.signs().iter().filter(|(name, _)| !elsewhere || *name != RECONNECTS);
    let signs = signs.map(|(name, label)| {
        let by = moved.sum(name, &[label]);
        assert!(by > 0, "{name} {label} did not move");
        if label.is_empty() { format!("{name} +{by}") } else { format!("{name}{{{label}}} +{by}") }
    });
    signs.collect()
}

/// As many attempts to connect as pauses allow, which grow to a quarter of a second and by chance
/// are half as long: a few at first, and then eight in a second.
fn most_attempts(seen: &Seen) -> usize {
    let seconds = |span: &Span| (span.until_ns - span.began_ns).div_ceil(1_000_000_000);
    let each: u64 = seen.spans.iter().map(|span| 6 + 8 * seconds(span)).sum();
    usize::try_from(each).expect("a few") * CONNECTING * WORKERS as usize
}

/// That nothing has piled up.
fn is_flat(seen: &Seen) {
    if let Some([connections, attempts]) = seen.connections {
        let most = CONNECTIONS * WORKERS as usize;
        assert!(connections <= most, "{connections} connections to Redis, more than {most}");
        assert!(attempts <= most_attempts(seen), "{attempts} attempts to connect");
    }
    let [before, after] = [&seen.before, &seen.after].map(|metrics| {
        let clients = metrics.sum("transom_connections", &[]);
        let tasks = metrics.sum("transom_tasks", &[]) - clients;
        let files = metrics.sum("process_open_fds", &[]) - clients;
        [tasks, files, metrics.sum("process_resident_memory_bytes", &[])]
    });
    for (of, more) in [MORE_TASKS, MORE_FILES, MORE_BYTES].into_iter().enumerate() {
        let what = ["tasks", "open files", "bytes"][of];
        assert!(after[of] <= before[of] + more, "{what}: {} before, {}", before[of], after[of]);
    }
    assert_eq!(seen.after.sum("transom_redis_waiting", &[]), 0, "requests still wait");
}
