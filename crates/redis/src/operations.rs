//! What operators do, in Redis: records beside the windows, and counts of the fleet.

mod records;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use redis::streams::StreamRangeReply;
use redis::{Cmd, FromRedisValue};
use transom_core::{
    Block, Bucket, Change, Counts, Denied, Held, Identity, Limits, Mark, Marks, Mode, Note,
    Operations, Override, PolicyName, Scope, Standing, Standings, Traffic, Unavailable, Window,
};

use crate::RedisLimiter;

const OVERRIDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../lua/override.lua"));
const BLOCK: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../lua/block.lua"));
pub(crate) const RESET: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../lua/reset.lua"));
const REPORT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../lua/report.lua"));

/// The channel on which each script publishes what it has changed, behind the prefix.
pub(crate) const CHANGES: &str = "changes";
/// On record in place of a mode where it was taken back.
const NO_MODE: &str = "configured";
/// How many changes are kept on record, about.
const CHANGES_MAX: usize = 10_000;
/// How many keys one step of a scan looks at.
const SCAN_COUNT: usize = 1_000;

impl Operations for RedisLimiter {
    async fn standing(&self, identity: &Identity) -> Result<(u64, Standing), Unavailable> {
        let keyspace = &self.control.keyspace;
        let keys = [keyspace.overrides(identity), keyspace.penalty(identity)];
        let (now_us, found) = self.read(&keys).await?;
        let [overrides, penalty] = &found[..] else {
            return Err(Unavailable::Reply("not as many hashes as were asked for".into()));
        };
        let mut standing = Standing {
            overrides: records::overrides(overrides),
            penalty: records::penalty(penalty),
        };
        standing.settle(now_us);
        Ok((now_us, standing))
    }

    async fn standings(&self, kind: Held, max: usize) -> Result<Standings, Unavailable> {
        let keyspace = &self.control.keyspace;
        let pattern = match kind {
            Held::Override => keyspace.every_override(),
            Held::Block => keyspace.every_penalty(),
        };
        let keys = self.control.scan(&pattern, SCAN_COUNT).await?;
        let (mut now_us, mut held) = (0, Vec::new());
        for some in keys.chunks(SCAN_COUNT) {
            let (at_us, records) = self.read(some).await?;
            now_us = at_us;
            for (key, fields) in some.iter().zip(records) {
                let standing = match kind {
                    Held::Override => {
                        Standing { overrides: records::overrides(&fields), ..Standing::default() }
                    }
                    Held::Block => {
                        Standing { penalty: records::penalty(&fields), ..Standing::default() }
                    }
                };
                let identity = records::identity(&fields).or_else(|| keyspace.identity_of(key));
                held.extend(identity.map(|identity| (identity, standing)));
            }
        }
        held.retain_mut(|(_, standing)| {
            standing.settle(now_us);
            kind.is_in(standing, now_us)
        });
        Ok(Standings::of(held, max))
    }

    async fn set_override(
        &self,
        identity: &Identity,
        scope: &Scope,
        limits: Limits,
        lasting: Option<Duration>,
        note: &Note,
    ) -> Result<Override, Unavailable> {
        let key = [self.control.keyspace.overrides(identity)];
        let with = |script: &mut Cmd| {
            script.arg(scope.as_str()).arg(limits.minute).arg(limits.second);
            script.arg(lasting_us(lasting)).arg(&note.by).arg(&note.reason).arg(identity.as_str());
        };
        let (at_us, until_us, _there): (u64, u64, u8) = self.change(OVERRIDE, &key, with).await?;
        Ok(Override { limits, until_us: end(until_us), at_us, note: note.clone() })
    }

    async fn delete_override(
        &self,
        identity: &Identity,
        scope: &Scope,
    ) -> Result<bool, Unavailable> {
        let key = [self.control.keyspace.overrides(identity)];
        let with = |script: &mut Cmd| {
            script.arg(scope.as_str()).arg("").arg("").arg(0);
            script.arg("").arg("").arg(identity.as_str());
        };
        let (_now_us, _until_us, there): (u64, u64, u8) = self.change(OVERRIDE, &key, with).await?;
        Ok(there == 1)
    }

    async fn block(
        &self,
        identity: &Identity,
        lasting: Option<Duration>,
        note: &Note,
    ) -> Result<Block, Unavailable> {
        let key = [self.control.keyspace.penalty(identity)];
        let with = |script: &mut Cmd| {
            script.arg(lasting_us(lasting)).arg(&note.by).arg(&note.reason).arg(identity.as_str());
        };
        let (at_us, until_us, _there): (u64, u64, u8) = self.change(BLOCK, &key, with).await?;
        Ok(Block { until_us: end(until_us), at_us, note: note.clone() })
    }

    async fn unblock(&self, identity: &Identity) -> Result<bool, Unavailable> {
        let key = [self.control.keyspace.penalty(identity)];
        let with = |script: &mut Cmd| {
            script.arg("").arg("").arg("").arg(identity.as_str());
        };
        let (_now_us, _until_us, there): (u64, u64, u8) = self.change(BLOCK, &key, with).await?;
        Ok(there == 1)
    }

    async fn marks(
        &self,
        identity: &Identity,
        policy: &PolicyName,
        max: usize,
    ) -> Result<Marks, Unavailable> {
        let mut all = redis::pipe();
        all.cmd("TIME");
        for key in self.control.keyspace.windows(identity, policy) {
            all.cmd("ZRANGE").arg(key).arg(-max.cast_signed()).arg(-1).arg("WITHSCORES");
        }
        type Read = (Time, Vec<(String, f64)>, Vec<(String, f64)>);
        let (time, minute, second): Read = self.control.pipeline(&all).await?;
        let now_us = in_us(time);
        let [minute, second] = [(minute, Window::Minute), (second, Window::Second)]
            .map(|(entries, window)| marks(&entries, window, now_us));
        Ok(Marks { now_us, minute, second })
    }

    async fn in_use(
        &self,
        identity: &Identity,
        policies: &[PolicyName],
    ) -> Result<Vec<PolicyName>, Unavailable> {
        let mut all = redis::pipe();
        for policy in policies {
            let key = self.control.keyspace.window(identity, policy, Window::Minute);
            all.cmd("EXISTS").arg(key);
        }
        let there: Vec<bool> = self.control.pipeline(&all).await?;
        let used = policies.iter().zip(there).filter(|(_, there)| *there);
        Ok(used.map(|(policy, _)| policy.clone()).collect())
    }

    async fn report(&self, counts: &Counts, denied: &[Denied]) -> Result<(), Unavailable> {
        let keyspace = &self.control.keyspace;
        let [even, odd] = keyspace.denied();
        let counted: BTreeMap<_, _> =
            counts.by_name().into_iter().filter(|(_, count)| *count > 0).collect();
        let denied: BTreeMap<_, _> =
            denied.iter().map(|one| (one.identity.as_str(), one.denials)).collect();
        let mut script = eval(REPORT, &[keyspace.traffic(), even, odd]);
        script.arg(json(&counted)).arg(json(&denied));
        self.control.query::<u64>(&script).await.map(drop)
    }

    async fn traffic(&self) -> Result<Traffic, Unavailable> {
        let mut both = redis::pipe();
        both.cmd("TIME").cmd("HGETALL").arg(self.control.keyspace.traffic());
        type Read = (Time, HashMap<String, u64>);
        let (time, fields): Read = self.control.pipeline(&both).await?;
        let oldest = time.0.saturating_sub(Traffic::BUCKET_S * Traffic::BUCKETS);
        let mut buckets: BTreeMap<u64, Counts> = BTreeMap::new();
        for (field, count) in fields {
            let Some((at_s, name)) = field.split_once(':') else { continue };
            let Ok(at_s) = at_s.parse() else { continue };
            if at_s <= oldest {
                continue;
            }
            if let Some(sum) = buckets.entry(at_s).or_default().of_name(name) {
                *sum = count;
            }
        }
        let buckets = buckets.into_iter().map(|(at_s, counts)| Bucket { at_s, counts });
        Ok(Traffic { now_us: in_us(time), buckets: buckets.collect() })
    }

    async fn denied(&self, max: usize) -> Result<Vec<Denied>, Unavailable> {
        let mut both = redis::pipe();
        for key in self.control.keyspace.denied() {
            both.cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES");
        }
        let spans: [Vec<(String, f64)>; 2] = self.control.pipeline(&both).await?;
        let mut sum: HashMap<Identity, u64> = HashMap::new();
        for (name, denials) in spans.into_iter().flatten() {
            if let Ok(identity) = Identity::parse(&name, 128) {
                *sum.entry(identity).or_default() += whole(denials);
            }
        }
        Ok(Denied::ranked(sum, max))
    }

    async fn set_mode(&self, mode: Option<Mode>) -> Result<(), Unavailable> {
        let mut set = redis::cmd("SET");
        set.arg(self.control.keyspace.mode()).arg(mode.map_or(NO_MODE, Mode::as_str));
        self.control.query(&set).await
    }

    async fn fleet_mode(&self) -> Result<Option<Mode>, Unavailable> {
        Ok(self.mode_on_record().await?.flatten())
    }

    async fn record(&self, change: &Change) -> Result<(), Unavailable> {
        let mut add = redis::cmd("XADD");
        add.arg(self.control.keyspace.audit()).arg("MAXLEN").arg("~").arg(CHANGES_MAX).arg("*");
        for (field, value) in records::fields(change) {
            add.arg(field).arg(value);
        }
        self.control.query::<String>(&add).await.map(drop)
    }

    async fn changes(&self, max: usize) -> Result<Vec<Change>, Unavailable> {
        let mut range = redis::cmd("XREVRANGE");
        range.arg(self.control.keyspace.audit()).arg("+").arg("-").arg("COUNT").arg(max);
        let reply: StreamRangeReply = self.control.query(&range).await?;
        Ok(reply.ids.iter().map(records::change).collect())
    }
}

impl RedisLimiter {
    /// Changes something by a script that publishes it. Its arguments are those that `with` adds,
    /// and then the channel; it replies in whole numbers.
    pub(crate) async fn change<T: FromRedisValue>(
        &self,
        script: &str,
        keys: &[String],
        with: impl FnOnce(&mut Cmd) + Send,
    ) -> Result<T, Unavailable> {
        let mut script = eval(script, keys);
        with(&mut script);
        let channel = self.control.keyspace.named(CHANGES);
        let changed = self.control.query(script.arg(channel)).await;
        // This worker need not wait for what it did itself, and may have done where it got no answer.
        self.denials.forget();
        changed
    }

    /// What is on record of the fleet's mode: nothing, that it was taken back, or a mode.
    pub(crate) async fn mode_on_record(&self) -> Result<Option<Option<Mode>>, Unavailable> {
        let key = self.control.keyspace.mode();
        let text: Option<String> = self.control.query(redis::cmd("GET").arg(&key)).await?;
        let read = |text: String| match text.as_str() {
            NO_MODE => Ok(None),
            mode => mode.parse().map(Some),
        };
        text.map(read)
            .transpose()
            .map_err(|error: serde::de::value::Error| Unavailable::Reply(format!("{key}: {error}")))
    }

    /// Some hashes, and the time of the store.
    async fn read(&self, keys: &[String]) -> Result<(u64, Vec<Fields>), Unavailable> {
        let mut all = redis::pipe();
        all.cmd("TIME");
        for key in keys {
            all.cmd("HGETALL").arg(key);
        }
        let replies: Vec<redis::Value> = self.control.pipeline(&all).await?;
        let mut replies = replies.into_iter();
        let time: Time = convert(replies.next())?;
        let records = replies.map(|reply| convert(Some(reply))).collect::<Result<_, _>>()?;
        Ok((in_us(time), records))
    }
}

fn convert<T: FromRedisValue>(value: Option<redis::Value>) -> Result<T, Unavailable> {
    let value = value.unwrap_or(redis::Value::Nil);
    T::from_redis_value(value).map_err(|error| Unavailable::Reply(error.to_string()))
}

fn eval(script: &str, keys: &[String]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(keys.len()).arg(keys);
    command
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}

fn lasting_us(lasting: Option<Duration>) -> u64 {
    // 0 has no end, so a shorter time than the clock tells is the shortest it does.
    lasting.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1))
}

fn end(until_us: u64) -> Option<u64> {
    (until_us > 0).then_some(until_us)
}

type Fields = HashMap<String, String>;

/// What TIME answers: seconds since 1970, and microseconds.
pub(crate) type Time = (u64, u64);

pub(crate) const fn in_us((s, us): Time) -> u64 {
    s * 1_000_000 + us
}

/// Scores are whole numbers below 2^53.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, not negative")]
fn whole(score: f64) -> u64 {
    score as u64
}

/// The units that count, those of one time together.
fn marks(entries: &[(String, f64)], window: Window, now_us: u64) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for (_, score) in entries {
        let at_us = whole(*score).min(now_us);
        if now_us - at_us >= window.length_us() {
            continue;
        }
        match marks.last_mut() {
            Some(last) if last.at_us == at_us => last.units += 1,
            _ => marks.push(Mark { at_us, units: 1 }),
        }
    }
    marks
}
