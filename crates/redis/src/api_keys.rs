//! API keys: digests in Redis, looked up once and remembered.
//!
//! A key's record is a hash named by the SHA-256 of the key, with the field `user`. What a worker
//! has looked up stays valid until the revision counter changes, which every creation and
//! revocation moves; the worker reads that counter several times a second. So a known key costs
//! no round trip, and a revoked one is refused within a second, while Redis answers. While it does
//! not, a key that is remembered keeps its user.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use redis::FromRedisValue;
use sha2::{Digest as _, Sha256};
use transom_core::Unavailable;

use crate::control::Control;
use crate::operations::{Time, in_us};

/// How many keys a worker remembers.
const REMEMBERED: usize = 100_000;
/// How many keys one step of a scan looks at.
const SCAN_COUNT: usize = 1_000;
/// How often the revision is read: well within the second that a revocation may take.
pub(crate) const REVISION_PERIOD: Duration = Duration::from_millis(250);

/// The SHA-256 of an API key. The key itself is kept nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a key.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// What is recorded of an API key. The key itself is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// By which it is revoked.
    pub digest: Digest,
    /// Whose it is.
    pub user: String,
    /// What it is for, in any words.
    pub label: String,
    /// When it was created, in microseconds since 1970 by the clock of Redis.
    pub created_us: Option<u64>,
}

fn record(key: &str, mut fields: HashMap<String, String>) -> Option<KeyRecord> {
    Some(KeyRecord {
        digest: Digest::from_hex(key.rsplit(':').next()?)?,
        user: fields.remove("user")?,
        label: fields.remove("label").unwrap_or_default(),
        created_us: fields.get("created_us").and_then(|text| text.parse().ok()),
    })
}

/// What a lookup found, and under which revision.
#[derive(Clone)]
struct Known {
    user: Option<Arc<str>>,
    epoch: u64,
}

/// The API keys kept in Redis, as one worker knows them. Clones share what is remembered.
#[derive(Clone)]
pub struct KeyDirectory {
    inner: Arc<Inner>,
}

struct Inner {
    control: Control,
    known: Cache<Digest, Known>,
    /// Moves whenever the revision in Redis is seen to have changed.
    epoch: AtomicU64,
}

impl KeyDirectory {
    pub(crate) fn start(control: Control) -> Self {
        let known = Cache::new(REMEMBERED);
        let inner = Arc::new(Inner { control, known, epoch: AtomicU64::new(0) });
        let watched = Arc::downgrade(&inner);
        tokio::spawn(async move {
            let mut seen = None;
            while let Some(inner) = watched.upgrade() {
                inner.watch(&mut seen).await;
                drop(inner);
                tokio::time::sleep(REVISION_PERIOD).await;
            }
        });
        Self { inner }
    }

    /// The user whose key this is; `None` for a key that is not known or was revoked. Takes at
    /// most `within`; where Redis does not answer by then, what this worker remembers counts.
    ///
    /// # Errors
    ///
    /// Redis does not answer and this worker remembers nothing of the key.
    pub async fn user_of(
        &self,
        digest: Digest,
        within: Duration,
    ) -> Result<Option<Arc<str>>, Unavailable> {
        let epoch = self.inner.epoch.load(Ordering::Acquire);
        let known = self.inner.known.get(&digest);
        if let Some(known) = &known
            && known.epoch == epoch
        {
            return Ok(known.user.clone());
        }
        match self.inner.look_up(digest, within).await {
            Ok(user) => {
                self.inner.known.insert(digest, Known { user: user.clone(), epoch });
                Ok(user)
            }
            Err(reason) => known.map(|known| known.user).ok_or(reason),
        }
    }

    /// Records a key by its digest.
    ///
    /// # Errors
    ///
    /// Redis does not answer or refuses.
    pub async fn add(&self, digest: Digest, user: &str, label: &str) -> Result<(), Unavailable> {
        let key = self.inner.control.keyspace.api_key(&digest.to_string());
        let time: Time = self.inner.control.query(&redis::cmd("TIME")).await?;
        let mut command = redis::cmd("HSET");
        command.arg(key).arg("user").arg(user).arg("label").arg(label);
        command.arg("created_us").arg(in_us(time));
        self.change::<u64>(command).await.map(drop)
    }

    /// What is recorded of keys, all or those of a user: the first `max` in the order of users and
    /// digests. No more than these and one step of the walk are held at a time.
    ///
    /// # Errors
    ///
    /// Redis does not answer or refuses.
    pub async fn list(
        &self,
        user: Option<&str>,
        max: usize,
    ) -> Result<Vec<KeyRecord>, Unavailable> {
        let pattern = self.inner.control.keyspace.every_api_key();
        let mut walk = self.inner.control.walk(&pattern, SCAN_COUNT).await?;
        let mut records = Vec::new();
        while let Some(keys) = walk.step().await? {
            if keys.is_empty() {
                continue;
            }
            let mut all = redis::pipe();
            for key in &keys {
                all.cmd("HGETALL").arg(key);
            }
            let found: Vec<HashMap<String, String>> = walk.read(&mut all).await?;
            let found = keys.iter().zip(found).filter_map(|(key, fields)| record(key, fields));
            records.extend(found.filter(|one| user.is_none_or(|user| one.user == user)));
            records.sort_unstable_by(|one, other| {
                (&one.user, one.digest).cmp(&(&other.user, other.digest))
            });
            // A walk may name a key twice.
            records.dedup_by_key(|one| one.digest);
            records.truncate(max);
        }
        Ok(records)
    }

    /// Revokes a key; whether there was one.
    ///
    /// # Errors
    ///
    /// Redis does not answer or refuses.
    pub async fn revoke(&self, digest: Digest) -> Result<bool, Unavailable> {
        let key = self.inner.control.keyspace.api_key(&digest.to_string());
        let mut command = redis::cmd("DEL");
        command.arg(key);
        Ok(self.change::<u64>(command).await? > 0)
    }

    /// Changes a key and moves the revision, in one transaction on a single server. On a cluster
    /// they are in two slots, and the key comes first. What fails between them has changed the key
    /// while workers that remember it go by what they know; the caller gets an error, and the same
    /// change made again moves the revision.
    async fn change<T: FromRedisValue>(&self, command: redis::Cmd) -> Result<T, Unavailable> {
        let mut moves = redis::cmd("INCR");
        moves.arg(self.inner.control.keyspace.api_keys_revision());
        let reply = self.inner.control.both(command, moves).await?;
        self.inner.epoch.fetch_add(1, Ordering::AcqRel);
        Ok(reply)
    }
}

impl Inner {
    async fn look_up(
        &self,
        digest: Digest,
        within: Duration,
    ) -> Result<Option<Arc<str>>, Unavailable> {
        if within.is_zero() {
            return Err(Unavailable::Deadline);
        }
        let key = self.control.keyspace.api_key(&digest.to_string());
        let mut command = redis::cmd("HGET");
        command.arg(key).arg("user");
        let user: Option<String> = self.control.query_within(within, &command).await?;
        Ok(user.filter(|user| !user.is_empty()).map(Arc::from))
    }

    /// Reads the revision; while Redis does not answer, what is remembered stays valid.
    async fn watch(&self, seen: &mut Option<String>) {
        let revision = self.control.keyspace.api_keys_revision();
        let read: Result<Option<String>, _> =
            self.control.query(redis::cmd("GET").arg(revision)).await;
        if let Ok(now) = read
            && now != *seen
        {
            *seen = now;
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl fmt::Debug for KeyDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyDirectory").field("remembered", &self.inner.known.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_sha256_in_hex() {
        // printf abc | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(Digest::from_hex(abc), Some(Digest::of(b"abc")));
        assert_eq!(Digest::from_hex(&abc.to_uppercase()), Some(Digest::of(b"abc")));
        for bad in
            ["", "ba78", &abc[1..], &"+f".repeat(32), &format!("{}g", &abc[1..]), &"é".repeat(32)]
        {
            assert_eq!(Digest::from_hex(bad), None, "{bad}");
        }
    }
}
