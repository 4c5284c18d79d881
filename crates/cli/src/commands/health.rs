//! `transom health`: what the image's health check runs, since the image has no curl.

use std::time::Duration;

use anyhow::Context as _;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::Exit;
use crate::commands::say;

/// A health check that waits longer has its answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn run(url: &str) -> anyhow::Result<Exit> {
    let uri = url.parse().with_context(|| format!("--url {url}"))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = tokio::time::timeout(PATIENCE, client.get(uri)).await;
    let (healthy, said) = match answer {
        Ok(Ok(response)) => (response.status().is_success(), response.status().to_string()),
        Ok(Err(error)) => (false, format!("{:#}", anyhow::Error::new(error))),
        Err(_) => (false, format!("no answer within {PATIENCE:?}")),
    };
    say(format_args!("{url}: {said}"))?;
    Ok(if healthy { Exit::Done } else { Exit::No })
}
