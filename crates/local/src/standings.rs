//! What holds for single identities: a map of those for whom anything does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use transom_core::{Identity, Standing};

/// The fewest entries at which ended ones are looked for.
const SWEEP_FLOOR: usize = 64;

/// A full map is swept no more often.
const SWEEP_PAUSE_US: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct Standings {
    held: RwLock<HashMap<Identity, Standing>>,
    /// How many are held, so that most decisions need no lock.
    count: AtomicUsize,
    room: usize,
    /// How many entries there are when ended ones are dropped next.
    sweep_at: AtomicUsize,
    /// While full: no sweep before this time can find anything.
    full_until_us: AtomicU64,
}

impl Standings {
    pub(crate) fn new(room: usize) -> Self {
        let room = room.max(1);
        let sweep_at = AtomicUsize::new(SWEEP_FLOOR.min(room));
        let (count, full_until_us) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { held: RwLock::default(), count, room, sweep_at, full_until_us }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Identity, Standing>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Identity, Standing>> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are held, those that have ended included.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// What holds for an identity.
    pub(crate) fn get(&self, identity: &Identity) -> Standing {
        if self.is_empty() {
            return Standing::default();
        }
        self.read().get(identity).cloned().unwrap_or_default()
    }

    /// Decides with what holds for an identity, and keeps what becomes of that.
    pub(crate) fn with<T>(
        &self,
        identity: &Identity,
        now_us: u64,
        decide: impl FnOnce(&mut Standing) -> T,
    ) -> T {
        if !self.is_empty() && self.read().contains_key(identity) {
            return match self.write().get_mut(identity) {
                Some(standing) => decide(standing),
                None => decide(&mut Standing::default()),
            };
        }
        let mut standing = Standing::default();
        let decided = decide(&mut standing);
        if standing != Standing::default() {
            self.keep(identity, standing, now_us);
        }
        decided
    }

    /// Keeps a first strike, where there is room for it.
    fn keep(&self, identity: &Identity, standing: Standing, now_us: u64) {
        let mut held = self.write();
        self.make_room(&mut held, now_us);
        if held.len() < self.room {
            held.entry(identity.clone()).or_insert(standing);
        }
        self.count.store(held.len(), Ordering::Release);
    }

    /// Drops ended entries, where there are twice as many as the last time that they were dropped.
    fn make_room(&self, held: &mut HashMap<Identity, Standing>, now_us: u64) {
        let waits = held.len() >= self.room && now_us < self.full_until_us.load(Ordering::Relaxed);
        if held.len() >= self.sweep_at.load(Ordering::Relaxed) && !waits {
            self.sweep(held, now_us);
        }
    }

    /// Changes what holds for an identity; `None` where there is no room for another one.
    pub(crate) fn change<T>(
        &self,
        identity: &Identity,
        now_us: u64,
        change: impl FnOnce(&mut Standing) -> T,
    ) -> Option<T> {
        let mut held = self.write();
        if !held.contains_key(identity) {
            self.make_room(&mut held, now_us);
            if held.len() >= self.room {
                return None;
            }
        }
        let standing = held.entry(identity.clone()).or_default();
        let done = change(standing);
        if standing.settle(now_us) {
            held.remove(identity);
        }
        self.count.store(held.len(), Ordering::Release);
        Some(done)
    }

    /// Everybody for whom something of a kind holds at `now_us`.
    pub(crate) fn all(
        &self,
        now_us: u64,
        of_kind: impl Fn(&Standing) -> bool,
    ) -> Vec<(Identity, Standing)> {
        let mut held = self.write();
        self.sweep(&mut held, now_us);
        let found = held.iter().filter(|(_, standing)| of_kind(standing));
        found.map(|(identity, standing)| (identity.clone(), standing.clone())).collect()
    }

    fn sweep(&self, held: &mut HashMap<Identity, Standing>, now_us: u64) {
        held.retain(|_, standing| !standing.settle(now_us));
        self.count.store(held.len(), Ordering::Release);
        let sweep_at = (held.len() * 2).clamp(SWEEP_FLOOR.min(self.room), self.room);
        self.sweep_at.store(sweep_at, Ordering::Relaxed);
        self.full_until_us.store(now_us + SWEEP_PAUSE_US, Ordering::Relaxed);
    }
}
