//! One identity: whether it is limited now, why, until when, and what can be done about it.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use transom_core::{Identity, LimitedBy, delay};

use super::actions::Action;
use super::{forms, windows};
use crate::console::guard::{Fields, Visit};
use crate::console::layout::{Content, Failure, answer};
use crate::console::{Console, words};
use crate::operator::{Explanation, Inspection, Operator, OverrideDoc, Question, StrikesDoc};

/// The methods that are offered.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// The page of an identity, about a request.
pub(super) fn address(identity: &Identity, asked: &Question) -> String {
    let page = words::identity_page(identity.as_str());
    let query: Vec<_> =
        parts(asked).map(|(name, value)| format!("{name}={}", words::encoded(value))).collect();
    if query.is_empty() { page } else { format!("{page}?{}", query.join("&")) }
}

/// What of a question was asked, by the names of its fields.
pub(super) fn parts(asked: &Question) -> impl Iterator<Item = (&'static str, &str)> {
    let parts = [("method", &asked.method), ("path", &asked.path), ("host", &asked.host)];
    parts.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
}

/// `GET /identities?identity=...`: to the page of whoever was entered, in any spelling.
pub(in crate::console) async fn find(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Extension(fields): Extension<Fields>,
) -> Response {
    match console.admin.operator.identity(fields.get("identity")) {
        Ok(identity) => Redirect::to(&words::identity_page(identity.as_str())).into_response(),
        Err(error) => answer(&visit, Err(error.into())),
    }
}

/// `GET /identities/{identity}`.
pub(in crate::console) async fn page(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Path(identity): Path<String>,
    Extension(fields): Extension<Fields>,
) -> Response {
    answer(&visit, content(&console.admin.operator, &visit, &identity, &fields).await)
}

async fn content(
    operator: &Operator,
    visit: &Visit,
    identity: &str,
    fields: &Fields,
) -> Result<Content, Failure> {
    let (identity, asked) = (operator.identity(identity)?, fields.question());
    let said = operator.explain(&identity, &asked).await?;
    let kept = operator.inspect(&identity).await?;
    let markup = html! {
        h1.identity { (identity) }
        section #verdict data-live="" role="status" aria-label="Verdict" { (verdict(&said)) }
        section #summary data-live="" aria-label="Why" { (summary(&said)) }
        (question_form(&identity, &asked, &said))
        section #windows data-live="" aria-label="Windows" { (windows::windows(&said, &kept)) }
        section #in-force data-live="" aria-label="In force" {
            (in_force(visit, &identity, &asked, &said, &kept))
        }
        (forms::forms(visit, &identity, &asked, &operator.policies()))
    };
    let title = identity.to_string();
    Ok(Content { title, place: "", done: fields.done(), markup })
}

/// Whether the next request passes, in a word or two. It changes when the answer does, and is
/// then read out.
fn verdict(said: &Explanation) -> Markup {
    let (class, text) = match (said.exempt.is_some(), said.shadow, said.allowed, said.limited_by) {
        (true, ..) => ("open", "Not limited".to_owned()),
        (_, true, ..) => ("shadow", "Passes, in shadow mode".to_owned()),
        (_, _, true, _) => ("open", "Admitted now".to_owned()),
        (_, _, _, Some(LimitedBy::Penalty)) => ("shut", "Blocked now".to_owned()),
        (_, _, _, Some(by)) => ("shut", format!("Denied now by the {}", by.as_str())),
        (_, _, _, None) => ("shut", "Denied now".to_owned()),
    };
    html! { p.verdict.(class) { (text) } }
}

fn summary(said: &Explanation) -> Markup {
    // Where nothing ever passes, there is no time to name.
    let passes_us = said.passes_at_us.filter(|_| !said.allowed);
    html! {
        p.summary { (said.summary) }
        @if let Some(passes_us) = passes_us {
            @let wait_us = passes_us.saturating_sub(said.at_us);
            p.next {
                "The next request passes in "
                strong data-countdown-ms=(delay::milliseconds(wait_us)) { (words::wait(wait_us)) }
                " " span.note { "at " (words::time_of_day(passes_us)) " UTC" }
            }
        }
        @if let Some(reason) = &said.degraded {
            p.warning { "Decided by this worker alone, since Redis does not: " (reason) "." }
        }
    }
}

fn question_form(identity: &Identity, asked: &Question, said: &Explanation) -> Markup {
    html! {
        form.card.row action=(words::identity_page(identity.as_str()))
            aria-label="Ask about another request" {
            (method_field(&said.method))
            (path_field(&said.path))
            @if let Some(host) = &asked.host {
                div.field { label for="host" { "Host" } input #host name="host" value=(host); }
            }
            button { "Ask about this request" }
        }
    }
}

/// A field for the method of a request.
pub(super) fn method_field(method: &str) -> Markup {
    let other = !method.is_empty() && !METHODS.contains(&method);
    html! {
        div.field {
            label for="method" { "Method" }
            select #method name="method" {
                @for name in METHODS { option selected[name == method] { (name) } }
                @if other { option selected { (method) } }
            }
        }
    }
}

/// A field for the path of a request.
pub(super) fn path_field(path: &str) -> Markup {
    html! {
        div.field.wide {
            label for="path" { "Path" }
            input #path name="path" value=(path) spellcheck="false" autocapitalize="none"
                placeholder="/v1/people";
        }
    }
}

/// What holds for this identity, and why.
fn in_force(
    visit: &Visit,
    identity: &Identity,
    asked: &Question,
    said: &Explanation,
    kept: &Inspection,
) -> Markup {
    html! {
        h2 { "In force" }
        dl.facts {
            div { dt { "Limits" } dd {
                @match (&said.minute, &said.second) {
                    (Some(minute), Some(second)) => {
                        (minute.limit) " a minute, " (second.limit) " a second"
                    }
                    _ => { "none" }
                }
                @if let Some(from) = said.limits_from { small { "from " (words::source_of(from)) } }
            } }
            div { dt { "Policy" } dd {
                (said.policy.name)
                small {
                    (said.policy.minute) " a minute, " (said.policy.second) " a second, "
                    (said.policy.mode)
                }
            } }
            div { dt { "Block" } dd {
                @match &kept.block {
                    Some(block) => {
                        "until " (words::until(block.until_us))
                        small {
                            "by " (words::by(&block.by)) ", since " (words::moment(block.at_us))
                        }
                        @if !block.reason.is_empty() { small { "“" (block.reason) "”" } }
                        (forms::button(visit, identity, asked, Action::Unblock, "Unblock…", None))
                    }
                    None => { "none" }
                }
            } }
            div { dt { "Strikes" } dd { (strikes(kept.strikes)) } }
        }
        @if let Some(exempt) = &kept.exempt { p.warning { "Nothing limits it: " (exempt) "." } }
        @if !kept.overrides.is_empty() { (overrides(visit, identity, asked, &kept.overrides)) }
    }
}

fn strikes(strikes: StrikesDoc) -> Markup {
    html! {
        (strikes.strikes)
        @match strikes.borne {
            Some(borne) => { " of " (borne) small { "one more than that is a block" } }
            None => { small { "penalties are off" } }
        }
        @if strikes.blocks > 0 { small { "blocked before: " (strikes.blocks) } }
    }
}

/// What is shown of an override; the last one is for the button.
const OVERRIDE_COLUMNS: [&str; 8] =
    ["Policy", "Minute", "Second", "Until", "By", "Reason", "Since", ""];

fn overrides(
    visit: &Visit,
    identity: &Identity,
    asked: &Question,
    overrides: &[OverrideDoc],
) -> Markup {
    html! {
        h3 { "Overrides" }
        div.scroll {
            table {
                thead {
                    tr {
                        @for name in OVERRIDE_COLUMNS { th scope="col" { (name) } }
                    }
                }
                tbody {
                    @for held in overrides {
                        tr {
                            th scope="row" {
                                @if held.policy == "*" { "all" } @else { (held.policy) }
                            }
                            td { (held.minute) }
                            td { (held.second) }
                            td { (super::listings::until(held.until_us)) }
                            td { (words::by(&held.by)) }
                            td.text { (held.reason) }
                            td { (super::listings::time(held.at_us)) }
                            td {
                                (forms::button(visit, identity, asked, Action::DeleteOverride,
                                    "Take back…", Some(&held.policy)))
                            }
                        }
                    }
                }
            }
        }
    }
}
