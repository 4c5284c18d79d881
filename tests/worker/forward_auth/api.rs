//! An API that answers with the request that it got, and says of limits what is not so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::{Router, serve};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What it says of itself in every response.
const CLAIMS: [(&str, &str); 7] = [
    ("x-ratelimit-limit", "9999"),
    ("x-ratelimit-remaining-second", "9999"),
    ("x-ratelimit-limited-by", "nothing"),
    ("ratelimit", "\"api\";r=9999"),
    ("x-request-id", "of-the-api"),
    ("retry-after", "77"),
    ("cache-control", "max-age=60"),
];

/// An API that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) address: SocketAddr,
    requests: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Api {
    /// Listens on a free port.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its number");
        let requests = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&requests);
        let router = Router::new().fallback(async move |request: Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            answer(request).await
        });
        let serving = tokio::spawn(async move {
            serve(listener, router).await.expect("a listener that lasts");
        });
        Self { address, requests, serving }
    }

    /// How many requests have come.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Says what has come, with the status that a path `/status/NUMBER` asks for.
async fn answer(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body that ends");
    let mut fields = Map::new();
    for (name, value) in &parts.headers {
        let lines = fields.entry(name.as_str()).or_insert_with(|| json!([]));
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        lines.as_array_mut().expect("a list of lines").push(value.into());
    }
    let got: Value = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "fields": fields,
        "body": String::from_utf8_lossy(&body),
    });
    let status = parts.uri.path().strip_prefix("/status/").and_then(|status| status.parse().ok());
    let response = Response::builder().status(status.unwrap_or(200_u16));
    let response =
        CLAIMS.iter().fold(response, |response, (name, value)| response.header(*name, *value));
    response.body(Body::from(got.to_string())).expect("a response")
}
