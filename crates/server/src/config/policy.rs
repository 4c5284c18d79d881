//! Policies as a file writes them, and what core makes of them.

use http::Method;
use serde::{Deserialize, Deserializer};
use transom_core::{
    Cost, Limits, Mode, OnFailure, PathPattern, Policies, Policy, PolicyError, PolicyName,
};

use super::error::Fault;
use super::value::{list, whole};

/// How many policies there may be.
const MAX_POLICIES: usize = 10_000;

/// One `[[policy]]`. From a file only.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyEntry {
    /// Unique; `default` is the one that matches what no other does.
    name: PolicyName,
    /// Any, where it is empty.
    #[serde(default, deserialize_with = "methods")]
    methods: Vec<Method>,
    /// Any, where it is absent.
    path: Option<PathPattern>,
    /// Any, where it is absent.
    host: Option<String>,
    /// Units in any 60 seconds, 0 to 1,000,000.
    #[serde(default, deserialize_with = "limit")]
    minute: Option<u32>,
    /// Units in any second, 0 to 1,000,000.
    #[serde(default, deserialize_with = "limit")]
    second: Option<u32>,
    /// Units a request asks for, 0 to 1,000; default 1.
    #[serde(default, deserialize_with = "cost")]
    cost: Cost,
    /// Default `enforce`.
    #[serde(default)]
    mode: Mode,
    /// Default `redis.on_failure`.
    on_failure: Option<OnFailure>,
}

impl PolicyEntry {
    /// Whether it is the one that matches what no other does.
    pub(super) fn is_default(&self) -> bool {
        self.name.is_default()
    }

    fn policy(self, place: usize, on_failure: OnFailure) -> Result<Policy, Fault> {
        let given = |limit: Option<u32>, window: &str| {
            let reason = "missing; a policy gives both minute and second";
            limit.ok_or_else(|| Fault::new(format!("policy[{place}].{window}"), reason))
        };
        Ok(Policy {
            name: self.name,
            methods: self.methods,
            path: self.path,
            host: self.host,
            limits: Limits {
                minute: given(self.minute, "minute")?,
                second: given(self.second, "second")?,
            },
            cost: self.cost,
            mode: self.mode,
            on_failure: self.on_failure.unwrap_or(on_failure),
        })
    }
}

/// Builds the matcher. Where there is no `default`, one is added, with the limits of
/// [`Limits::DEFAULT`].
pub(super) fn build(entries: Vec<PolicyEntry>, on_failure: OnFailure) -> Result<Policies, Fault> {
    if entries.len() > MAX_POLICIES {
        let reason = format!("{} policies are more than {MAX_POLICIES}", entries.len());
        return Err(Fault::new("policy", reason));
    }
    let mut policies = Vec::with_capacity(entries.len() + 1);
    for (place, entry) in entries.into_iter().enumerate() {
        policies.push(entry.policy(place, on_failure)?);
    }
    if !policies.iter().any(|policy| policy.name.is_default()) {
        let mut default = Policy::new(PolicyName::default(), Limits::DEFAULT);
        default.on_failure = on_failure;
        policies.push(default);
    }
    let names: Vec<_> = policies.iter().map(|policy| policy.name.clone()).collect();
    Policies::new(policies).map_err(|error| blame(&error, &names))
}

/// Finds the key that an error of core is about.
fn blame(error: &PolicyError, names: &[PolicyName]) -> Fault {
    let key = |name: &PolicyName, key: &str| {
        let place = names.iter().rposition(|other| other == name).unwrap_or_default();
        format!("policy[{place}]{key}")
    };
    let (key, reason) = match error {
        PolicyError::Host { policy, host, reason } => {
            (key(policy, ".host"), format!("{host:?}: {reason}"))
        }
        PolicyError::MethodCase { policy, method, instead } => {
            let reason = format!("{method}: methods are compared by case, write {instead}");
            (key(policy, ".methods"), reason)
        }
        PolicyError::RestrictedDefault { condition } => (
            key(&PolicyName::default(), &format!(".{condition}")),
            "the policy default matches every request and takes no condition".to_owned(),
        ),
        PolicyError::DuplicateName { name } => {
            (key(name, ".name"), format!("{:?} is used twice", name.as_str()))
        }
        PolicyError::Tie { second, .. } => (key(second, ""), error.to_string()),
        _ => ("policy".to_owned(), error.to_string()),
    };
    Fault::new(key, reason)
}

fn limit<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u32>, D::Error> {
    whole::<_, _, 0, 1_000_000>(source).map(Some)
}

fn cost<'de, D: Deserializer<'de>>(source: D) -> Result<Cost, D::Error> {
    let units = whole::<_, u64, 0, { Cost::MAX as u64 }>(source)?;
    Cost::new(units).map_err(serde::de::Error::custom)
}

fn methods<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<Method>, D::Error> {
    list(source, |text| text.parse().map_err(|_| format!("{text:?} is no method")))
}
