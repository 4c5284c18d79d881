//! Who reads the system's clock.

use std::collections::BTreeSet;

use crate::source::{files, read};
use transom_tests::redis_server::repository;

/// The files that name it, and what for. Windows move by the clock of Redis: nothing on the way of
/// a decision is here but the start of the in-process limiter's own clock.
const READERS: [(&str, &str); 8] = [
    ("crates/bench/src/machine.rs", "when a part of the benchmarks ran"),
    ("crates/cli/src/show.rs", "shows times to people"),
    ("crates/local/src/clock.rs", "where the in-process limiter's clock starts"),
    ("crates/redis/src/examine.rs", "a doctor compares it with that of Redis"),
    ("crates/server/src/console/session.rs", "when a session ends"),
    ("crates/server/src/identity/token/mod.rs", "whether a token has expired"),
    ("crates/server/src/reload/status.rs", "when a configuration was taken up"),
    ("crates/server/src/telemetry/metrics.rs", "the same, as a metric"),
];

#[test]
fn only_what_is_named_here_reads_the_systems_clock() {
    let root = repository();
    let crates = root.join("crates");
    let named = files(&[".rs"]).into_iter().filter(|path| path.starts_with(&crates));
    let named = named.filter(|path| read(path).contains("SystemTime::now"));
    let found: BTreeSet<String> = named
        .map(|path| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned())
        .collect();
    let known = READERS.map(|(path, _)| path.to_owned()).into();
    assert_eq!(found, known);
}
