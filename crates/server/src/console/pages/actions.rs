//! What can be done to an identity, each thing behind a page that asks whether it is meant.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use transom_core::Identity;

use super::confirmation::{Confirmation, confirmation};
use super::identity::address as page_of;
use crate::console::guard::{Fields, Visit};
use crate::console::layout::{Content, Failure, answer, redirect};
use crate::console::{Console, words};
use crate::operator::{
    Because, Inspection, NewBlock, NewOverride, Operator, OperatorError, OverrideDoc, Reset,
};

/// Something that can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Limits of its own.
    Override,
    /// An override taken back.
    DeleteOverride,
    /// A block.
    Block,
    /// The end of a block.
    Unblock,
    /// Empty windows.
    Reset,
}

impl Action {
    const ALL: [Self; 5] =
        [Self::Override, Self::DeleteOverride, Self::Block, Self::Unblock, Self::Reset];

    /// As it stands in an address.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::DeleteOverride => "delete-override",
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Reset => "reset",
        }
    }

    fn of(word: &str) -> Result<Self, Failure> {
        let found = Self::ALL.into_iter().find(|action| action.word() == word);
        found.ok_or_else(Failure::not_found)
    }
}

/// `POST /identities/{identity}/{action}/confirm`.
pub(in crate::console) async fn confirm(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Extension(fields): Extension<Fields>,
    Path((identity, action)): Path<(String, String)>,
) -> Response {
    let operator = &console.admin.operator;
    let made = async {
        let (action, identity) = (Action::of(&action)?, operator.identity(&identity)?);
        let asked = ask(operator, action, &identity, &visit, &fields).await?;
        let (title, markup) = (asked.title.clone(), confirmation(&visit, &fields, &asked));
        Ok(Content { title, place: "", done: None, markup })
    };
    answer(&visit, made.await)
}

/// `POST /identities/{identity}/{action}`.
pub(in crate::console) async fn act(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Extension(fields): Extension<Fields>,
    Path((identity, action)): Path<(String, String)>,
) -> Response {
    let operator = &console.admin.operator;
    let done = async {
        let (action, identity) = (Action::of(&action)?, operator.identity(&identity)?);
        perform(operator, action, &identity, &visit, &fields).await?;
        Ok::<_, Failure>(redirect(&page_of(&identity, &fields.question()), action.word()))
    };
    done.await.unwrap_or_else(|failure| answer(&visit, Err(failure)))
}

async fn perform(
    operator: &Operator,
    action: Action,
    identity: &Identity,
    visit: &Visit,
    fields: &Fields,
) -> Result<(), OperatorError> {
    match action {
        Action::Override => {
            operator.set_override(identity, &new_override(visit, fields)?).await.map(|_| ())
        }
        Action::DeleteOverride => operator.delete_override(identity, &reset(visit, fields)).await,
        Action::Block => operator.block(identity, &new_block(visit, fields)).await.map(|_| ()),
        Action::Unblock => operator.unblock(identity, &because(visit, fields)).await,
        Action::Reset => operator.reset(identity, &reset(visit, fields)).await,
    }
}

/// What the page before an action says. What cannot be is refused here already.
async fn ask(
    operator: &Operator,
    action: Action,
    identity: &Identity,
    visit: &Visit,
    fields: &Fields,
) -> Result<Confirmation, OperatorError> {
    let kept = operator.inspect(identity).await?;
    let (title, says, changes, button) = match action {
        Action::Override => {
            let wish = new_override(visit, fields)?;
            operator.check_override(&wish)?;
            (
                format!("Give {identity} limits of its own?"),
                format!("They take the place of the limits of {}.", policies(fields)),
                override_changes(operator, &kept, fields),
                "Set the override",
            )
        }
        Action::DeleteOverride => (
            format!("Take the override of {identity} back?"),
            format!("The limits are then those of the policy again, for {}.", policies(fields)),
            deletion(operator, &kept, fields),
            "Take it back",
        ),
        Action::Block => {
            operator.check_block(&new_block(visit, fields))?;
            (
                format!("Block {identity}?"),
                "Every request is denied until the block ends, under every policy in enforce."
                    .to_owned(),
                vec![("Block", block_now(&kept), lasting(fields))],
                "Block it",
            )
        }
        Action::Unblock => (
            format!("End the block of {identity}?"),
            "Strikes and past blocks are forgotten too.".to_owned(),
            vec![("Block", block_now(&kept), "none".to_owned())],
            "Unblock it",
        ),
        Action::Reset => (
            format!("Reset {identity}?"),
            format!("Its windows are emptied, of {}. Block and strikes go too.", policies(fields)),
            resetting(&kept, fields),
            "Reset it",
        ),
    };
    let action = format!("{}/{}", words::identity_page(identity.as_str()), action.word());
    Ok(Confirmation {
        title,
        says,
        changes,
        action,
        back: page_of(identity, &fields.question()),
        button,
    })
}

fn new_override(visit: &Visit, fields: &Fields) -> Result<NewOverride, OperatorError> {
    let limit = |name: &str| match fields.get(name) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            OperatorError::bad(name, format!("{text:?} is no whole number from 0 to 1000000"))
        }),
    };
    let given = |name: &str| Some(fields.get(name).to_owned());
    Ok(NewOverride {
        minute: limit("minute")?,
        second: limit("second")?,
        policy: given("policy"),
        lasting: given("for"),
        by: visit.by.clone(),
        reason: fields.get("reason").to_owned(),
    })
}

fn new_block(visit: &Visit, fields: &Fields) -> NewBlock {
    NewBlock {
        lasting: Some(fields.get("for").to_owned()),
        by: visit.by.clone(),
        reason: fields.get("reason").to_owned(),
    }
}

fn because(visit: &Visit, fields: &Fields) -> Because {
    Because { by: visit.by.clone(), reason: fields.get("reason").to_owned() }
}

fn reset(visit: &Visit, fields: &Fields) -> Reset {
    Reset {
        policy: Some(fields.get("policy").to_owned()),
        by: visit.by.clone(),
        reason: fields.get("reason").to_owned(),
    }
}

type Changes = Vec<(&'static str, String, String)>;

fn override_changes(operator: &Operator, kept: &Inspection, fields: &Fields) -> Changes {
    let now = limits_now(operator, kept, fields.get("policy"));
    let then = |name: &str| fields.get(name).to_owned();
    let reason = fields.get("reason");
    let held = override_now(kept, fields.get("policy"));
    let lasts_now =
        held.map_or_else(String::new, |held| format!("until {}", words::until(held.until_us)));
    let reason_now = held.map_or_else(String::new, |held| held.reason.clone());
    let mut changes = vec![
        ("Units in any 60 seconds", now.0, then("minute")),
        ("Units in any second", now.1, then("second")),
        ("Lasts", lasts_now, lasting(fields)),
    ];
    if !reason.is_empty() {
        changes.push(("Reason", reason_now, reason.to_owned()));
    }
    changes
}

fn deletion(operator: &Operator, kept: &Inspection, fields: &Fields) -> Changes {
    let policy = fields.get("policy");
    let now = limits_now(operator, kept, policy);
    let own = operator.policies().into_iter().find(|own| own.name == policy);
    let then = own.map_or_else(
        || ("the policy's".to_owned(), "the policy's".to_owned()),
        |own| (own.minute.to_string(), own.second.to_string()),
    );
    vec![("Units in any 60 seconds", now.0, then.0), ("Units in any second", now.1, then.1)]
}

/// The override for a policy, or for all of them.
fn override_now<'a>(kept: &'a Inspection, policy: &str) -> Option<&'a OverrideDoc> {
    let policy = if policy.is_empty() { "*" } else { policy };
    kept.overrides.iter().find(|held| held.policy == policy)
}

/// The limits of the minute and of the second for a policy, or for all of them.
fn limits_now(operator: &Operator, kept: &Inspection, policy: &str) -> (String, String) {
    if let Some(held) = override_now(kept, policy) {
        return (held.minute.to_string(), held.second.to_string());
    }
    if let Some(windows) = kept.windows.iter().find(|windows| windows.policy == policy) {
        return (windows.minute.window.limit.to_string(), windows.second.window.limit.to_string());
    }
    let own = operator.policies().into_iter().find(|own| own.name == policy);
    own.map_or_else(
        || ("each policy's own".to_owned(), "each policy's own".to_owned()),
        |own| (own.minute.to_string(), own.second.to_string()),
    )
}

fn resetting(kept: &Inspection, fields: &Fields) -> Changes {
    let policy = fields.get("policy");
    let meant = kept.windows.iter().filter(|windows| ["", "*", &windows.policy].contains(&policy));
    let used: u64 = meant.map(|windows| u64::from(windows.minute.window.used)).sum();
    vec![
        ("Units used in the minute", words::number(used), "0".to_owned()),
        ("Block", block_now(kept), "none".to_owned()),
        ("Strikes", kept.strikes.strikes.to_string(), "0".to_owned()),
    ]
}

fn block_now(kept: &Inspection) -> String {
    let until = |block: &crate::operator::BlockDoc| {
        format!("until {}, by {}", words::until(block.until_us), words::by(&block.by))
    };
    kept.block.as_ref().map_or_else(|| "none".to_owned(), until)
}

fn lasting(fields: &Fields) -> String {
    match fields.get("for") {
        "" => "no end".to_owned(),
        text => text.to_owned(),
    }
}

fn policies(fields: &Fields) -> String {
    match fields.get("policy") {
        "" | "*" => "all policies".to_owned(),
        name => format!("the policy {name}"),
    }
}
