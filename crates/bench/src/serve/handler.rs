//! The HTTP of every handler: parses what `POST /v1/decide` takes, lets something decide, and
//! answers with as many bytes as a worker does. `crates/bench/peer` serves by this file too.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use super::wire;

/// The worker's allocator, so that none of what is compared has another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What decides in a handler.
pub(crate) trait Decider: Send + Sync + 'static {
    /// Whether one request for this identity passes.
    fn admit(&self, identity: &str) -> impl Future<Output = Result<bool>> + Send;
}

/// A router that lets this decide.
pub(crate) fn routes<D: Decider>(decider: D) -> Router {
    Router::new().route("/v1/decide", post(decide::<D>)).with_state(Arc::new(decider))
}

/// Serves on a free port, which it names on standard output, until standard input ends, which it
/// does with the process that started this one.
pub(crate) fn serve(router: impl Future<Output = Result<Router>>) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    // As many threads as the worker has.
    tokio::runtime::Runtime::new()?.block_on(async {
        let router = router.await?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, router).await?)
    })
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
