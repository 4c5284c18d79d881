//! A bounded map from a key to its windows.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use transom_core::{Identity, PolicyName, WindowLogs};

/// The smallest number of entries at which a shard looks for idle ones.
const SWEEP_FLOOR: usize = 64;

/// A full shard is swept no more often: it goes through all of its entries.
const SWEEP_PAUSE_US: u64 = 100_000;

/// Names one pair of windows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) policy: &'a PolicyName,
    /// Of both. It is reckoned once, and says the shard too.
    pub(crate) hash: u64,
}

#[derive(Debug)]
struct Held {
    identity: Identity,
    policy: PolicyName,
    hash: u64,
    logs: WindowLogs,
}

/// A part of the limiter behind one lock.
#[derive(Debug)]
pub(crate) struct Shard {
    held: HashTable<Held>,
    room: usize,
    /// The number of entries at which idle ones are dropped next.
    sweep_at: usize,
    /// While full: no sweep before this time.
    full_until_us: u64,
}

impl Key<'_> {
    fn is_of(&self, held: &Held) -> bool {
        held.hash == self.hash && held.identity == *self.identity && held.policy == *self.policy
    }
}

impl Shard {
    pub(crate) fn new(room: usize) -> Self {
        Self { held: HashTable::new(), room, sweep_at: SWEEP_FLOOR.min(room), full_until_us: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn get(&self, key: &Key<'_>) -> Option<&WindowLogs> {
        self.held.find(key.hash, |held| key.is_of(held)).map(|held| &held.logs)
    }

    pub(crate) fn get_mut(&mut self, key: &Key<'_>) -> Option<&mut WindowLogs> {
        self.held.find_mut(key.hash, |held| key.is_of(held)).map(|held| &mut held.logs)
    }

    pub(crate) fn remove(&mut self, key: &Key<'_>) {
        if let Ok(held) = self.held.find_entry(key.hash, |held| key.is_of(held)) {
            held.remove();
        }
    }

    /// The windows of a key, made if there is room for them.
    pub(crate) fn entry(&mut self, key: &Key<'_>, now_us: u64) -> Option<&mut WindowLogs> {
        if self.held.len() >= self.sweep_at && self.get(key).is_none() {
            self.sweep(now_us);
            if self.held.len() >= self.room {
                return None;
            }
        }
        let held = match self.held.entry(key.hash, |held| key.is_of(held), |held| held.hash) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(place) => {
                let Key { identity, policy, hash } = *key;
                let (identity, policy) = (identity.clone(), policy.clone());
                let logs = WindowLogs::default();
                place.insert(Held { identity, policy, hash, logs }).into_mut()
            }
        };
        Some(&mut held.logs)
    }

    /// Drops idle entries. The next sweep comes after as many new entries as are left now, so
    /// that an entry pays for its own sweep; a full shard is swept at most ten times a second.
    fn sweep(&mut self, now_us: u64) {
        if self.held.len() >= self.room && now_us < self.full_until_us {
            return;
        }
        self.held.retain(|held| !held.logs.is_idle(now_us));
        self.sweep_at = (self.held.len() * 2).clamp(SWEEP_FLOOR.min(self.room), self.room);
        self.full_until_us = now_us + SWEEP_PAUSE_US;
    }
}
