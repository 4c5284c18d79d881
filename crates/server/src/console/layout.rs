//! What all pages have in common.

use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use super::guard::{FORM_TOKEN, Visit};
use super::{assets, charts};
use crate::operator::OperatorError;

/// The pages that the head of every page leads to.
const PLACES: [(&str, &str); 6] = [
    ("/", "Overview"),
    ("/policies", "Policies"),
    ("/overrides", "Overrides"),
    ("/blocks", "Blocks"),
    ("/keys", "Keys"),
    ("/audit", "Audit"),
];

/// What an operator is told after a change: the word in the address, and the sentence.
const DONE: [(&str, &str); 8] = [
    ("override", "The override is in force."),
    ("delete-override", "The override was taken back."),
    ("block", "The identity is blocked."),
    ("unblock", "The block has ended, and strikes are forgotten."),
    ("reset", "The windows are empty; block and strikes are gone."),
    ("mode", "The mode is set; every worker follows within a second."),
    ("revoked", "The key is revoked; every worker refuses it within a second."),
    ("left", "You have logged out."),
];

/// A page that could not be made.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    message: String,
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Self {
        Self { status: error.status(), message: error.to_string() }
    }
}

impl Failure {
    /// There is nothing at this address.
    pub(super) fn not_found() -> Self {
        let message = "there is nothing at this address".to_owned();
        Self { status: StatusCode::NOT_FOUND, message }
    }
}

/// What a page is called, where it stands, and what is on it.
#[derive(Debug)]
pub(super) struct Content {
    /// In the title of the window.
    pub(super) title: String,
    /// The place among [`PLACES`]; empty: none of them.
    pub(super) place: &'static str,
    /// The word of what was just done, from the address.
    pub(super) done: Option<String>,
    /// What is on it.
    pub(super) markup: Markup,
}

/// The response with a page, or with why there is none.
pub(super) fn answer(visit: &Visit, made: Result<Content, Failure>) -> Response {
    match made {
        Ok(content) if visit.live => content.markup.into_response_html(StatusCode::OK),
        Ok(content) => document(Some(visit), &content).into_response_html(StatusCode::OK),
        Err(Failure { status, message }) => failure(Some(visit), status, &message),
    }
}

/// A page that says what went wrong.
pub(super) fn failure(visit: Option<&Visit>, status: StatusCode, message: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("This did not work").to_owned();
    let markup = html! {
        h1 { (title) }
        p.problem role="alert" { (message) }
        p { a href="/" { "To the overview" } }
    };
    let content = Content { title, place: "", done: None, markup };
    document(visit, &content).into_response_html(status)
}

/// The response after a change: to a page that says so.
pub(super) fn redirect(page: &str, done: &str) -> Response {
    let joint = if page.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{page}{joint}done={done}")).into_response()
}

/// The field that every form carries.
pub(super) fn form_token(visit: &Visit) -> Markup {
    html! { input type="hidden" name=(FORM_TOKEN) value=(visit.form_token); }
}

/// A whole page.
pub(super) fn document(visit: Option<&Visit>, content: &Content) -> Markup {
    let done = content.done.as_deref();
    let done = DONE.iter().find(|(word, _)| Some(*word) == done);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (content.title) " · Transom" }
                link rel="icon" href=(assets::ICON.path);
                link rel="stylesheet" href=(assets::STYLE.path);
                script src=(assets::SCRIPT.path) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (charts::patterns())
                (head(visit, content.place))
                main #main tabindex="-1" {
                    @if let Some((_, said)) = done { p.done role="status" { (said) } }
                    (content.markup)
                }
                footer {
                    p #live-state role="status" {}
                    noscript {
                        p { "Without a script this page shows what was when it was loaded." }
                    }
                    p { "Transom " (env!("CARGO_PKG_VERSION")) }
                }
            }
        }
    }
}

fn head(visit: Option<&Visit>, place: &str) -> Markup {
    html! {
        header.top {
            a.brand href="/" { "Transom" }
            @if let Some(visit) = visit {
                nav aria-label="Pages" {
                    @for (path, name) in PLACES {
                        a href=(path) aria-current=[(path == place).then_some("page")] { (name) }
                    }
                }
                form.search action="/identities" role="search" {
                    label.hidden for="search" { "Identity" }
                    input #search name="identity" type="search" required autocomplete="off"
                        spellcheck="false" autocapitalize="none"
                        placeholder="user:42 or ip:192.0.2.7";
                    button { "Find" }
                }
                @if visit.logged_in {
                    form.leave action="/logout" method="post" {
                        (form_token(visit))
                        button.plain { "Log out" }
                    }
                }
            }
        }
    }
}

/// Makes a response of markup.
trait IntoHtml {
    fn into_response_html(self, status: StatusCode) -> Response;
}

impl IntoHtml for Markup {
    fn into_response_html(self, status: StatusCode) -> Response {
        (status, axum::response::Html(self.into_string())).into_response()
    }
}
