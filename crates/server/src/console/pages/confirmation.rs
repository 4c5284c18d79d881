//! What stands between a button and what it does: a page that says what will change.

use maud::{Markup, html};

use crate::console::guard::{FORM_TOKEN, Fields, Visit};
use crate::console::layout::form_token;

/// What is about to be done.
#[derive(Debug)]
pub(super) struct Confirmation {
    /// As a question.
    pub(super) title: String,
    /// What happens, in a sentence.
    pub(super) says: String,
    /// What changes: its name, what it is now, and what it will be.
    pub(super) changes: Vec<(&'static str, String, String)>,
    /// Where the form goes.
    pub(super) action: String,
    /// Where to go in place of it.
    pub(super) back: String,
    /// What is on the button.
    pub(super) button: &'static str,
}

/// The page; it sends on what was entered.
pub(super) fn confirmation(visit: &Visit, fields: &Fields, asked: &Confirmation) -> Markup {
    let sent_on = fields.0.iter().filter(|(name, _)| name != FORM_TOKEN);
    html! {
        h1 { (asked.title) }
        p { (asked.says) }
        @if !asked.changes.is_empty() {
            div.scroll {
                table.changes {
                    thead {
                        tr {
                            th scope="col" {
                                "What"
                            }
                            th scope="col" { "Now" } th scope="col" { "Then" }
                        }
                    }
                    tbody {
                        @for (name, now, then) in &asked.changes {
                            tr {
                                th scope="row" { (name) } td { (shown(now)) } td { (shown(then)) }
                            }
                        }
                    }
                }
            }
        }
        p.note { "It goes on record as done by " strong { (visit.by) } "." }
        form.decide action=(asked.action) method="post" {
            (form_token(visit))
            @for (name, value) in sent_on { input type="hidden" name=(name) value=(value); }
            button.main { (asked.button) }
            a.button href=(asked.back) { "Cancel" }
        }
    }
}

/// A value, or a dash for none.
fn shown(value: &str) -> &str {
    if value.is_empty() { "–" } else { value }
}
