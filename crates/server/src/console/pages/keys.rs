//! API keys: what is known of them, a new one, and their revocation.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};

use super::confirmation::{Confirmation, confirmation};
use crate::console::guard::{Fields, Visit};
use crate::console::layout::{Content, Failure, answer, form_token, redirect};
use crate::console::{Console, words};
use crate::operator::{Because, CreatedKey, KeyDoc, NewKey, Operator};

/// How many digits of a digest are shown.
const DIGITS: usize = 12;

/// `GET /keys`.
pub(in crate::console) async fn page(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let made = listed(&console.admin.operator, &visit, fields.done()).await;
    answer(&visit, made)
}

/// `POST /keys`: the one page that shows a key.
pub(in crate::console) async fn create(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let given = |name: &str| fields.get(name).to_owned();
    let wish = NewKey { user: given("user"), label: given("label"), by: visit.by.clone() };
    let made = console.admin.operator.create_key(&wish).await;
    answer(&visit, made.map(|created| shown_once(&created)).map_err(Failure::from))
}

/// `POST /keys/{digest}/revoke/confirm`.
pub(in crate::console) async fn confirm(
    Extension(visit): Extension<Visit>,
    Extension(fields): Extension<Fields>,
    Path(digest): Path<String>,
) -> Response {
    let asked = Confirmation {
        title: format!("Revoke the key {}?", short(&digest)),
        says: "Requests with it count on their address from then on. This cannot be undone."
            .to_owned(),
        changes: Vec::new(),
        action: format!("/keys/{}/revoke", words::encoded(&digest)),
        back: "/keys".to_owned(),
        button: "Revoke it",
    };
    let (title, markup) = ("Revoke a key".to_owned(), confirmation(&visit, &fields, &asked));
    answer(&visit, Ok(Content { title, place: "/keys", done: None, markup }))
}

/// `POST /keys/{digest}/revoke`.
pub(in crate::console) async fn revoke(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Path(digest): Path<String>,
) -> Response {
    let wish = Because { by: visit.by.clone(), reason: String::new() };
    match console.admin.operator.revoke_key(&digest, &wish).await {
        Ok(()) => redirect("/keys", "revoked"),
        Err(error) => answer(&visit, Err(error.into())),
    }
}

async fn listed(
    operator: &Operator,
    visit: &Visit,
    done: Option<String>,
) -> Result<Content, Failure> {
    let keys = operator.keys(None).await?;
    let markup = html! {
        h1 { "API keys" }
        section #list data-live="" aria-label="Keys in Redis" {
            @if keys.items.is_empty() { p.empty { "There are no keys in Redis." } } @else {
                (table(visit, &keys.items))
            }
            @if keys.more { p.note { "There are more than are shown." } }
        }
        section aria-labelledby="new-key" {
            h2 #new-key { "New key" }
            form.card.row action="/keys" method="post" {
                (form_token(visit))
                div.field {
                    label for="user" { "User" }
                    input #user name="user" required maxlength="1024" autocomplete="off";
                }
                div.field.wide {
                    label for="label" { "Label" }
                    input #label name="label" maxlength="1000" autocomplete="off";
                }
                button { "Create a key" }
            }
        }
    };
    Ok(Content { title: "API keys".to_owned(), place: "/keys", done, markup })
}

fn table(visit: &Visit, keys: &[KeyDoc]) -> Markup {
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        @for name in ["User", "Label", "Digest", "Created", ""] {
                            th scope="col" { (name) }
                        }
                    }
                }
                tbody {
                    @for key in keys {
                        @let identity = format!("user:{}", key.user);
                        tr {
                            td { a href=(words::identity_page(&identity)) { (identity) } }
                            td.text { (key.label) }
                            td { code title=(key.digest) { (short(&key.digest)) } }
                            td { (key.created_us.map_or_else(String::new, words::moment)) }
                            td {
                                form.inline action={ "/keys/" (key.digest) "/revoke/confirm" }
                                    method="post" {
                                    (form_token(visit))
                                    button { "Revoke…" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn shown_once(created: &CreatedKey) -> Content {
    let markup = html! {
        h1 { "A key of " (created.user) }
        p { "It is shown this once, and kept nowhere." }
        p.key { code { (created.key) } }
        p.note { "Its digest, by which it is revoked: " code { (created.digest) } }
        p { a.button href="/keys" { "I have kept it" } }
    };
    Content { title: "A new key".to_owned(), place: "/keys", done: None, markup }
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGITS).collect()
}
