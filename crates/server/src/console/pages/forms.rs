//! The forms by which something is done to an identity. Each leads to a page that asks first.

use maud::{Markup, html};
use transom_core::Identity;

use super::actions::Action;
use super::identity::parts;
use crate::console::guard::Visit;
use crate::console::layout::form_token;
use crate::console::words;
use crate::operator::{PolicyDoc, Question};

/// A button that asks first, with nothing to enter.
pub(super) fn button(
    visit: &Visit,
    identity: &Identity,
    asked: &Question,
    action: Action,
    label: &str,
    policy: Option<&str>,
) -> Markup {
    html! {
        form.inline action=(address(identity, action)) method="post" {
            (form_token(visit)) (about(asked))
            @if let Some(policy) = policy { input type="hidden" name="policy" value=(policy); }
            button id={ (action.word()) "-" (policy.unwrap_or("button")) } { (label) }
        }
    }
}

fn address(identity: &Identity, action: Action) -> String {
    format!("{}/{}/confirm", words::identity_page(identity.as_str()), action.word())
}

fn about(asked: &Question) -> Markup {
    html! {
        @for (name, value) in parts(asked) { input type="hidden" name=(name) value=(value); }
    }
}

/// The forms for what takes something to enter.
pub(super) fn forms(
    visit: &Visit,
    identity: &Identity,
    asked: &Question,
    all: &[PolicyDoc],
) -> Markup {
    html! {
        section aria-labelledby="change" {
            h2 #change { "Change" }
            div.forms {
                form.card action=(address(identity, Action::Override)) method="post" {
                    h3 { "Override" }
                    p.note { "Limits of its own, in place of a policy's." }
                    (form_token(visit)) (about(asked))
                    div.pair {
                        (number_field("minute", "Units a minute"))
                        (number_field("second", "Units a second"))
                    }
                    (policy_field("override-policy", all))
                    (text_field("override-for", "for", "For how long", "2h, or empty: no end"))
                    (text_field("override-reason", "reason", "Reason", ""))
                    button { "Set an override…" }
                }
                form.card action=(address(identity, Action::Block)) method="post" {
                    h3 { "Block" }
                    p.note { "Every request is denied." }
                    (form_token(visit)) (about(asked))
                    (text_field("block-for", "for", "For how long", "10m, or empty: no end"))
                    (text_field("block-reason", "reason", "Reason", ""))
                    button { "Block…" }
                }
                form.card action=(address(identity, Action::Reset)) method="post" {
                    h3 { "Reset" }
                    p.note { "Empty windows, and no block or strikes." }
                    (form_token(visit)) (about(asked))
                    (policy_field("reset-policy", all))
                    (text_field("reset-reason", "reason", "Reason", ""))
                    button { "Reset…" }
                }
            }
        }
    }
}

fn number_field(name: &str, label: &str) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            input id=(name) name=(name) type="number" min="0" max="1000000" required;
        }
    }
}

fn text_field(id: &str, name: &str, label: &str, placeholder: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) name=(name) placeholder=(placeholder) maxlength="1000" autocomplete="off";
        }
    }
}

fn policy_field(id: &str, all: &[PolicyDoc]) -> Markup {
    html! {
        div.field {
            label for=(id) { "Policy" }
            select id=(id) name="policy" {
                option value="*" { "all policies" }
                @for policy in all { option { (policy.name) } }
            }
        }
    }
}
