//! What operators change. Each change is in force for the next decision, and on record.

use super::*;
use transom_core::{Change, Limiter, Limits};

/// The highest limit of an override, as of a policy.
const LIMIT_MAX: u32 = 1_000_000;
/// The longest name of who makes a change, and the longest reason, in characters.
const BY_MAX: usize = 128;
const REASON_MAX: usize = 1_000;
/// The longest time that can be said; longer is for good.
const LASTING_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Limits to give an identity.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewOverride {
    /// Units in any 60 seconds, 0 to 1,000,000.
    pub minute: Option<u32>,
    /// Units in any second, 0 to 1,000,000.
    pub second: Option<u32>,
    /// The policy that it is for; absent or `*`: all.
    pub policy: Option<String>,
    /// How long, such as `2h`; absent: for good.
    #[serde(rename = "for")]
    pub lasting: Option<String>,
    /// Who asks for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A block to make.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewBlock {
    /// How long, such as `10m`; absent: for good.
    #[serde(rename = "for")]
    pub lasting: Option<String>,
    /// Who asks for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Why something is taken away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct Because {
    /// Who asks for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What to empty, or to take away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct Reset {
    /// The policy; absent: all.
    pub policy: Option<String>,
    /// Who asks for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A mode for the whole fleet.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMode {
    /// `enforce`, `shadow` or `off`; null: what the configuration of each worker says.
    #[schema(value_type = Option<String>)]
    pub mode: Option<Mode>,
    /// Who asks for it.
    #[serde(default)]
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

impl Operator {
    /// Gives an identity limits of its own, in place of any before for the same policy.
    ///
    /// # Errors
    ///
    /// A wish that cannot be, or a store that does not answer.
    pub async fn set_override(
        &self,
        identity: &Identity,
        wish: &NewOverride,
    ) -> Result<OverrideDoc, OperatorError> {
        let limits =
            Limits { minute: limit("minute", wish.minute)?, second: limit("second", wish.second)? };
        let scope = self.scope(wish.policy.as_deref())?;
        self.is_in_force(&scope)?;
        let lasting = lasting(wish.lasting.as_deref())?;
        let note = note(&wish.by, &wish.reason)?;
        let front = self.front();
        let store = front.gate.limiter();
        let Limits { minute, second } = limits;
        let detail =
            format!("policy={scope} minute={minute} second={second} for={}", said(lasting));
        record(store, "override.set", identity.as_str(), detail, &note).await?;
        let held = store.set_override(identity, &scope, limits, lasting, &note).await?;
        Ok(OverrideDoc::new(identity.as_str(), &scope, &held))
    }

    /// Takes an override back, for a policy that is there or was.
    ///
    /// # Errors
    ///
    /// None is there, or the store does not answer.
    pub async fn delete_override(
        &self,
        identity: &Identity,
        wish: &Reset,
    ) -> Result<(), OperatorError> {
        let scope = self.scope(wish.policy.as_deref())?;
        let note = note(&wish.by, &wish.reason)?;
        let front = self.front();
        let store = front.gate.limiter();
        let (_, standing) = store.standing(identity).await?;
        if !standing.overrides.contains_key(&scope) {
            let what = format!("{identity} has no override for {}", of_scope(&scope));
            return Err(OperatorError::NotFound(what));
        }
        let detail = format!("policy={scope}");
        record(store, "override.delete", identity.as_str(), detail, &note).await?;
        store.delete_override(identity, &scope).await?;
        Ok(())
    }

    /// Blocks an identity, in place of any block before.
    ///
    /// # Errors
    ///
    /// A wish that cannot be, or a store that does not answer.
    pub async fn block(
        &self,
        identity: &Identity,
        wish: &NewBlock,
    ) -> Result<BlockDoc, OperatorError> {
        let lasting = lasting(wish.lasting.as_deref())?;
        let note = note(&wish.by, &wish.reason)?;
        let front = self.front();
        let store = front.gate.limiter();
        let detail = format!("for={}", said(lasting));
        record(store, "block.set", identity.as_str(), detail, &note).await?;
        let block = store.block(identity, lasting, &note).await?;
        Ok(BlockDoc::new(identity.as_str(), &block))
    }

    /// Ends a block, and forgets strikes and past blocks.
    ///
    /// # Errors
    ///
    /// There is nothing of the kind, or the store does not answer.
    pub async fn unblock(&self, identity: &Identity, why: &Because) -> Result<(), OperatorError> {
        let note = note(&why.by, &why.reason)?;
        let front = self.front();
        let store = front.gate.limiter();
        let (now_us, standing) = store.standing(identity).await?;
        if standing.penalty.is_forgotten(now_us) {
            return Err(OperatorError::NotFound(format!("{identity} is not blocked")));
        }
        record(store, "block.delete", identity.as_str(), String::new(), &note).await?;
        store.unblock(identity).await?;
        Ok(())
    }

    /// Empties the windows of an identity, of one policy or of all, and ends its block and
    /// strikes, which are of no policy.
    ///
    /// # Errors
    ///
    /// A policy that is not there, or a store that does not answer.
    pub async fn reset(&self, identity: &Identity, wish: &Reset) -> Result<(), OperatorError> {
        let scope = self.scope(wish.policy.as_deref())?;
        self.is_in_force(&scope)?;
        let note = note(&wish.by, &wish.reason)?;
        let front = self.front();
        let store = front.gate.limiter();
        record(store, "reset", identity.as_str(), format!("policy={scope}"), &note).await?;
        let used = match scope {
            Scope::Policy(name) => vec![name],
            Scope::All => {
                let all = front.gate.policies().iter();
                let names: Vec<_> = all.map(|policy| policy.name.clone()).collect();
                store.in_use(identity, &names).await?
            }
        };
        for name in &used {
            store.reset(identity, name).await?;
        }
        store.unblock(identity).await?;
        Ok(())
    }

    /// Sets the mode of the whole fleet, or takes it back.
    ///
    /// # Errors
    ///
    /// A store that does not answer.
    pub async fn set_mode(&self, wish: &NewMode) -> Result<ModeDoc, OperatorError> {
        let note = note(&wish.by, &wish.reason)?;
        let front = self.front();
        let store = front.gate.limiter();
        let detail = wish.mode.map_or("as configured", Mode::as_str).to_owned();
        record(store, "mode.set", "fleet", detail, &note).await?;
        store.set_mode(wish.mode).await?;
        // The others read it soon; this worker need not wait.
        front.gate.fleet_mode().set(wish.mode);
        self.mode().await
    }

    /// Which policies are meant, whether they are in force or not.
    pub(super) fn scope(&self, policy: Option<&str>) -> Result<Scope, OperatorError> {
        let text = policy.filter(|text| !text.is_empty()).unwrap_or("*");
        text.parse().map_err(|error| OperatorError::bad("policy", error))
    }

    /// A policy that is not there is more likely a mistake than a plan.
    pub(super) fn is_in_force(&self, scope: &Scope) -> Result<(), OperatorError> {
        let Scope::Policy(name) = scope else {
            return Ok(());
        };
        let front = self.front();
        let policies = front.gate.policies();
        if policies.by_name(name.as_str()).is_some() {
            return Ok(());
        }
        let some: Vec<_> = policies.iter().take(20).map(|policy| policy.name.as_str()).collect();
        let reason =
            format!("there is none called {:?}; there are {}", name.as_str(), some.join(", "));
        Err(OperatorError::bad("policy", reason))
    }
}

/// Puts a change on record, before it is made: what cannot be put on record is not done.
pub(super) async fn record(
    store: &Backend,
    action: &str,
    target: &str,
    detail: String,
    note: &Note,
) -> Result<(), OperatorError> {
    let (action, target) = (action.to_owned(), target.to_owned());
    let change = Change { at_ms: 0, action, target, detail, note: note.clone() };
    Ok(store.record(&change).await?)
}

pub(super) fn limit(window: &str, limit: Option<u32>) -> Result<u32, OperatorError> {
    match limit {
        Some(limit) if limit <= LIMIT_MAX => Ok(limit),
        Some(limit) => {
            Err(OperatorError::bad(window, format!("must be 0 to {LIMIT_MAX}, not {limit}")))
        }
        None => {
            Err(OperatorError::bad(window, "missing; an override gives both minute and second"))
        }
    }
}

pub(super) fn lasting(text: Option<&str>) -> Result<Option<Duration>, OperatorError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match humantime::parse_duration(text) {
        Ok(time) if time < Duration::from_secs(1) => {
            Err(OperatorError::bad("for", format!("must be 1s at least, not {text}")))
        }
        Ok(time) if time > LASTING_MAX => {
            Err(OperatorError::bad("for", format!("{text} is too long; leave it out for good")))
        }
        Ok(time) => Ok(Some(time)),
        Err(_) => {
            Err(OperatorError::bad("for", format!("{text:?} is no duration; write 10m or 2h")))
        }
    }
}

pub(super) fn note(by: &str, reason: &str) -> Result<Note, OperatorError> {
    let line = |field: &str, text: &str, max: usize| {
        let text = text.trim();
        if text.chars().count() > max {
            return Err(OperatorError::bad(field, format!("more than {max} characters")));
        }
        if text.chars().any(char::is_control) {
            return Err(OperatorError::bad(field, "a control character"));
        }
        Ok(text.to_owned())
    };
    Ok(Note { by: line("by", by, BY_MAX)?, reason: line("reason", reason, REASON_MAX)? })
}

fn said(lasting: Option<Duration>) -> String {
    lasting.map_or_else(|| "ever".to_owned(), |time| humantime::format_duration(time).to_string())
}

fn of_scope(scope: &Scope) -> String {
    match scope {
        Scope::All => "all policies".to_owned(),
        Scope::Policy(name) => format!("the policy {name}"),
    }
}
