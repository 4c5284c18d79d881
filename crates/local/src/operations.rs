//! What operators do, in process: for a worker without Redis, which is a fleet of one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use transom_core::{
    Block, Bucket, Change, Counts, Denied, Held, Identity, Limits, Marks, Mode, Note, Operations,
    Override, PolicyName, Scope, Standing, Standings, Traffic, Unavailable,
};

use crate::clock::us;
use crate::{Clock, LocalLimiter};

/// How many changes are remembered.
const CHANGES_MAX: usize = 1_000;

/// What a fleet would share.
#[derive(Debug, Default)]
pub(crate) struct Desk(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    mode: Option<Mode>,
    buckets: VecDeque<Bucket>,
    /// The span that is being counted, and who was denied how often in it and the one before.
    span: u64,
    denied: [HashMap<Identity, u64>; 2],
    changes: VecDeque<Change>,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, now_s: u64, counts: &Counts) {
        let at_s = now_s - now_s % Traffic::BUCKET_S;
        match self.buckets.back_mut() {
            Some(bucket) if bucket.at_s == at_s => bucket.counts.add(counts),
            _ => self.buckets.push_back(Bucket { at_s, counts: *counts }),
        }
        let oldest = at_s.saturating_sub(Traffic::BUCKET_S * (Traffic::BUCKETS - 1));
        self.buckets.retain(|bucket| bucket.at_s >= oldest);
    }

    fn turn(&mut self, now_s: u64) {
        let span = now_s / Traffic::SPAN_S;
        if span != self.span {
            let last = std::mem::take(&mut self.denied[0]);
            self.denied[1] = if span == self.span + 1 { last } else { HashMap::new() };
            self.span = span;
        }
    }

    fn count_denied(&mut self, denied: &[Denied]) {
        let [counted, _] = &mut self.denied;
        for Denied { identity, denials } in denied {
            *counted.entry(identity.clone()).or_default() += denials;
        }
        if counted.len() > Traffic::DENIED_MAX {
            let mut ranked: Vec<u64> = counted.values().copied().collect();
            ranked.sort_unstable_by(|one, other| other.cmp(one));
            let least = ranked[Traffic::DENIED_MAX - 1];
            counted.retain(|_, denials| *denials >= least);
        }
    }
}

fn end(now_us: u64, lasting: Option<Duration>) -> Option<u64> {
    lasting.map(|lasting| now_us.saturating_add(us(lasting)))
}

impl<C: Clock> Operations for LocalLimiter<C> {
    async fn standing(&self, identity: &Identity) -> Result<(u64, Standing), Unavailable> {
        let now_us = self.clock.now_us();
        let mut standing = self.standings.get(identity);
        standing.settle(now_us);
        Ok((now_us, standing))
    }

    async fn standings(&self, kind: Held, max: usize) -> Result<Standings, Unavailable> {
        let now_us = self.clock.now_us();
        let held = self.standings.all(now_us, |standing| kind.is_in(standing, now_us));
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
        let at_us = self.clock.now_us();
        let held = Override { limits, until_us: end(at_us, lasting), at_us, note: note.clone() };
        let changed = self.standings.change(identity, at_us, |standing| {
            standing.overrides.insert(scope.clone(), held.clone());
        });
        changed.map(|()| held).ok_or(Unavailable::Full)
    }

    async fn delete_override(
        &self,
        identity: &Identity,
        scope: &Scope,
    ) -> Result<bool, Unavailable> {
        let now_us = self.clock.now_us();
        let changed = self.standings.change(identity, now_us, |standing| {
            standing.overrides.remove(scope).is_some_and(|held| held.holds(now_us))
        });
        // Where there is no room for another one, nothing was held.
        Ok(changed.unwrap_or(false))
    }

    async fn block(
        &self,
        identity: &Identity,
        lasting: Option<Duration>,
        note: &Note,
    ) -> Result<Block, Unavailable> {
        let at_us = self.clock.now_us();
        let block = Block { until_us: end(at_us, lasting), at_us, note: note.clone() };
        let changed = self.standings.change(identity, at_us, |standing| {
            standing.penalty.block = Some(block.clone());
        });
        changed.map(|()| block).ok_or(Unavailable::Full)
    }

    async fn unblock(&self, identity: &Identity) -> Result<bool, Unavailable> {
        let now_us = self.clock.now_us();
        let changed = self.standings.change(identity, now_us, |standing| {
            let penalty = std::mem::take(&mut standing.penalty);
            !penalty.is_forgotten(now_us)
        });
        Ok(changed.unwrap_or(false))
    }

    async fn marks(
        &self,
        identity: &Identity,
        policy: &PolicyName,
        max: usize,
    ) -> Result<Marks, Unavailable> {
        let key = self.key(identity, policy);
        let shard = self.shard(&key);
        let now_us = self.clock.now_us();
        let [minute, second] =
            shard.get(&key).map(|logs| logs.marks(now_us, max)).unwrap_or_default();
        Ok(Marks { now_us, minute, second })
    }

    async fn in_use(
        &self,
        identity: &Identity,
        policies: &[PolicyName],
    ) -> Result<Vec<PolicyName>, Unavailable> {
        let now_us = self.clock.now_us();
        let used = |policy: &&PolicyName| {
            let key = self.key(identity, policy);
            self.shard(&key).get(&key).is_some_and(|logs| !logs.is_idle(now_us))
        };
        Ok(policies.iter().filter(used).cloned().collect())
    }

    async fn report(&self, counts: &Counts, denied: &[Denied]) -> Result<(), Unavailable> {
        let now_s = self.clock.now_us() / 1_000_000;
        let mut state = self.desk.lock();
        state.count(now_s, counts);
        state.turn(now_s);
        state.count_denied(denied);
        Ok(())
    }

    async fn traffic(&self) -> Result<Traffic, Unavailable> {
        let now_us = self.clock.now_us();
        Ok(Traffic { now_us, buckets: self.desk.lock().buckets.iter().copied().collect() })
    }

    async fn denied(&self, max: usize) -> Result<Vec<Denied>, Unavailable> {
        let mut state = self.desk.lock();
        state.turn(self.clock.now_us() / 1_000_000);
        let mut sum = state.denied[0].clone();
        for (identity, denials) in &state.denied[1] {
            *sum.entry(identity.clone()).or_default() += denials;
        }
        drop(state);
        Ok(Denied::ranked(sum, max))
    }

    async fn set_mode(&self, mode: Option<Mode>) -> Result<(), Unavailable> {
        self.desk.lock().mode = mode;
        Ok(())
    }

    async fn fleet_mode(&self) -> Result<Option<Mode>, Unavailable> {
        Ok(self.desk.lock().mode)
    }

    async fn record(&self, change: &Change) -> Result<(), Unavailable> {
        let at_ms = self.clock.now_us() / 1_000;
        let mut state = self.desk.lock();
        state.changes.push_front(Change { at_ms, ..change.clone() });
        state.changes.truncate(CHANGES_MAX);
        Ok(())
    }

    async fn changes(&self, max: usize) -> Result<Vec<Change>, Unavailable> {
        Ok(self.desk.lock().changes.iter().take(max).cloned().collect())
    }
}

#[cfg(test)]
mod tests;
