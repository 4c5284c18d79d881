//! [`RateLimitLayer`] puts a rate limit on any axum router or tower service.
//!
//! A request is identified ([`Identify`]), its policy is found, the limiter of a
//! [`Gate`](transom_core::Gate) decides, and only then is the inner service called. A denied
//! request never reaches it. The layer knows the [`Limiter`](transom_core::Limiter) trait and no
//! store: `LocalLimiter` decides for one process, `RedisLimiter` for a fleet.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::sync::Arc;
//!
//! use axum::{Router, extract::ConnectInfo, routing::get};
//! use transom_core::{Gate, Limits, Mode, PathPattern, Policies, Policy, PolicyName};
//! use transom_local::LocalLimiter;
//! use transom_tower::{RateLimitLayer, identify};
//!
//! let mut search = Policy::new(PolicyName::new("search")?, Limits { minute: 30, second: 1 });
//! search.path = Some(PathPattern::parse("/v1/search/{*rest}")?);
//! let gate = Gate::new(Policies::new(vec![search])?, Mode::Enforce, LocalLimiter::default());
//!
//! let peer = identify::address(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip());
//! let app = Router::new()
//!     .route("/v1/search/{term}", get(|| async { "found" }))
//!     .layer(RateLimitLayer::new(Arc::new(gate), peer));
//!
//! // Without the connect info no request has an address, and each is refused.
//! let service = app.into_make_service_with_connect_info::<SocketAddr>();
//! # drop::<axum::extract::connect_info::IntoMakeServiceWithConnectInfo<Router, SocketAddr>>(service);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/axum.rs` is a whole program, with users and with Redis.
//!
//! # What a client sees
//!
//! | request | response |
//! | --- | --- |
//! | admitted | the inner service's, with the `X-RateLimit-*` fields |
//! | denied | 429 with the fields, `Retry-After` and a JSON body |
//! | denied in shadow mode | the inner service's, with the fields |
//! | exempt (mode `off`) | the inner service's, without the fields |
//! | not decided, policy says `allow` | the inner service's, with `X-RateLimit-Degraded` |
//! | not decided, policy says `deny` | 503 with `Retry-After` |
//! | without an identity | 403, unless [`Unidentified`] says otherwise |
//!
//! Where the policy says `local`, the limiter has to be a [`Fallback`](transom_core::Fallback);
//! a limiter that cannot stand in for itself leaves such a request undecided, which is a 503.
//! Fields of these names that the inner service sets are taken away. Every response to a request
//! that was asked about has the [`Answer`](transom_core::Answer) among its extensions, for the
//! logs and metrics of a layer outside. An error of the inner service is no response and carries
//! nothing: make it a response inside the limit.
//!
//! # Where to put the layer
//!
//! - *Inside* what says who asks: authentication has to have run.
//! - *Inside* what belongs on refusals too: CORS, tracing, request ids.
//! - On the *outermost* router. Policies match the path of the request's URI, and a router that
//!   is nested in another one gets that without its prefix.
//!
//! The host that policies match is that of the request's URI where there is one (HTTP/2), else
//! the field `Host`.

mod body;
mod future;
pub mod identify;
mod layer;
mod service;
mod unidentified;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use identify::Identify;
pub use layer::RateLimitLayer;
pub use service::RateLimit;
pub use unidentified::Unidentified;

#[cfg(test)]
mod tests;
