//! The console: pages for operators, at `/` of the admin listener.
//!
//! Every page is made here from what [`Operator`](crate::operator::Operator) says, and works
//! without a script. With one, the live parts of a page are fetched again every two seconds.
//! Nothing is loaded from anywhere else.

mod assets;
mod charts;
mod guard;
mod layout;
mod pages;
mod session;
mod words;

use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, middleware};
use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use crate::admin::Admin;
use session::Seal;

/// What a page may load: what this worker serves.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// On every response of the console.
const FIELDS: [(HeaderName, &str); 3] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // With no-referrer a browser sends `Origin: null` with the forms of this very page.
    (REFERRER_POLICY, "same-origin"),
];

/// What the pages know.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    admin: Admin,
    /// Seals forms where there is no token; none where the system has no random bytes, and no
    /// form is taken then.
    own: Option<Seal>,
}

/// The routes of the console.
pub(crate) fn router(admin: Admin) -> Router {
    let console = Console { admin, own: Seal::random() };
    let guarded = Router::new()
        .route("/", get(pages::overview::page))
        .route("/mode", post(pages::mode::set))
        .route("/mode/confirm", post(pages::mode::confirm))
        .route("/identities", get(pages::identity::find))
        .route("/identities/{identity}", get(pages::identity::page))
        .route("/identities/{identity}/{action}", post(pages::actions::act))
        .route("/identities/{identity}/{action}/confirm", post(pages::actions::confirm))
        .route("/policies", get(pages::policies::page))
        .route("/overrides", get(pages::listings::overrides))
        .route("/blocks", get(pages::listings::blocks))
        .route("/audit", get(pages::listings::audit))
        .route("/keys", get(pages::keys::page).post(pages::keys::create))
        .route("/keys/{digest}/revoke", post(pages::keys::revoke))
        .route("/keys/{digest}/revoke/confirm", post(pages::keys::confirm))
        .route("/logout", post(pages::login::leave))
        .layer(middleware::from_fn_with_state(console.clone(), guard::guard));
    Router::new()
        .route("/login", get(pages::login::page).post(pages::login::enter))
        .route("/assets/{name}", get(assets::serve))
        .merge(guarded)
        .layer(middleware::map_response(with_fields))
        .with_state(console)
}

/// Adds what every response of the console carries.
async fn with_fields(mut response: Response) -> Response {
    let fields = response.headers_mut();
    for (name, value) in FIELDS {
        fields.insert(name, HeaderValue::from_static(value));
    }
    fields.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
