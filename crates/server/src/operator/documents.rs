//! What operators are told, as JSON. The console and the commands show the same documents.
//!
//! Times ending in `_us` are microseconds since 1970 by the clock that decides; durations ending
//! in `_ms` are rounded up.

use serde::{Deserialize, Serialize};
use transom_core::{
    Block, Bucket, Change, Cost, Denied, LimitedBy, LimitsFrom, Mark, Mode, OnFailure, Override,
    Penalty, Policy, Scope, Source, WindowState, delay,
};
use utoipa::ToSchema;

/// Limits of one identity in place of a policy's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverrideDoc {
    /// Whose.
    pub identity: String,
    /// The policy that it is for, `*` for all.
    pub policy: String,
    /// Units in any 60 seconds.
    pub minute: u32,
    /// Units in any second.
    pub second: u32,
    /// When it ends; null: never.
    pub until_us: Option<u64>,
    /// When it was set.
    pub at_us: u64,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl OverrideDoc {
    pub(super) fn new(identity: &str, scope: &Scope, held: &Override) -> Self {
        Self {
            identity: identity.to_owned(),
            policy: scope.as_str().to_owned(),
            minute: held.limits.minute,
            second: held.limits.second,
            until_us: held.until_us,
            at_us: held.at_us,
            by: held.note.by.clone(),
            reason: held.note.reason.clone(),
        }
    }
}

/// A block: everything is denied until it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlockDoc {
    /// Who is blocked.
    pub identity: String,
    /// When it ends; null: never.
    pub until_us: Option<u64>,
    /// When it began.
    pub at_us: u64,
    /// By whom; `penalty` for too many denials.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl BlockDoc {
    pub(super) fn new(identity: &str, block: &Block) -> Self {
        Self {
            identity: identity.to_owned(),
            until_us: block.until_us,
            at_us: block.at_us,
            by: block.note.by.clone(),
            reason: block.note.reason.clone(),
        }
    }
}

/// Denials that count towards a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StrikesDoc {
    /// Denials since `since_us`.
    pub strikes: u32,
    /// How many are borne; null where penalties are not enabled.
    pub borne: Option<u32>,
    /// When the first of them was; null without any.
    pub since_us: Option<u64>,
    /// How often the identity was blocked for its strikes and not forgotten.
    pub blocks: u32,
}

impl StrikesDoc {
    pub(super) fn new(penalty: &Penalty, borne: Option<u32>) -> Self {
        let Penalty { strikes, since_us, blocks, .. } = *penalty;
        Self { strikes, borne, since_us: (strikes > 0).then_some(since_us), blocks }
    }
}

/// Where one window stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WindowDoc {
    /// The limit in force.
    pub limit: u32,
    /// Units that count now; above the limit where that was lowered.
    pub used: u32,
    /// Units that are left.
    pub remaining: u32,
    /// Until the oldest unit leaves; 0 if there is none.
    pub reset_ms: u64,
    /// Until the request would fit this window; 0 if it does.
    pub wait_ms: u64,
}

impl From<WindowState> for WindowDoc {
    fn from(state: WindowState) -> Self {
        Self {
            limit: state.limit,
            used: state.used,
            remaining: state.remaining,
            reset_ms: delay::milliseconds(state.reset_us),
            wait_ms: delay::milliseconds(state.wait_us),
        }
    }
}

/// A policy as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyDoc {
    /// Its name.
    pub name: String,
    /// The methods that it matches; empty: any.
    pub methods: Vec<String>,
    /// The host that it matches; null: any.
    pub host: Option<String>,
    /// The paths that it matches; null: any.
    pub path: Option<String>,
    /// Its own units in any 60 seconds.
    pub minute: u32,
    /// Its own units in any second.
    pub second: u32,
    /// The units that a request takes.
    #[schema(value_type = u16)]
    pub cost: Cost,
    /// The mode in force: the milder of its own and that of everything.
    #[schema(value_type = String)]
    pub mode: Mode,
    /// What happens without a decision.
    #[schema(value_type = String)]
    pub on_failure: OnFailure,
}

impl PolicyDoc {
    pub(super) fn new(policy: &Policy, mode: Mode) -> Self {
        Self {
            name: policy.name.to_string(),
            methods: policy.methods.iter().map(ToString::to_string).collect(),
            host: policy.host.clone(),
            path: policy.path.as_ref().map(ToString::to_string),
            minute: policy.limits.minute,
            second: policy.limits.second,
            cost: policy.cost,
            mode,
            on_failure: policy.on_failure,
        }
    }
}

/// Why a request of an identity would be admitted or denied now. Nothing was consumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Who.
    pub identity: String,
    /// With which method.
    pub method: String,
    /// On which path, as policies see it.
    pub path: String,
    /// All of what follows in one sentence.
    pub summary: String,
    /// Why nothing limits this request; null where something does.
    pub exempt: Option<String>,
    /// The policy that matches.
    pub policy: PolicyDoc,
    /// What would happen now: whether the request would go on.
    pub allowed: bool,
    /// Whether it would go on though it is denied, since its policy is in shadow mode.
    pub shadow: bool,
    /// What denies it, or would deny the next one; null where it is exempt.
    #[schema(value_type = Option<String>)]
    pub limited_by: Option<LimitedBy>,
    /// Until it would be admitted; null where it would be now.
    pub retry_after_ms: Option<u64>,
    /// When it would be admitted; null where it is exempt, or never is as things stand.
    pub passes_at_us: Option<u64>,
    /// Where the limits come from; null where it is exempt.
    #[schema(value_type = Option<String>)]
    pub limits_from: Option<LimitsFrom>,
    /// The minute window; null where it is exempt.
    pub minute: Option<WindowDoc>,
    /// The second window; null where it is exempt.
    pub second: Option<WindowDoc>,
    /// The override in force; null where there is none.
    #[serde(rename = "override")]
    pub held: Option<OverrideDoc>,
    /// The block in force; null where there is none.
    pub block: Option<BlockDoc>,
    /// Strikes towards a block.
    pub strikes: StrikesDoc,
    /// The time of this answer.
    pub at_us: u64,
    /// Who decides; null where it is exempt.
    #[schema(value_type = Option<String>)]
    pub source: Option<Source>,
    /// Why another one than the configured store decides; null where it does not.
    pub degraded: Option<String>,
}

/// Units admitted at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MarkDoc {
    /// When.
    pub at_us: u64,
    /// How many.
    pub units: u32,
}

impl From<Mark> for MarkDoc {
    fn from(mark: Mark) -> Self {
        Self { at_us: mark.at_us, units: mark.units }
    }
}

/// One window, with its admissions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimeLine {
    /// Where it stands.
    #[serde(flatten)]
    pub window: WindowDoc,
    /// The newest admissions, oldest first; see `truncated`.
    pub marks: Vec<MarkDoc>,
    /// Whether there are older ones that are not shown.
    pub truncated: bool,
}

/// Both windows of an identity under one policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WindowsDoc {
    /// The policy.
    pub policy: String,
    /// Where the limits come from.
    #[schema(value_type = String)]
    pub limits_from: LimitsFrom,
    /// The minute window.
    pub minute: TimeLine,
    /// The second window.
    pub second: TimeLine,
}

/// Everything that is kept of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Inspection {
    /// Who.
    pub identity: String,
    /// The time of this answer.
    pub at_us: u64,
    /// Under each policy that it has used lately, and under `default`.
    pub windows: Vec<WindowsDoc>,
    /// Limits of its own.
    pub overrides: Vec<OverrideDoc>,
    /// The block in force; null where there is none.
    pub block: Option<BlockDoc>,
    /// Strikes towards a block.
    pub strikes: StrikesDoc,
    /// Why nothing limits it; null where something does.
    pub exempt: Option<String>,
}

/// What is known of an API key. The key itself is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyDoc {
    /// The SHA-256 of the key, in hex, by which it is revoked.
    pub digest: String,
    /// Whose it is.
    pub user: String,
    /// What it is for.
    pub label: String,
    /// When it was created; null where that is not known.
    pub created_us: Option<u64>,
}

/// A key that was just created. It is shown this once and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key.
    pub key: String,
    /// Its SHA-256, in hex.
    pub digest: String,
    /// Whose it is.
    pub user: String,
}

/// How often an identity was denied in the last five to ten minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeniedDoc {
    /// Who.
    pub identity: String,
    /// How often.
    pub denials: u64,
}

impl From<Denied> for DeniedDoc {
    fn from(denied: Denied) -> Self {
        Self { identity: denied.identity.to_string(), denials: denied.denials }
    }
}

/// What the fleet has decided lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrafficDoc {
    /// The time of this answer.
    pub at_us: u64,
    /// The length of a bucket, in seconds.
    pub bucket_s: u64,
    /// Oldest first; one in which nothing was decided is missing.
    pub buckets: Vec<BucketDoc>,
}

/// What was decided within one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BucketDoc {
    /// When it begins, in seconds since 1970.
    pub at_s: u64,
    /// Admitted.
    pub admitted: u64,
    /// Denied by the minute window.
    pub denied_minute: u64,
    /// Denied by the second window.
    pub denied_second: u64,
    /// Denied by a block.
    pub denied_penalty: u64,
    /// Would have been denied, and passed in shadow mode.
    pub shadow_denied: u64,
    /// Not decided by the configured store.
    pub degraded: u64,
}

impl From<Bucket> for BucketDoc {
    fn from(Bucket { at_s, counts }: Bucket) -> Self {
        Self {
            at_s,
            admitted: counts.admitted,
            denied_minute: counts.denied_minute,
            denied_second: counts.denied_second,
            denied_penalty: counts.denied_penalty,
            shadow_denied: counts.shadow_denied,
            degraded: counts.degraded,
        }
    }
}

/// The mode of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModeDoc {
    /// In force: the fleet's where it has one, else the configured one.
    #[schema(value_type = String)]
    pub mode: Mode,
    /// What was set for the fleet; null: nothing.
    #[schema(value_type = Option<String>)]
    pub fleet: Option<Mode>,
    /// `limiter.mode` of the configuration.
    #[schema(value_type = String)]
    pub configured: Mode,
}

/// A change that somebody made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeDoc {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What was done.
    pub action: String,
    /// To whom or what.
    pub target: String,
    /// With which values.
    pub detail: String,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl From<Change> for ChangeDoc {
    fn from(change: Change) -> Self {
        let Change { at_ms, action, target, detail, note } = change;
        Self { at_ms, action, target, detail, by: note.by, reason: note.reason }
    }
}

/// A list, and whether it was cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Whether there are more.
    pub more: bool,
}

/// What a change came to: whether there was anything to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// Whether there was anything to take away.
    pub done: bool,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It could not be looked at.
    Unknown,
    /// It works, and is likely not meant.
    Warning,
    /// A promise does not hold.
    Problem,
}

/// One thing that `transom doctor` looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How serious it is.
    pub level: Level,
    /// What was found, and what to do.
    pub said: String,
}
