//! What holds for one identity alone: its overrides, its strikes and its block.
//!
//! The rules are written twice, here for the limiter in process and in `lua/admit.lua`; traces
//! hold the two together.

mod penalty;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::decision::{LimitsFrom, Verdict};
use crate::limits::Limits;
use crate::log::WindowLogs;
use crate::{PolicyError, PolicyName, Request};

pub use penalty::{Block, ENDLESS_WAIT_US, Penalty, PenaltyRules};

/// Which policies an override is for. Written as the policy's name, or `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every policy.
    All,
    /// One policy; it goes before [`Scope::All`].
    Policy(PolicyName),
}

impl Scope {
    /// The name of the policy, or `*`, which no policy can be called.
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => "*",
            Self::Policy(name) => name.as_str(),
        }
    }
}

impl FromStr for Scope {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        if text == "*" { Ok(Self::All) } else { PolicyName::new(text).map(Self::Policy) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who changed something, and why. Both may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Limits of one identity in place of a policy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The limits.
    pub limits: Limits,
    /// When it ends, by the clock that decides, in microseconds since 1970; `None`: never.
    pub until_us: Option<u64>,
    /// When it was set.
    pub at_us: u64,
    /// By whom and why.
    pub note: Note,
}

impl Override {
    /// Whether it holds at `now_us`.
    pub fn holds(&self, now_us: u64) -> bool {
        self.until_us.is_none_or(|until_us| now_us < until_us)
    }
}

/// Everything that holds for one identity alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Limits of its own.
    pub overrides: BTreeMap<Scope, Override>,
    /// Strikes and block.
    pub penalty: Penalty,
}

impl Standing {
    /// The limits that hold under a policy whose own are `limits`, and where they come from.
    pub fn limits(&self, policy: &PolicyName, limits: Limits, now_us: u64) -> (Limits, LimitsFrom) {
        if self.overrides.is_empty() {
            return (limits, LimitsFrom::Policy);
        }
        let held = |scope| self.overrides.get(&scope).filter(|found| found.holds(now_us));
        if let Some(found) = held(Scope::Policy(policy.clone())) {
            (found.limits, LimitsFrom::Override)
        } else if let Some(found) = held(Scope::All) {
            (found.limits, LimitsFrom::OverrideAll)
        } else {
            (limits, LimitsFrom::Policy)
        }
    }

    /// Admits a request if it fits and no block stands in its way. Where the request says so, its
    /// denial counts as a strike, and so do `unreported` ones of before.
    pub fn admit(
        &mut self,
        logs: &mut WindowLogs,
        now_us: u64,
        request: &Request,
        unreported: u32,
    ) -> Verdict {
        let (limits, limits_from) = self.limits(&request.policy.name, request.limits, now_us);
        let limits = limits.share(request.share);
        if request.enforced {
            self.penalty.restamp(now_us);
        }
        let mut blocked_us = self.blocked_us(now_us, request);
        if blocked_us == 0
            && let Some(rules) = request.penalty.filter(|_| request.enforced)
        {
            let fits = logs.peek(now_us, limits, request.cost).allowed;
            let strikes = unreported.saturating_add(u32::from(!fits));
            blocked_us = self.penalty.strike(now_us, strikes, &rules);
        }
        let verdict = if blocked_us > 0 {
            logs.deny(now_us, limits, request.cost)
        } else {
            logs.admit(now_us, limits, request.cost)
        };
        Verdict { limits_from, blocked_us, ..verdict }
    }

    /// Whether and when [`admit`](Self::admit) would pass. Changes nothing.
    pub fn peek(&self, logs: &WindowLogs, now_us: u64, request: &Request) -> Verdict {
        let (limits, limits_from) = self.limits(&request.policy.name, request.limits, now_us);
        let limits = limits.share(request.share);
        let blocked_us = self.blocked_us(now_us, request);
        let verdict = logs.peek(now_us, limits, request.cost);
        Verdict { allowed: verdict.allowed && blocked_us == 0, limits_from, blocked_us, ..verdict }
    }

    /// Microseconds for which a block stands in the way of a request; 0 if none does.
    pub fn blocked_us(&self, now_us: u64, request: &Request) -> u64 {
        if request.enforced { self.penalty.blocked_us(now_us) } else { 0 }
    }

    /// Drops what has ended; whether nothing is left that anybody would miss at `now_us`.
    pub fn settle(&mut self, now_us: u64) -> bool {
        self.overrides.retain(|_, found| found.holds(now_us));
        self.overrides.is_empty() && self.penalty.is_forgotten(now_us)
    }
}

#[cfg(test)]
mod tests;
