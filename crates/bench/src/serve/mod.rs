//! Handlers to compare with: each parses what `POST /v1/decide` takes, lets something decide, and
//! answers with as many bytes as a worker does.

mod layer;
mod memory;
mod redis;
mod wire;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use transom_core::Limits;

use crate::args::{Kind, Serve};

pub(crate) use memory::{Governor, LimitadorMemory};

/// What decides in a handler.
pub(crate) trait Decider: Send + Sync + 'static {
    /// Whether one request for this identity passes.
    fn admit(&self, identity: &str) -> impl Future<Output = Result<bool>> + Send;
}

/// Nothing decides.
struct Noop;

impl Decider for Noop {
    async fn admit(&self, _identity: &str) -> Result<bool> {
        Ok(true)
    }
}

/// Serves until standard input ends, which it does with the process that started this one.
pub(crate) fn run(asked: &Serve) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    // As many threads as the worker has.
    tokio::runtime::Runtime::new()?.block_on(async {
        let limits = Limits { minute: asked.minute, second: asked.second };
        let url = || asked.redis.as_deref().context("--redis: this handler needs one");
        let router = match asked.kind {
            Kind::Noop => routes(Noop),
            Kind::Ping => routes(redis::Ping::open(url()?).await?),
            Kind::Textbook => routes(redis::Textbook::open(url()?, limits)?),
            Kind::LimitadorRedis => routes(redis::LimitadorRedis::open(url()?, limits).await?),
            Kind::TwoSteps => routes(redis::TwoSteps::open(url()?, limits).await?),
            Kind::LimitadorMemory => routes(LimitadorMemory::new(limits)),
            Kind::Governor => routes(Governor::new(limits)?),
            Kind::Tower => layer::router(url()?, limits).await?,
        };
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, router).await?)
    })
}

fn routes<D: Decider>(decider: D) -> Router {
    Router::new().route("/v1/decide", post(decide::<D>)).with_state(Arc::new(decider))
}

async fn decide<D: Decider>(State(decider): State<Arc<D>>, body: Bytes) -> Response {
    let asked: wire::Asked<'_> = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    match decider.admit(&asked.identity).await {
        Ok(allowed) => axum::Json(wire::Reply::new(&asked, allowed)).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")).into_response(),
    }
}
