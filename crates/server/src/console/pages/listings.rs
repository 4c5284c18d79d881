//! Everybody with limits of their own, everybody who is blocked, and what was changed by whom.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use crate::console::guard::Visit;
use crate::console::layout::{Content, Failure, answer};
use crate::console::{Console, words};
use crate::operator::{BlockDoc, ChangeDoc, List, OverrideDoc};

/// How many changes are shown.
const CHANGES_MAX: usize = 200;

/// `GET /overrides`.
pub(in crate::console) async fn overrides(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
) -> Response {
    let found = console.admin.operator.overrides().await;
    let made = found.map(|list| {
        let head = ["Identity", "Policy", "Minute", "Second", "Until", "By", "Reason", "Since"];
        listing("Overrides", "/overrides", &head, &list, "There are no overrides.", override_row)
    });
    answer(&visit, made.map_err(Failure::from))
}

/// `GET /blocks`.
pub(in crate::console) async fn blocks(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
) -> Response {
    let found = console.admin.operator.blocks().await;
    let made = found.map(|list| {
        let head = ["Identity", "Until", "By", "Reason", "Since"];
        listing("Blocks", "/blocks", &head, &list, "Nobody is blocked.", block_row)
    });
    answer(&visit, made.map_err(Failure::from))
}

/// `GET /audit`.
pub(in crate::console) async fn audit(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
) -> Response {
    let found = console.admin.operator.changes(CHANGES_MAX).await;
    let made = found.map(|list| {
        let head = ["When", "What", "Whom", "Values", "By", "Reason"];
        listing("Audit", "/audit", &head, &list, "Nothing was changed.", change_row)
    });
    answer(&visit, made.map_err(Failure::from))
}

fn listing<T>(
    title: &str,
    place: &'static str,
    head: &[&str],
    list: &List<T>,
    none: &str,
    row: impl Fn(&T) -> Markup,
) -> Content {
    let markup = html! {
        h1 { (title) }
        section #list data-live="" aria-label=(title) {
            @if list.items.is_empty() { p.empty { (none) } } @else {
                div.scroll {
                    table {
                        thead { tr { @for name in head { th scope="col" { (name) } } } }
                        tbody { @for item in &list.items { (row(item)) } }
                    }
                }
            }
            @if list.more { p.note { "There are more than are shown." } }
        }
    };
    Content { title: title.to_owned(), place, done: None, markup }
}

fn link(identity: &str) -> Markup {
    html! { a href=(words::identity_page(identity)) { (identity) } }
}

/// A moment, for people and machines.
pub(super) fn time(at_us: u64) -> Markup {
    html! { time datetime=(words::rfc3339(at_us)) { (words::moment(at_us)) } }
}

/// When something ends.
pub(super) fn until(until_us: Option<u64>) -> Markup {
    html! { @match until_us { Some(at_us) => { (time(at_us)) } None => { "no end" } } }
}

fn override_row(held: &OverrideDoc) -> Markup {
    html! {
        tr {
            td { (link(&held.identity)) }
            td { @if held.policy == "*" { "all" } @else { (held.policy) } }
            td { (held.minute) }
            td { (held.second) }
            td { (until(held.until_us)) }
            td { (held.by) }
            td.text { (held.reason) }
            td { (time(held.at_us)) }
        }
    }
}

fn block_row(block: &BlockDoc) -> Markup {
    html! {
        tr {
            td { (link(&block.identity)) }
            td { (until(block.until_us)) }
            td { (block.by) }
            td.text { (block.reason) }
            td { (time(block.at_us)) }
        }
    }
}

fn change_row(change: &ChangeDoc) -> Markup {
    let is_identity = change.target.starts_with("user:") || change.target.starts_with("ip:");
    html! {
        tr {
            td { (time(change.at_ms.saturating_mul(1_000))) }
            td { code { (change.action) } }
            td { @if is_identity { (link(&change.target)) } @else { (change.target) } }
            td.text { (change.detail) }
            td { (change.by) }
            td.text { (change.reason) }
        }
    }
}
