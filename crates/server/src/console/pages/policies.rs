//! The policies, and which of them a request matches.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::console::Console;
use crate::console::guard::{Fields, Visit};
use crate::console::layout::{Content, Failure, answer};
use crate::operator::{Operator, PolicyDoc, Question};

/// `GET /policies`.
pub(in crate::console) async fn page(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Extension(fields): Extension<Fields>,
) -> Response {
    answer(&visit, content(&console.admin.operator, &fields.question()))
}

fn content(operator: &Operator, asked: &Question) -> Result<Content, Failure> {
    let is_asked = asked != &Question::default();
    let found = if is_asked { Some(operator.matching(asked)?) } else { None };
    let name = found.as_ref().map(|policy| policy.name.as_str());
    let markup = html! {
        h1 { "Policies" }
        section aria-labelledby="which" {
            h2 #which { "Which policy limits a request?" }
            form.card.row {
                (super::identity::method_field(shown(&asked.method)))
                (super::identity::path_field(shown(&asked.path)))
                div.field {
                    label for="host" { "Host" }
                    input #host name="host" value=(shown(&asked.host)) spellcheck="false"
                        autocapitalize="none" placeholder="any";
                }
                button { "Find the policy" }
            }
            @if let Some(policy) = &found { (answered(asked, policy)) }
        }
        section #policies data-live="" aria-label="All policies" {
            (table(&operator.policies(), name))
        }
    };
    let title = "Policies".to_owned();
    Ok(Content { title, place: "/policies", done: None, markup })
}

/// A part of a question as it was entered.
fn shown(part: &Option<String>) -> &str {
    part.as_deref().unwrap_or_default()
}

fn answered(asked: &Question, policy: &PolicyDoc) -> Markup {
    let method = asked.method.as_deref().unwrap_or("GET");
    let path = asked.path.as_deref().unwrap_or("/");
    html! {
        p.answer role="status" {
            code { (method) " " (shown(&asked.host)) (path) } " is limited by "
            strong { (policy.name) } ": " (policy.minute) " a minute and " (policy.second)
            " a second, mode " (policy.mode) "."
        }
    }
}

fn table(policies: &[PolicyDoc], found: Option<&str>) -> Markup {
    let any = |text: Option<&str>| text.unwrap_or("any").to_owned();
    html! {
        div.scroll {
            table {
                caption { "In force, in the order of the configuration" }
                thead {
                    tr {
                        @for name in ["Name", "Methods", "Host", "Path"] {
                            th scope="col" { (name) }
                        }
                        @for name in ["Minute", "Second", "Cost"] {
                            th.number scope="col" { (name) }
                        }
                        @for name in ["Mode", "Without a decision"] { th scope="col" { (name) } }
                    }
                }
                tbody {
                    @for policy in policies {
                        @let is_found = found == Some(policy.name.as_str());
                        tr.found[is_found] {
                            th scope="row" {
                                (policy.name) @if is_found { " " span.tag { "matches" } }
                            }
                            td {
                                @if policy.methods.is_empty() {
                                    "any"
                                } @else { (policy.methods.join(", ")) }
                            }
                            td { (any(policy.host.as_deref())) }
                            td { code { (any(policy.path.as_deref())) } }
                            td.number { (policy.minute) }
                            td.number { (policy.second) }
                            td.number { (policy.cost.units()) }
                            td { (policy.mode) }
                            td { (policy.on_failure) }
                        }
                    }
                }
            }
        }
    }
}
