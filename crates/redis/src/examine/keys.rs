//! The keys of a prefix: their types, and that windows expire.

use transom_core::{Unavailable, Window};

use super::{Examined, Severity, found};
use crate::RedisLimiter;
use crate::keyspace::Keyspace;
use crate::walk::Walk;

/// How many keys are looked at.
const KEYS_MAX: usize = 200_000;
/// How many at a time. Decisions wait while Redis tells of them.
const STEP: usize = 250;

/// What a key of this kind must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    type_name: &'static str,
    /// The longest TTL, in ms, where there must be one.
    ttl_max_ms: Option<i64>,
}

/// The kind of a key, by what follows the prefix and a colon; `None` for a stranger.
fn kind(rest: &str) -> Option<Kind> {
    let of = |type_name| Some(Kind { type_name, ttl_max_ms: None });
    // What another doctor is at, or has left when it was interrupted.
    if let Some(scratch) = rest.strip_prefix("doctor:") {
        let own = ["string", "hash", "zset", "stream"].into_iter().find(|name| *name == scratch);
        return own.map_or_else(|| kind(scratch), of);
    }
    if let Some((_, own)) = rest.split_once("}:").filter(|_| rest.starts_with('{')) {
        let window =
            Window::ALL.into_iter().find(|window| own.ends_with(&format!(":{}", window.as_str())));
        return match (window, own) {
            (Some(window), _) => {
                let ttl_max_ms = i64::try_from(2 * window.length_us() / 1_000).ok();
                Some(Kind { type_name: "zset", ttl_max_ms })
            }
            (None, "override" | "penalty" | "traffic") => of("hash"),
            (None, "denied:even" | "denied:odd") => of("zset"),
            _ => None,
        };
    }
    match rest {
        "workers" => of("zset"),
        "mode" | "keys:revision" => of("string"),
        "audit" => of("stream"),
        _ if rest.starts_with("key:") => of("hash"),
        _ => None,
    }
}

/// How many keys are wrong in one way, and one of them.
#[derive(Debug, Default)]
struct Wrong {
    count: usize,
    example: String,
}

impl Wrong {
    fn add(&mut self, key: &str) {
        self.count += 1;
        if self.example.is_empty() {
            key.clone_into(&mut self.example);
        }
    }

    fn found(&self, severity: Severity, what: &str) -> Option<Examined> {
        let said = format!("{} {what}, such as {}", self.count, self.example);
        (self.count > 0).then(|| found("keys", severity, said))
    }
}

impl RedisLimiter {
    pub(super) async fn examine_keys(&self) -> Vec<Examined> {
        match self.look_at_keys().await {
            Ok(examined) => examined,
            Err(reason) => {
                vec![found("keys", Severity::Unknown, format!("not looked at: {reason}"))]
            }
        }
    }

    async fn look_at_keys(&self) -> Result<Vec<Examined>, Unavailable> {
        let keyspace = &self.control.keyspace;
        let pattern = keyspace.every_key();
        let mut walk = self.control.walk(&pattern, STEP).await?;
        let (mut seen, mut more) = (Seen::default(), false);
        while let Some(keys) = walk.step().await? {
            more = seen.looked_at >= KEYS_MAX && !keys.is_empty();
            if more {
                break;
            }
            seen.look_at(&keys, keyspace, &mut walk).await?;
        }
        Ok(seen.found(more))
    }
}

/// What the keys were like.
#[derive(Debug, Default)]
struct Seen {
    looked_at: usize,
    foreign: Wrong,
    no_ttl: Wrong,
    strange: Wrong,
}

impl Seen {
    async fn look_at(
        &mut self,
        keys: &[String],
        keyspace: &Keyspace,
        walk: &mut Walk<'_>,
    ) -> Result<(), Unavailable> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut all = redis::pipe();
        for key in keys {
            all.cmd("TYPE").arg(key).cmd("PTTL").arg(key);
        }
        let replies: Vec<redis::Value> = walk.read(&mut all).await?;
        self.looked_at += keys.len();
        for (key, reply) in keys.iter().zip(replies.chunks(2)) {
            let [type_name, redis::Value::Int(ttl_ms)] = reply else { continue };
            let type_name = redis::from_redis_value_ref::<String>(type_name).unwrap_or_default();
            match keyspace.rest_of(key).and_then(kind) {
                // It has expired since it was found.
                _ if type_name == "none" => {}
                None => self.strange.add(key),
                Some(kind) if kind.type_name != type_name => self.foreign.add(key),
                Some(Kind { ttl_max_ms: Some(most), .. }) if !(0..=most).contains(ttl_ms) => {
                    self.no_ttl.add(key);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn found(&self, more: bool) -> Vec<Examined> {
        let Self { looked_at, foreign, no_ttl, strange } = self;
        let mut examined: Vec<_> = [
            foreign.found(Severity::Broken, "keys have another type than they should have"),
            no_ttl.found(Severity::Broken, "windows do not expire in time"),
            strange.found(Severity::Odd, "keys under the prefix are not Transom's"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if examined.is_empty() {
            let said = format!("{looked_at} keys have the types and times that they should");
            examined.push(found("keys", Severity::Fine, said));
        }
        if more {
            let said = format!("there are more than the {looked_at} that were looked at");
            examined.push(found("keys", Severity::Unknown, said));
        }
        examined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_of_a_kind() {
        for (rest, type_name) in [
            ("{user:42}:default:minute", "zset"),
            ("{user:42}:a.b_c:second", "zset"),
            ("{user:42}:override", "hash"),
            ("{ip:2001:db8::}:penalty", "hash"),
            ("{fleet}:traffic", "hash"),
            ("{fleet}:denied:odd", "zset"),
            ("workers", "zset"),
            ("mode", "string"),
            ("audit", "stream"),
            ("keys:revision", "string"),
            ("key:00ff", "hash"),
            ("doctor:zset", "zset"),
            ("doctor:{user:transom-doctor}:default:second", "zset"),
            ("doctor:audit", "stream"),
        ] {
            assert_eq!(kind(rest).map(|kind| kind.type_name), Some(type_name), "{rest}");
        }
        assert_eq!(kind("{user:42}:default:minute").unwrap().ttl_max_ms, Some(120_000));
        for rest in
            ["", "other", "{user:42}", "{user:42}:default:hour", "minute", "doctor:", "doctor:a"]
        {
            assert_eq!(kind(rest), None, "{rest}");
        }
    }
}
