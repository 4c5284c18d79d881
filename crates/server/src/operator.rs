//! What operators do: see, explain and change. The admin API and the console are faces of it.
//!
//! Every change is recorded with who made it and why.

mod api_keys;
mod changes;
mod checks;
mod doctor;
mod documents;
mod error;
mod explain;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};
use transom_core::{
    Ask, Held, Identity, Mode, Note, Operations, Outcome, Policy, PolicyName, Scope, normalise,
};
use transom_redis::KeyDirectory;
use utoipa::{IntoParams, ToSchema};

use crate::backend::Backend;
use crate::front::{Front, SharedFront};

pub use api_keys::NewKey;
pub use changes::{Because, NewBlock, NewMode, NewOverride, Reset};
pub use documents::*;
pub use error::OperatorError;
pub(crate) use explain::wait;

/// How many marks of a window are shown.
const MARKS_MAX: usize = 2_000;
/// How many entries a listing has.
const LIST_MAX: usize = 1_000;

/// Acts for operators on the store of a worker, under the configuration in force.
#[derive(Clone, Debug)]
pub struct Operator {
    front: SharedFront,
    directory: Option<KeyDirectory>,
}

/// Which request is to be explained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct Question {
    /// The method; absent: GET.
    pub method: Option<String>,
    /// The path; absent: `/`.
    pub path: Option<String>,
    /// The host; absent: none.
    pub host: Option<String>,
}

impl Operator {
    /// Acts under whatever configuration `front` holds. Without a `directory` there are no API
    /// keys but those of the configuration.
    pub const fn new(front: SharedFront, directory: Option<KeyDirectory>) -> Self {
        Self { front, directory }
    }

    fn front(&self) -> Arc<Front> {
        self.front.load_full()
    }

    /// Reads an identity in any spelling.
    ///
    /// # Errors
    ///
    /// What is none.
    pub fn identity(&self, text: &str) -> Result<Identity, OperatorError> {
        let prefix = self.front().identities.ipv6_prefix();
        Identity::parse(text, prefix).map_err(|error| OperatorError::bad("identity", error))
    }

    /// The policies in force, in the order of the configuration.
    pub fn policies(&self) -> Vec<PolicyDoc> {
        let front = self.front();
        let doc = |policy: &Arc<Policy>| PolicyDoc::new(policy, front.gate.mode_of(policy));
        front.gate.policies().iter().map(doc).collect()
    }

    /// The policy that a request would match.
    ///
    /// # Errors
    ///
    /// A method that is none.
    pub fn matching(&self, question: &Question) -> Result<PolicyDoc, OperatorError> {
        let front = self.front();
        let policy = front.gate.policies().find(
            &question.method()?,
            question.host.as_deref(),
            question.path(),
        );
        Ok(PolicyDoc::new(policy, front.gate.mode_of(policy)))
    }

    /// Why a request would be admitted or denied now. Consumes nothing.
    ///
    /// # Errors
    ///
    /// A question that is none, or a store that does not answer.
    pub async fn explain(
        &self,
        identity: &Identity,
        question: &Question,
    ) -> Result<Explanation, OperatorError> {
        let (front, method) = (self.front(), question.method()?);
        let (host, path) = (question.host.as_deref(), question.path());
        let ask =
            Ask { identity, method: &method, host, path, cost: None, peek: true, within: None };
        let (_, standing) = front.gate.limiter().standing(identity).await?;
        let answer = front.ask(ask).await;
        if let Outcome::Unknown { reason, .. } = answer.outcome {
            return Err(reason.into());
        }
        let asked = explain::Asked { identity, method: &method, path: &normalise(path) };
        Ok(explain::explanation(&front, asked, &answer, &standing))
    }

    /// Everything that is kept of an identity.
    ///
    /// # Errors
    ///
    /// A store that does not answer.
    pub async fn inspect(&self, identity: &Identity) -> Result<Inspection, OperatorError> {
        let front = self.front();
        let store = front.gate.limiter();
        let (at_us, standing) = store.standing(identity).await?;
        let mut names: Vec<_> =
            front.gate.policies().iter().map(|policy| policy.name.clone()).collect();
        names = store.in_use(identity, &names).await?;
        if !names.iter().any(PolicyName::is_default) {
            names.insert(0, PolicyName::default());
        }
        let mut windows = Vec::with_capacity(names.len());
        for name in names {
            windows.extend(explain::windows(&front, identity, &name, MARKS_MAX).await?);
        }
        let borne = front.gate.penalty().map(|rules| rules.strikes);
        let name = identity.as_str();
        let block = standing.penalty.block.as_ref();
        Ok(Inspection {
            identity: name.to_owned(),
            at_us,
            windows,
            overrides: standing
                .overrides
                .iter()
                .map(|(scope, held)| OverrideDoc::new(name, scope, held))
                .collect(),
            block: block
                .filter(|_| standing.penalty.blocked_us(at_us) > 0)
                .map(|block| BlockDoc::new(name, block)),
            strikes: StrikesDoc::new(&standing.penalty, borne),
            exempt: front.identities.is_exempt(identity).then(|| explain::EXEMPT.to_owned()),
        })
    }

    /// Every override in force.
    ///
    /// # Errors
    ///
    /// A store that does not answer.
    pub async fn overrides(&self) -> Result<List<OverrideDoc>, OperatorError> {
        let found = self.front().gate.limiter().standings(Held::Override, LIST_MAX).await?;
        let items = found.held.iter().flat_map(|(identity, standing)| {
            let doc = |(scope, held)| OverrideDoc::new(identity.as_str(), scope, held);
            standing.overrides.iter().map(doc)
        });
        Ok(List { items: items.collect(), more: found.more })
    }

    /// Every block in force.
    ///
    /// # Errors
    ///
    /// A store that does not answer.
    pub async fn blocks(&self) -> Result<List<BlockDoc>, OperatorError> {
        let found = self.front().gate.limiter().standings(Held::Block, LIST_MAX).await?;
        let items = found.held.iter().filter_map(|(identity, standing)| {
            Some(BlockDoc::new(identity.as_str(), standing.penalty.block.as_ref()?))
        });
        Ok(List { items: items.collect(), more: found.more })
    }

    /// Who was denied most lately, at most `max`.
    ///
    /// # Errors
    ///
    /// A store that does not answer.
    pub async fn top(&self, max: usize) -> Result<List<DeniedDoc>, OperatorError> {
        let max = max.clamp(1, LIST_MAX);
        let mut denied = self.front().gate.limiter().denied(max + 1).await?;
        let more = denied.len() > max;
        denied.truncate(max);
        Ok(List { items: denied.into_iter().map(Into::into).collect(), more })
    }

    /// What the fleet has decided lately.
    ///
    /// # Errors
    ///
    /// A store that does not answer.
    pub async fn traffic(&self) -> Result<TrafficDoc, OperatorError> {
        let traffic = self.front().gate.limiter().traffic().await?;
        Ok(TrafficDoc {
            at_us: traffic.now_us,
            bucket_s: transom_core::Traffic::BUCKET_S,
            buckets: traffic.buckets.into_iter().map(Into::into).collect(),
        })
    }

    /// The mode of everything.
    ///
    /// # Errors
    ///
    /// A store that does not answer.
    pub async fn mode(&self) -> Result<ModeDoc, OperatorError> {
        let front = self.front();
        let fleet = front.gate.limiter().fleet_mode().await?;
        let configured = front.gate.own_mode();
        Ok(ModeDoc { mode: fleet.unwrap_or(configured), fleet, configured })
    }

    /// The last changes, newest first, at most `max`.
    ///
    /// # Errors
    ///
    /// A store that does not answer.
    pub async fn changes(&self, max: usize) -> Result<List<ChangeDoc>, OperatorError> {
        let max = max.clamp(1, LIST_MAX);
        let mut changes = self.front().gate.limiter().changes(max + 1).await?;
        let more = changes.len() > max;
        changes.truncate(max);
        Ok(List { items: changes.into_iter().map(Into::into).collect(), more })
    }
}

impl Question {
    fn method(&self) -> Result<Method, OperatorError> {
        let text = self.method.as_deref().filter(|text| !text.is_empty()).unwrap_or("GET");
        let method = text.to_ascii_uppercase();
        method.parse().map_err(|_| OperatorError::bad("method", format!("{text:?} is no method")))
    }

    fn path(&self) -> &str {
        self.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/")
    }
}
