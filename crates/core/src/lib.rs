//! What Transom decides, without a clock, a socket or a runtime.
//!
//! A caller (an [`Identity`]) asks for a request of some [`Cost`] under a [`Policy`]. A [`Limiter`]
//! answers with a [`Decision`]: admitted or denied, where both windows stand, which of them
//! limits, and when to come back. [`headers`], [`body`] and [`problem`] turn a decision into what
//! goes on the wire. A [`Gate`] joins the steps for every way a request can arrive.
//!
//! Two sliding windows decide, [`Window::Minute`] and [`Window::Second`]. A unit admitted at `t`
//! counts while `now - t < length`; a request is admitted if and only if it fits both windows, and
//! is then recorded in both. A denied request is recorded in neither.
//!
//! ```
//! use transom_core::{Cost, Limits, WindowLogs};
//!
//! let mut logs = WindowLogs::default();
//! let limits = Limits { minute: 60, second: 2 };
//! let now_us = 1_800_000_000_000_000;
//! assert!(logs.admit(now_us, limits, Cost::ONE).allowed);
//! assert!(logs.admit(now_us, limits, Cost::ONE).allowed);
//! let denied = logs.admit(now_us, limits, Cost::ONE);
//! assert!(!denied.allowed);
//! assert_eq!(denied.retry_after_us(), Some(1_000_000));
//! ```
//!
//! Times are microseconds of the clock that decides (`_us`); they become seconds or milliseconds
//! only in [`delay`], upward.

pub mod body;
mod decision;
pub mod delay;
mod fallback;
mod fleet_mode;
mod gate;
pub mod headers;
mod identity;
mod limiter;
mod limits;
mod log;
mod matcher;
mod operations;
mod path;
mod policy;
pub mod problem;
mod standing;
mod unavailable;

pub use decision::{Decision, LimitedBy, LimitsFrom, Reading, Source, Verdict, WindowState};
pub use fallback::{Fallback, StandIn};
pub use fleet_mode::FleetMode;
pub use gate::{Answer, Ask, Gate, Outcome};
pub use identity::{DEFAULT_IPV6_PREFIX, Identity, IdentityError};
pub use limiter::{Limiter, Request, Share};
pub use limits::{Cost, CostError, Limits, Window};
pub use log::{WindowLog, WindowLogs};
pub use matcher::Policies;
pub use operations::{
    Bucket, Change, Counts, Denied, Held, Mark, Marks, Operations, Standings, Traffic,
};
pub use path::normalise;
pub use policy::{Mode, OnFailure, PathPattern, Policy, PolicyError, PolicyName};
pub use standing::{
    Block, ENDLESS_WAIT_US, Note, Override, Penalty, PenaltyRules, Scope, Standing,
};
pub use unavailable::Unavailable;
