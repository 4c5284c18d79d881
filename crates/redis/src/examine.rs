//! What is wrong with a Redis: for `transom doctor`.

mod keys;
mod rights;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use redis::FromRedisValue;
use tokio::time::timeout;
use transom_core::Unavailable;

use crate::RedisLimiter;
use crate::control;
use crate::node::{Node, Nodes};
use crate::settings::STUCK_AFTER;

/// The oldest version on which the scripts run.
const OLDEST: (u32, u32) = (6, 2);
/// Clocks that differ by less are no finding.
const SKEW_MAX: Duration = Duration::from_secs(2);
/// The share of the memory limit from which on it is a finding, in percent.
const MEMORY_MAX_PERCENT: u64 = 90;

/// The finding without which nothing else is looked at.
const CONNECTION: &str = "connection";

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Fine,
    /// It could not be looked at.
    Unknown,
    /// It works, and is likely not meant.
    Odd,
    /// A promise does not hold.
    Broken,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// What.
    pub what: &'static str,
    /// How serious the finding is.
    pub severity: Severity,
    /// What was found, and what to do.
    pub said: String,
}

fn found(what: &'static str, severity: Severity, said: impl Into<String>) -> Examined {
    Examined { what, severity, said: said.into() }
}

impl Examined {
    /// The same, said of one of several servers.
    pub(crate) fn of(self, server: Option<&str>) -> Self {
        let said = server.map_or(self.said.clone(), |name| format!("{name}: {}", self.said));
        Self { said, ..self }
    }
}

impl RedisLimiter {
    /// Looks for what is wrong with the servers and with the keys of this prefix. It writes to keys
    /// of its own, and deletes them.
    pub async fn examine(&self) -> Vec<Examined> {
        // Right after the start the first attempt to connect may be under way.
        let _ = self.connected().await;
        let nodes = self.control.nodes.all();
        let mut all = self.examine_slots(&nodes);
        for (name, node) in &nodes {
            let of_node = examine_node(node).await.into_iter();
            all.extend(of_node.map(|one| one.of(name.as_deref())));
        }
        let lost = |one: &Examined| one.what == CONNECTION && one.severity == Severity::Broken;
        if !all.iter().any(lost) {
            all.push(self.examine_rights().await);
            all.extend(self.examine_keys().await);
        }
        all
    }

    /// Of a cluster, whether its slots have nodes.
    fn examine_slots(&self, nodes: &[(Option<String>, Arc<Node>)]) -> Vec<Examined> {
        const WHAT: &str = "slots";
        let Nodes::Cluster(cluster) = &self.control.nodes else { return Vec::new() };
        match (cluster.state(|_| Ok(())), nodes.len()) {
            (Ok(()), many) => {
                vec![found(WHAT, Severity::Fine, format!("each is on one of {many} primaries"))]
            }
            (Err(reason), 0) => {
                vec![found(CONNECTION, Severity::Broken, rights::with_hint(&reason))]
            }
            (Err(Unavailable::Unreachable { reason }), _) => {
                vec![found(WHAT, Severity::Broken, reason)]
            }
            (Err(reason), _) => vec![found(WHAT, Severity::Broken, reason.to_string())],
        }
    }
}

/// What one server says of itself.
async fn examine_node(node: &Node) -> Vec<Examined> {
    let mut all = Vec::new();
    match ask::<String>(node, "PING").await {
        Ok(_) => all.push(found(CONNECTION, Severity::Fine, "it answers")),
        Err(reason) => {
            all.push(found(CONNECTION, Severity::Broken, rights::with_hint(&reason)));
            return all;
        }
    }
    match ask::<String>(node, "INFO").await {
        Ok(info) => all.extend(of_info(&Info::read(&info))),
        Err(reason) => {
            let said = format!("INFO is refused, so most was not looked at: {reason}");
            all.push(found("server", Severity::Unknown, said));
        }
    }
    all.push(examine_clock(node).await);
    all
}

async fn examine_clock(node: &Node) -> Examined {
    const WHAT: &str = "clock";
    let Ok((s, us)) = ask::<(u64, u64)>(node, "TIME").await else {
        return found(WHAT, Severity::Unknown, "TIME is refused");
    };
    let theirs = Duration::from_secs(s) + Duration::from_micros(us);
    let skew = theirs.abs_diff(wall_clock());
    if skew <= SKEW_MAX {
        return found(WHAT, Severity::Fine, "that of Redis and this machine's agree");
    }
    let said = format!(
        "that of Redis and this machine's differ by {} s; limits follow that of Redis, so \
         only times in logs will not match",
        skew.as_secs()
    );
    found(WHAT, Severity::Odd, said)
}

/// Sends one word to a server and reads its reply.
pub(crate) async fn ask<T: FromRedisValue>(node: &Node, word: &str) -> Result<T, Unavailable> {
    let reply = timeout(STUCK_AFTER, node.send(&redis::cmd(word), false)).await;
    control::read(reply.unwrap_or(Err(Unavailable::Deadline))?)
}

#[expect(clippy::disallowed_methods, reason = "compared for people; no limit moves by it")]
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The policy of a server that forgets nothing.
const NO_EVICTION: &str = "noeviction";

/// The fields of INFO.
pub(crate) struct Info<'a>(HashMap<&'a str, &'a str>);

impl<'a> Info<'a> {
    pub(crate) fn read(text: &'a str) -> Self {
        Self(text.lines().filter_map(|line| line.trim_end().split_once(':')).collect())
    }

    fn text(&self, field: &str) -> Option<&'a str> {
        self.0.get(field).copied()
    }

    pub(crate) fn number(&self, field: &str) -> u64 {
        self.text(field).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether a full server would forget keys, as far as it says.
    pub(crate) fn evicts(&self) -> bool {
        self.text("maxmemory_policy").is_some_and(|policy| policy != NO_EVICTION)
    }
}

fn of_info(info: &Info<'_>) -> Vec<Examined> {
    let [eviction, memory] = keeps_what_it_is_given(info);
    vec![version(info), role(info), eviction, memory, persistence(info)]
}

/// What makes a server that runs forget or refuse keys.
pub(crate) fn keeps_what_it_is_given(info: &Info<'_>) -> [Examined; 2] {
    [eviction(info), memory(info)]
}

fn version(info: &Info<'_>) -> Examined {
    const WHAT: &str = "version";
    let (name, text) = match info.text("valkey_version") {
        Some(text) => ("Valkey", text),
        None => ("Redis", info.text("redis_version").unwrap_or_default()),
    };
    let mut numbers = text.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => {
            found(WHAT, Severity::Fine, format!("{name} {text}"))
        }
        (Some(_), Some(_)) => {
            let said = format!("{name} {text} is older than {}.{}", OLDEST.0, OLDEST.1);
            found(WHAT, Severity::Broken, said)
        }
        _ => found(WHAT, Severity::Unknown, format!("{text:?} is no version that is known")),
    }
}

fn role(info: &Info<'_>) -> Examined {
    const WHAT: &str = "role";
    match info.text("role") {
        Some("master") => found(WHAT, Severity::Fine, "it takes writes"),
        Some(role) => {
            let said =
                format!("it is a {role} and takes no writes; point redis.url at its primary");
            found(WHAT, Severity::Broken, said)
        }
        None => found(WHAT, Severity::Unknown, "INFO does not say"),
    }
}

fn eviction(info: &Info<'_>) -> Examined {
    const WHAT: &str = "eviction";
    let evicted = info.number("evicted_keys");
    if evicted > 0 {
        let said = format!(
            "{evicted} keys were evicted since the server started: limits, blocks or API keys may \
             have been forgotten; set maxmemory-policy noeviction and give it more memory"
        );
        return found(WHAT, Severity::Broken, said);
    }
    match info.text("maxmemory_policy") {
        Some(NO_EVICTION) => found(WHAT, Severity::Fine, "maxmemory-policy is noeviction"),
        Some(policy) => {
            let said = format!(
                "maxmemory-policy is {policy}: a full server would forget limits, blocks and API \
                 keys without a word; set noeviction"
            );
            found(WHAT, Severity::Odd, said)
        }
        None => found(WHAT, Severity::Unknown, "INFO does not say"),
    }
}

fn memory(info: &Info<'_>) -> Examined {
    const WHAT: &str = "memory";
    let (used, most) = (info.number("used_memory"), info.number("maxmemory"));
    let mib = |bytes: u64| bytes / (1 << 20);
    if most == 0 {
        let said = format!("{} MiB are used; maxmemory is not set", mib(used));
        return found(WHAT, Severity::Fine, said);
    }
    let percent = used.saturating_mul(100) / most;
    let said = format!("{} of {} MiB are used, {percent} %", mib(used), mib(most));
    let full = percent >= MEMORY_MAX_PERCENT;
    found(WHAT, if full { Severity::Odd } else { Severity::Fine }, said)
}

fn persistence(info: &Info<'_>) -> Examined {
    const WHAT: &str = "persistence";
    match info.text("aof_enabled") {
        Some("1") => found(WHAT, Severity::Fine, "the append-only file is on"),
        Some(_) => {
            let said = "the append-only file is off: overrides, blocks and API keys set since the \
                        last snapshot do not survive a restart";
            found(WHAT, Severity::Odd, said)
        }
        None => found(WHAT, Severity::Unknown, "INFO does not say"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn severities(info: &str) -> Vec<(&'static str, Severity)> {
        let examined = of_info(&Info::read(info));
        examined.into_iter().map(|one| (one.what, one.severity)).collect()
    }

    #[test]
    fn a_server_as_it_should_be_is_fine() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nevicted_keys:0\r\n\
                    maxmemory_policy:noeviction\r\nused_memory:10\r\nmaxmemory:100\r\naof_enabled:1";
        assert!(severities(info).iter().all(|(_, severity)| *severity == Severity::Fine));
    }

    #[test]
    fn what_breaks_a_promise_is_named() {
        for (info, what, severity) in [
            ("redis_version:6.0.9", "version", Severity::Broken),
            ("redis_version:7.2.4\r\nvalkey_version:9.0.0", "version", Severity::Fine),
            ("redis_version:new", "version", Severity::Unknown),
            ("role:slave", "role", Severity::Broken),
            ("evicted_keys:3\r\nmaxmemory_policy:noeviction", "eviction", Severity::Broken),
            ("maxmemory_policy:allkeys-lru", "eviction", Severity::Odd),
            ("used_memory:95\r\nmaxmemory:100", "memory", Severity::Odd),
            ("aof_enabled:0", "persistence", Severity::Odd),
            ("", "role", Severity::Unknown),
        ] {
            assert!(severities(info).contains(&(what, severity)), "{info}: {:?}", severities(info));
        }
    }
}
