//! When denials turn into a block.

use std::time::Duration;

use humantime::format_duration;
use serde::Deserialize;
use serde_json::{Value, json};
use transom_core::PenaltyRules;

use super::error::Fault;
use super::value::{duration, whole};

/// Penalties for those who are denied too often, `[penalty]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PenaltyConfig {
    /// Default false: denials are no strikes. Blocks by hand hold all the same.
    /// `penalty.enabled` or `TRANSOM__PENALTY__ENABLED`.
    pub enabled: bool,
    /// How many denials are borne. Default 100, 1 to 1,000,000; `penalty.strikes` or
    /// `TRANSOM__PENALTY__STRIKES`.
    #[serde(deserialize_with = "whole::<_, _, 1, 1_000_000>")]
    pub strikes: u32,
    /// Within which time, from the first of them. Default 1 min, 1 s to 1 d; `penalty.within` or
    /// `TRANSOM__PENALTY__WITHIN`.
    #[serde(deserialize_with = "duration::<_, 1_000, 86_400_000>")]
    pub within: Duration,
    /// How long the first block is; each that follows is twice as long. Default 5 min, 1 s to
    /// 1 d; `penalty.block` or `TRANSOM__PENALTY__BLOCK`.
    #[serde(deserialize_with = "duration::<_, 1_000, 86_400_000>")]
    pub block: Duration,
    /// How long a block is at most. Default 24 h, 1 s to 30 d; `penalty.max` or
    /// `TRANSOM__PENALTY__MAX`.
    #[serde(deserialize_with = "duration::<_, 1_000, 2_592_000_000>")]
    pub max: Duration,
    /// After which time all is forgotten. Default 24 h, 1 s to 30 d; `penalty.forget` or
    /// `TRANSOM__PENALTY__FORGET`.
    #[serde(deserialize_with = "duration::<_, 1_000, 2_592_000_000>")]
    pub forget: Duration,
}

impl Default for PenaltyConfig {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self {
            enabled: false,
            strikes: 100,
            within: Duration::from_secs(60),
            block: Duration::from_secs(5 * 60),
            max: day,
            forget: day,
        }
    }
}

impl PenaltyConfig {
    /// The rules, where penalties are enabled.
    pub fn rules(&self) -> Option<PenaltyRules> {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.enabled.then(|| PenaltyRules {
            strikes: self.strikes,
            within_us: us(self.within),
            block_us: us(self.block),
            max_us: us(self.max),
            forget_us: us(self.forget),
        })
    }

    /// In a line.
    pub(super) fn describe(&self) -> String {
        let [within, block, max, forget] =
            [self.within, self.block, self.max, self.forget].map(format_duration);
        format!(
            "more than {} denials within {within}: a block of {block}, then twice as long, up to \
             {max}; forgotten after {forget}",
            self.strikes
        )
    }

    pub(super) fn to_json(self) -> Value {
        let text = |time| format_duration(time).to_string();
        json!({
            "enabled": self.enabled,
            "strikes": self.strikes,
            "within": text(self.within),
            "block": text(self.block),
            "max": text(self.max),
            "forget": text(self.forget),
        })
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.block > self.max {
            let reason = "the first block is longer than the longest";
            return Err(Fault::pair("penalty.block", "penalty.max", reason));
        }
        if self.within > self.forget {
            let reason = "strikes would be forgotten before their span ends";
            return Err(Fault::pair("penalty.within", "penalty.forget", reason));
        }
        Ok(())
    }
}
