//! The check listener: decisions for proxies and services that carry the traffic themselves.
//!
//! | route                          | who asks                                                    |
//! |--------------------------------|-------------------------------------------------------------|
//! | any method `/check`            | a proxy, about the request in the headers of `?profile=NAME` |
//! | any method `/check/PATH`       | Envoy, with its own method, about `/PATH`                   |
//! | `POST /v1/decide`              | a service, about the identities that it names               |
//!
//! The listener trusts whoever reaches it, so it belongs on an inner network. What it does not
//! trust is what a proxy passes on unseen: a client can send any header and any query, so each
//! profile reads only what its proxy sets itself.
//!
//! A request that cannot be read is answered with 400, 404, 405 or 413 and a body of `message` and
//! `status_code`; nothing is charged for it.

mod batch;
mod decide;
mod forward_auth;
mod profile;
mod requests;
#[cfg(test)]
pub(crate) mod tests;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{any, post};
use http::Method;

use crate::front::SharedFront;
use crate::listen::{Answering, ClientBody, HttpService};

pub(crate) use wire::{method_not_allowed, not_found, problem};

/// The longest body of `POST /v1/decide`, in bytes: a thousand requests of a kilobyte each.
const BODY_MAX: usize = 1024 * 1024;

/// Where services ask.
const DECIDE: &str = "/v1/decide";

/// The check listener: its routes, and a shorter way to the one that is asked the most.
#[derive(Clone, Debug)]
pub struct Check {
    front: SharedFront,
    routes: Router,
}

impl Check {
    /// Asks this front.
    pub fn new(front: SharedFront) -> Self {
        Self { routes: router(Arc::clone(&front)), front }
    }
}

impl HttpService for Check {
    type Body = Body;

    fn answer(&self, request: http::Request<ClientBody>, peer: SocketAddr) -> Answering<Body> {
        if request.method() == Method::POST && request.uri().path() == DECIDE {
            return Box::pin(decide::decide(Arc::clone(&self.front), request.into_body()));
        }
        self.routes.answer(request, peer)
    }
}

/// The routes of the check listener. A request carries the address of its peer as axum's
/// `ConnectInfo`.
pub fn router(front: SharedFront) -> Router {
    let decide = async |State(front): State<SharedFront>, request: Request| {
        decide::decide(front, request.into_body()).await
    };
    Router::new()
        .route("/check", any(forward_auth::check))
        .route("/check/", any(forward_auth::check))
        .route("/check/{*path}", any(forward_auth::check))
        .route(DECIDE, post(decide))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .with_state(front)
}
