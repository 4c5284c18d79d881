//! Who may see a page, and whose form is taken.
//!
//! With `admin.token` whoever holds a session; without, whoever is on this machine, as for the
//! API. A form is taken from its own session and from a page of this console only.

use std::net::SocketAddr;

use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, Form, FromRequest, Query, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::layout::failure;
use super::session::{self, Seal};
use super::{Console, words};
use crate::admin::auth::Refused;
use crate::operator::Question;

/// What a script sends that wants the live parts of a page alone.
const LIVE: &str = "x-transom-live";
/// The field of a form that says whose it is.
pub(super) const FORM_TOKEN: &str = "form_token";
/// Stands for the session where nobody logs in.
const NO_SESSION: &str = "loopback";
/// Who acts where nobody said.
const NOBODY: &str = "console";

/// Somebody who looks at a page.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    /// The name on record for what is changed.
    pub(super) by: String,
    /// What each form of this visit carries.
    pub(super) form_token: String,
    /// Whether there is a session to log out of.
    pub(super) logged_in: bool,
    /// Whether the live parts are wanted alone.
    pub(super) live: bool,
}

/// The fields of a form that was sent, or of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Fields {
    /// The first field of this name, without space around it; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.trim())
    }

    /// The word of what was just done, in an address.
    pub(super) fn done(&self) -> Option<String> {
        Some(self.get("done").to_owned()).filter(|word| !word.is_empty())
    }

    /// The request that a page is about.
    pub(super) fn question(&self) -> Question {
        let given = |name| Some(self.get(name).to_owned()).filter(|text| !text.is_empty());
        Question { method: given("method"), path: given("path"), host: given("host") }
    }
}

/// Why somebody does not see a page.
enum Barred {
    /// There is no session; the log-in comes first.
    LogIn,
    /// This, in words.
    Refused(StatusCode, String),
}

impl From<Refused> for Barred {
    fn from(refused: Refused) -> Self {
        let (status, message) = refused.says();
        Self::Refused(status, message.to_owned())
    }
}

/// Lets through who may see a page; reads the form where one is sent.
pub(super) async fn guard(
    State(console): State<Console>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let is_live = parts.headers.contains_key(LIVE);
    let (visit, session_id) = match console.visitor(&parts).await {
        Ok(visitor) => visitor,
        Err(Barred::LogIn) if is_live => {
            return (StatusCode::UNAUTHORIZED, "the session has ended").into_response();
        }
        Err(Barred::LogIn) => return to_log_in(&parts),
        Err(Barred::Refused(status, message)) => return failure(None, status, &message),
    };
    let visit = Visit { live: is_live, ..visit };
    if parts.method == Method::POST {
        let fields = match fields(&parts, body).await {
            Ok(fields) => fields,
            Err(rejection) => {
                return failure(Some(&visit), rejection.status(), &rejection.body_text());
            }
        };
        if !console.is_own_form(&session_id, &fields) {
            let message = "this form is of another session, or too old: load the page again";
            return failure(Some(&visit), StatusCode::FORBIDDEN, message);
        }
        parts.extensions.insert(fields);
    } else {
        parts.extensions.insert(query(&parts.uri));
    }
    parts.extensions.insert(visit);
    next.run(Request::from_parts(parts, axum::body::Body::empty())).await
}

/// The fields of a query, as a form that is sent by GET has them.
pub(super) fn query(uri: &Uri) -> Fields {
    Query::try_from_uri(uri).map(|Query(fields)| Fields(fields)).unwrap_or_default()
}

/// The fields of a form.
pub(super) async fn fields(parts: &Parts, body: axum::body::Body) -> Result<Fields, FormRejection> {
    let request = Request::from_parts(parts.clone(), body);
    Form::from_request(request, &()).await.map(|Form(fields)| Fields(fields))
}

impl Console {
    /// Who asks, and the id of the session.
    async fn visitor(&self, parts: &Parts) -> Result<(Visit, String), Barred> {
        if parts.method == Method::POST && is_from_elsewhere(&parts.headers) {
            return Err(Refused::Origin.into());
        }
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        match self.admin.may_enter(peer, &parts.headers, None).await {
            // Nobody has to log in.
            Ok(()) => Ok((self.visit("", NO_SESSION, false), NO_SESSION.to_owned())),
            Err(Refused::Missing) => {
                let session = self.session(&parts.headers).ok_or(Barred::LogIn)?;
                Ok((self.visit(&session.name, &session.id, true), session.id))
            }
            // A link on another site leads to the log-in: the cookie does not come along.
            Err(Refused::Origin)
                if parts.method == Method::GET && self.admin.front.load().admin_token.is_some() =>
            {
                Err(Barred::LogIn)
            }
            Err(refused) => Err(refused.into()),
        }
    }

    fn visit(&self, name: &str, session_id: &str, logged_in: bool) -> Visit {
        let by = if name.is_empty() { NOBODY } else { name }.to_owned();
        let form_token = self.seal().map(|seal| seal.form_token(session_id)).unwrap_or_default();
        Visit { by, form_token, logged_in, live: false }
    }

    fn is_own_form(&self, session_id: &str, fields: &Fields) -> bool {
        self.seal().is_some_and(|seal| seal.is_form_token(session_id, fields.get(FORM_TOKEN)))
    }

    /// The session that a cookie holds.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<session::Session> {
        let (seal, now_s) = (self.seal()?, session::now_s());
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let cookies = lines.flat_map(|line| line.split(';'));
        let mut ours = cookies.filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            (name == session::COOKIE).then_some(value)
        });
        ours.find_map(|value| seal.read(value, now_s))
    }

    /// Seals with the token, which all workers share; without one with a key of this process.
    pub(super) fn seal(&self) -> Option<Seal> {
        match &self.admin.front.load().admin_token {
            Some(token) => Some(Seal::of(token.expose().as_bytes())),
            None => self.own.clone(),
        }
    }
}

/// Whether a browser says that a page of another site has sent this.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes);
    site.is_some_and(|site| site != b"same-origin" && site != b"none")
}

/// To the log-in, and from there to the page that was asked for.
fn to_log_in(parts: &Parts) -> Response {
    let asked = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    if parts.method != Method::GET || asked == "/" {
        return Redirect::to("/login").into_response();
    }
    Redirect::to(&format!("/login?next={}", words::encoded(asked))).into_response()
}
