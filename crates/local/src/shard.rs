//! A bounded map from a key to its windows.

use std::collections::HashMap;

use transom_core::{Identity, PolicyName, WindowLogs};

/// The smallest number of entries at which a shard looks for idle ones.
const SWEEP_FLOOR: usize = 64;

/// A full shard is swept no more often: it goes through all of its entries.
const SWEEP_PAUSE_US: u64 = 100_000;

/// Names one pair of windows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    identity: Identity,
    policy: PolicyName,
}

impl Key {
    pub(crate) fn new(identity: &Identity, policy: &PolicyName) -> Self {
        Self { identity: identity.clone(), policy: policy.clone() }
    }
}

/// A part of the limiter behind one lock.
#[derive(Debug)]
pub(crate) struct Shard {
    logs: HashMap<Key, WindowLogs>,
    room: usize,
    /// The number of entries at which idle ones are dropped next.
    sweep_at: usize,
    /// While full: no sweep before this time.
    full_until_us: u64,
}

impl Shard {
    pub(crate) fn new(room: usize) -> Self {
        Self { logs: HashMap::new(), room, sweep_at: SWEEP_FLOOR.min(room), full_until_us: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.logs.len()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&WindowLogs> {
        self.logs.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut WindowLogs> {
        self.logs.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: &Key) {
        self.logs.remove(key);
    }

    /// The windows of a key, made if there is room for them.
    pub(crate) fn entry(&mut self, key: Key, now_us: u64) -> Option<&mut WindowLogs> {
        if self.logs.len() >= self.sweep_at && !self.logs.contains_key(&key) {
            self.sweep(now_us);
            if self.logs.len() >= self.room {
                return None;
            }
        }
        Some(self.logs.entry(key).or_default())
    }

    /// Drops idle entries. The next sweep comes after as many new entries as are left now, so
    /// that an entry pays for its own sweep; a full shard is swept at most ten times a second.
    fn sweep(&mut self, now_us: u64) {
        if self.logs.len() >= self.room && now_us < self.full_until_us {
            return;
        }
        self.logs.retain(|_, logs| !logs.is_idle(now_us));
        self.sweep_at = (self.logs.len() * 2).clamp(SWEEP_FLOOR.min(self.room), self.room);
        self.full_until_us = now_us + SWEEP_PAUSE_US;
    }
}
