//! A small API with a rate limit on its routes.
//!
//! ```text
//! cargo run -p transom-tower --example axum                                  # this process alone
//! cargo run -p transom-tower --example axum -- --redis redis://127.0.0.1:6379  # a whole fleet
//! ```
#![expect(clippy::print_stdout, reason = "it tells the reader what to try")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, Request};
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use transom_core::{
    Fallback, Gate, Identity, Limiter, Limits, Mode, PathPattern, Policies, Policy, PolicyError,
    PolicyName, Share,
};
use transom_local::LocalLimiter;
use transom_redis::{RedisLimiter, Settings};
use transom_tower::{Identify, RateLimitLayer, identify};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let local = LocalLimiter::default();
    match arguments.as_slice() {
        [] => serve(local).await,
        [flag, url] if flag == "--redis" => {
            let redis = RedisLimiter::open(&Settings::new(url))?;
            // While Redis does not answer, this process decides with its share of the limits: all
            // of them for a fleet of one.
            serve(Fallback::new(redis, local, Share::of(1))).await
        }
        _ => Err("usage: axum [--redis URL]".into()),
    }
}

async fn serve(limiter: impl Limiter + 'static) -> Result<(), Box<dyn Error>> {
    let gate = Gate::new(policies()?, Mode::Enforce, limiter);
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!(
        "Three times within a second gives 200, 200, 429:\n\n  \
         curl -i http://127.0.0.1:3000/v1/people\n\n\
         As a user, with windows of her own, and a route of one a second:\n\n  \
         curl -i -H 'Authorization: Bearer secret-of-ada' http://127.0.0.1:3000/v1/search/engine\n\n\
         Not limited:\n\n  \
         curl -i http://127.0.0.1:3000/health\n"
    );
    let app = app(gate).into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, app).await?)
}

/// The policy `default` (60 a minute, 2 a second) is there without being named.
fn policies() -> Result<Policies, PolicyError> {
    let mut search = Policy::new(PolicyName::new("search")?, Limits { minute: 30, second: 1 });
    search.path = Some(PathPattern::parse("/v1/search/{*rest}")?);
    let mut health = Policy::new(PolicyName::new("health")?, Limits::DEFAULT);
    health.path = Some(PathPattern::parse("/health")?);
    health.mode = Mode::Off;
    Policies::new(vec![search, health])
}

/// The layer that is added last is the outermost: authentication has run when the limit asks who
/// it is.
fn app(gate: Gate<impl Limiter + 'static>) -> Router {
    let user = identify::extension(|User(id): &User| Identity::user(id).ok());
    let peer = identify::address(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip());
    Router::new()
        .route("/v1/people", get(async || Json(["Ada", "Grace"])))
        .route("/v1/search/{term}", get(search))
        .route("/health", get(async || "ok"))
        .layer(RateLimitLayer::new(Arc::new(gate), user.or(peer)))
        .layer(middleware::from_fn(authenticate))
}

async fn search(Path(term): Path<String>) -> String {
    format!("nothing is known about {term}\n")
}

/// Who asks, where that was verified.
#[derive(Clone)]
struct User(&'static str);

/// Stands in for a real one. A request without a user, or with a wrong secret, goes on and is
/// limited by its address.
async fn authenticate(mut request: Request, next: Next) -> Response {
    let secret = request.headers().get(AUTHORIZATION);
    if secret.is_some_and(|secret| secret == "Bearer secret-of-ada") {
        request.extensions_mut().insert(User("ada"));
    }
    next.run(request).await
}
