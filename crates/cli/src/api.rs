//! The admin API as a client: in this process over Redis, or of a worker over HTTP. A command
//! knows nothing else of what it shows and changes.

use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tower::ServiceExt as _;
use transom_server::config::Config;
use transom_server::desk;

use crate::args::Args;
use crate::commands::{config, source};
use crate::{Exit, Failure};

/// To connect to a worker.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// For an answer of a worker. `doctor` and listings look at every key of a Redis.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where a worker is that is configured in no other way.
const DEFAULT_ADMIN: &str = "http://127.0.0.1:8083";

/// Whoever answers.
#[derive(Debug)]
pub(crate) enum Api {
    /// This process, over the Redis of the configuration.
    Here(Router),
    /// A worker.
    There(Box<Worker>),
}

/// A worker's admin API.
#[derive(Debug)]
pub(crate) struct Worker {
    client: Client<HttpConnector, Full<Bytes>>,
    /// Without a slash at its end.
    url: String,
    /// Whether nobody has named it.
    by_default: bool,
    token: Option<HeaderValue>,
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Api {
    /// `--admin` if it is given, else the Redis of the configuration, else the admin API of the
    /// worker that is there by default.
    ///
    /// # Errors
    ///
    /// A configuration or an argument that cannot be.
    pub(crate) async fn open(args: &Args) -> anyhow::Result<Self> {
        let config = config(args, &source(args))?;
        if args.admin.is_none() && config.redis.place().is_some() {
            return Ok(Self::Here(desk::open(&config).await?));
        }
        let configured = args.token.as_deref();
        let configured = configured.or(config.admin.token.as_ref().map(|token| token.expose()));
        let token = configured.filter(|token| !token.is_empty()).map(bearer).transpose()?;
        let named = match (&args.admin, &args.default_admin) {
            (Some(url), _) => Some(base("--admin", url)?),
            (None, Some(url)) if !url.is_empty() => Some(base("TRANSOM_ADMIN", url)?),
            _ => None,
        };
        let by_default = named.is_none();
        let url = named.unwrap_or_else(|| own_admin(&config));
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_PATIENCE));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self::There(Box::new(Worker { client, url, by_default, token })))
    }

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// A refusal, nobody who answers, or an answer that is no such document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Takes something away.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); [`Exit::No`] where it is not there.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::DELETE, path, Bytes::new()).await
    }

    /// Makes a change.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        wish: &(impl Serialize + Sync),
    ) -> anyhow::Result<T> {
        self.ask(method, path, serde_json::to_vec(wish)?.into()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<T> {
        let request = Request::builder().method(&method).header(CONTENT_TYPE, "application/json");
        let (status, body) = match self {
            Self::Here(router) => {
                let request = request.uri(path).body(Full::new(body))?;
                let Ok(response) = router.clone().oneshot(request).await;
                read(response).await?
            }
            Self::There(worker) => {
                let request = request.uri(format!("{}{path}", worker.url)).body(Full::new(body))?;
                worker.exchange(request).await?
            }
        };
        if !status.is_success() {
            return Err(self.refused(&method, status, &body).into());
        }
        serde_json::from_slice(&body).map_err(|error| self.stranger(&error).into())
    }

    fn refused(&self, method: &Method, status: StatusCode, body: &[u8]) -> Failure {
        let Ok(Refusal { message }) = serde_json::from_slice(body) else {
            return match status {
                StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
                    Failure { exit: Exit::Unavailable, said: format!("{}: {status}", self.name()) }
                }
                _ => self.stranger(&status),
            };
        };
        let (exit, said) = match status {
            StatusCode::NOT_FOUND if method == Method::DELETE => (Exit::No, message),
            StatusCode::NOT_FOUND => return self.stranger(&message),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                let hint = "the token is that of --token, TRANSOM_TOKEN or admin.token";
                (Exit::Usage, format!("{}: {message}; {hint}", self.name()))
            }
            _ if status.is_server_error() => (Exit::Unavailable, message),
            _ => (Exit::Usage, message),
        };
        Failure { exit, said }
    }

    /// What answers like this is something else.
    fn stranger(&self, said: &dyn std::fmt::Display) -> Failure {
        let said = format!("{}: not an answer of this admin API: {said}", self.name());
        Failure { exit: Exit::Usage, said }
    }

    fn name(&self) -> &str {
        match self {
            Self::Here(_) => "this process",
            Self::There(worker) => &worker.url,
        }
    }
}

impl Worker {
    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> anyhow::Result<Answered> {
        if let Some(token) = &self.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let exchange = async { read(self.client.request(request).await?).await };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(error)) => Err(self.silent(&format!("{error:#}")).into()),
            Err(_) => Err(self.silent(&format!("no answer within {PATIENCE:?}")).into()),
        }
    }

    fn silent(&self, why: &str) -> Failure {
        let hint = if self.by_default { "; --admin names another, --redis a Redis" } else { "" };
        let said = format!("the admin API at {} cannot be reached: {why}{hint}", self.url);
        Failure { exit: Exit::Unavailable, said }
    }
}

/// A status and a body.
type Answered = (StatusCode, Bytes);

async fn read<B>(response: Response<B>) -> anyhow::Result<Answered>
where
    B: hyper::body::Body<Error: std::error::Error + Send + Sync + 'static>,
{
    let status = response.status();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}

/// The path of the API that these parts name, with a query of what is not empty.
pub(crate) fn path(parts: &[&str], query: &[(&str, &str)]) -> String {
    let mut path = "/api".to_owned();
    for part in parts {
        path.push('/');
        encode(part, &mut path);
    }
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        path.push(if path.contains('?') { '&' } else { '?' });
        path.push_str(name);
        path.push('=');
        encode(value, &mut path);
    }
    path
}

/// Percent-encodes what could be anything but a letter of a value.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// An address of a worker as it was typed. Only what is surely no secret is repeated.
fn base(from: &str, text: &str) -> anyhow::Result<String> {
    let uri: Uri = text.trim().parse().with_context(|| format!("{from}: no URL"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => anyhow::bail!(
            "{from}: https:// is not spoken here; name a worker itself by http://, or use --redis"
        ),
        _ => anyhow::bail!("{from}: http://HOST:PORT is expected"),
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        anyhow::bail!("{from}: no user and no password belong there; use --token");
    }
    if uri.query().is_some() {
        anyhow::bail!("{from}: no query belongs there");
    }
    Ok(uri.to_string().trim_end_matches('/').to_owned())
}

/// Where a worker of this configuration has its admin API on this machine.
fn own_admin(config: &Config) -> String {
    match config.listen.admin {
        Some(address) if address.port() != 0 => {
            let loopback = if address.is_ipv4() { "127.0.0.1" } else { "[::1]" };
            if address.ip().is_unspecified() {
                format!("http://{loopback}:{}", address.port())
            } else {
                format!("http://{address}")
            }
        }
        _ => DEFAULT_ADMIN.to_owned(),
    }
}

fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.ok().context("--token: not visible ASCII without spaces")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
