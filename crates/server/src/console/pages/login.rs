//! Logging in with the token, and out.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use maud::{Markup, html};
use transom_core::delay;

use crate::admin::auth::Refused;
use crate::console::Console;
use crate::console::guard::{Fields, fields, is_from_elsewhere, query};
use crate::console::layout::{Content, document, failure};
use crate::console::session::{COOKIE, LASTS_S, NAME_MAX, now_s};

/// `GET /login`.
pub(in crate::console) async fn page(State(console): State<Console>, request: Request) -> Response {
    let asked = query(request.uri());
    let asks = console.admin.front.load().admin_token.is_some();
    if !asks || console.session(request.headers()).is_some() {
        return Redirect::to(own_page(asked.get("next"))).into_response();
    }
    log_in(StatusCode::OK, &asked, None)
}

/// `POST /login`.
pub(in crate::console) async fn enter(
    State(console): State<Console>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if is_from_elsewhere(&parts.headers) {
        let (status, message) = Refused::Origin.says();
        return failure(None, status, message);
    }
    let fields = match fields(&parts, body).await {
        Ok(fields) => fields,
        Err(rejection) => return failure(None, rejection.status(), &rejection.body_text()),
    };
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let token = fields.get("token").as_bytes();
    match console.admin.may_enter(peer, &parts.headers, Some(token)).await {
        Ok(()) => welcome(&console, &parts, &fields),
        Err(refused) => {
            let (status, message) = refused.says();
            let mut response = log_in(status, &fields, Some(message));
            if let Refused::TooMany(wait_us) = refused {
                response.headers_mut().insert(RETRY_AFTER, delay::seconds(wait_us).into());
            }
            response
        }
    }
}

/// `POST /logout`.
pub(in crate::console) async fn leave() -> Response {
    let mut response = Redirect::to("/login?done=left").into_response();
    set_cookie(&mut response, "", 0, false);
    response
}

fn welcome(console: &Console, parts: &Parts, fields: &Fields) -> Response {
    let name: String = fields.get("name").chars().filter(|letter| !letter.is_control()).collect();
    if name.chars().count() > NAME_MAX {
        let message = format!("a name has at most {NAME_MAX} characters");
        return log_in(StatusCode::BAD_REQUEST, fields, Some(&message));
    }
    let cookie = console.seal().and_then(|seal| seal.open(&name, now_s()));
    let Some(cookie) = cookie else {
        let message = "this system has no random bytes to make a session of";
        return log_in(StatusCode::SERVICE_UNAVAILABLE, fields, Some(message));
    };
    let mut response = Redirect::to(own_page(fields.get("next"))).into_response();
    set_cookie(&mut response, &cookie, LASTS_S, came_over_https(console, parts));
    response
}

/// Sets the cookie, or clears it where it lasts for 0 seconds.
fn set_cookie(response: &mut Response, value: &str, lasts_s: u64, secure: bool) {
    let secure = if secure { "; Secure" } else { "" };
    let cookie =
        format!("{COOKIE}={value}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// Whether a trusted proxy says that the browser speaks TLS with it.
fn came_over_https(console: &Console, parts: &Parts) -> bool {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let front = console.admin.front.load();
    peer.is_some_and(|peer| front.identities.is_trusted_proxy(peer))
        && parts.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https")
}

/// A page of this console; the overview for what is none.
fn own_page(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && is_plain { next } else { "/" }
}

fn log_in(status: StatusCode, asked: &Fields, problem: Option<&str>) -> Response {
    let (title, done) = ("Log in".to_owned(), asked.done());
    let content = Content { title, place: "", done, markup: form(asked.get("next"), problem) };
    (status, axum::response::Html(document(None, &content).into_string())).into_response()
}

fn form(next: &str, problem: Option<&str>) -> Markup {
    html! {
        form.card.login action="/login" method="post" {
            h1 { "Log in" }
            @if let Some(problem) = problem { p.problem role="alert" #problem { (problem) } }
            input type="hidden" name="next" value=(next);
            div.field {
                label for="token" { "Admin token" }
                input #token name="token" type="password" required autofocus
                    autocomplete="current-password" aria-describedby=[problem.map(|_| "problem")];
            }
            div.field {
                label for="name" { "Your name" }
                input #name name="name" maxlength=(NAME_MAX) autocomplete="username"
                    aria-describedby="name-note";
                p.note #name-note { "Optional. What you change goes on record under it." }
            }
            button.main { "Log in" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::own_page;

    #[test]
    fn nobody_is_sent_to_another_site_after_the_log_in() {
        for page in ["/", "/policies", "/identities/user:42?path=%2F"] {
            assert_eq!(own_page(page), page);
        }
        for other in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "a\r\nb", "/\t/e"]
        {
            assert_eq!(own_page(other), "/", "{other}");
        }
    }
}
