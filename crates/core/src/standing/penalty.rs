//! Strikes, and blocks for those who collect too many.

use super::Note;

/// How long a client blocked without end is told to wait, in microseconds: a day.
pub const ENDLESS_WAIT_US: u64 = 86_400_000_000;

/// When denials turn into a block. Times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PenaltyRules {
    /// How many denials are borne; one more is a block.
    pub strikes: u32,
    /// Within which time, from the first of them.
    pub within_us: u64,
    /// How long the first block is; each that follows is twice as long.
    pub block_us: u64,
    /// How long a block is at most.
    pub max_us: u64,
    /// How long after the last strike, or the end of the last block, all is forgotten.
    pub forget_us: u64,
}

impl PenaltyRules {
    /// The length of a block that `before` others came before.
    pub fn length_us(&self, before: u32) -> u64 {
        let doubled = 1u64.checked_shl(before).and_then(|times| self.block_us.checked_mul(times));
        doubled.unwrap_or(self.max_us).min(self.max_us)
    }
}

/// A block: all is denied until it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// When it ends, by the clock that decides, in microseconds since 1970; `None`: never.
    pub until_us: Option<u64>,
    /// When it began.
    pub at_us: u64,
    /// By whom and why; by `penalty` for too many denials.
    pub note: Note,
}

/// What an identity has been denied, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Penalty {
    /// Denials since `since_us`.
    pub strikes: u32,
    /// When the first of them was, in microseconds since 1970.
    pub since_us: u64,
    /// How often it was blocked for its strikes and not forgotten.
    pub blocks: u32,
    /// The last block, whether it has ended or not.
    pub block: Option<Block>,
    /// When strikes and past blocks are forgotten, in microseconds since 1970.
    pub forget_at_us: u64,
}

impl Penalty {
    /// Microseconds until the block ends, [`ENDLESS_WAIT_US`] where it does not; 0 without one.
    /// One that begins later than `now_us` (the clock stepped back) reads as begun now.
    pub fn blocked_us(&self, now_us: u64) -> u64 {
        match &self.block {
            None => 0,
            Some(Block { until_us: None, .. }) => ENDLESS_WAIT_US,
            Some(Block { until_us: Some(until_us), at_us, .. }) => {
                until_us.saturating_sub(now_us.max(*at_us))
            }
        }
    }

    /// Moves a block that begins later than `now_us` to now, with its end, for good.
    pub(super) fn restamp(&mut self, now_us: u64) {
        if let Some(block) = &mut self.block
            && let Some(ahead_us) = block.at_us.checked_sub(now_us)
        {
            block.at_us = now_us;
            block.until_us = block.until_us.map(|until_us| until_us.saturating_sub(ahead_us));
        }
    }

    /// Counts denials. Where they are too many a block begins, whose length is returned.
    pub(super) fn strike(&mut self, now_us: u64, denials: u32, rules: &PenaltyRules) -> u64 {
        if denials == 0 {
            return 0;
        }
        if now_us >= self.forget_at_us {
            (self.strikes, self.blocks) = (0, 0);
        }
        self.since_us = self.since_us.min(now_us);
        if self.strikes == 0 || now_us - self.since_us >= rules.within_us {
            (self.strikes, self.since_us) = (0, now_us);
        }
        self.strikes = self.strikes.saturating_add(denials);
        self.forget_at_us = now_us + rules.forget_us;
        if self.strikes <= rules.strikes {
            return 0;
        }
        let length_us = rules.length_us(self.blocks);
        self.strikes = 0;
        self.blocks += 1;
        self.forget_at_us += length_us;
        let note = Note { by: "penalty".into(), reason: String::new() };
        self.block = Some(Block { until_us: Some(now_us + length_us), at_us: now_us, note });
        length_us
    }

    /// Whether no block holds at `now_us`, and strikes and past blocks are forgotten.
    pub fn is_forgotten(&self, now_us: u64) -> bool {
        self.blocked_us(now_us) == 0 && now_us >= self.forget_at_us
    }
}
