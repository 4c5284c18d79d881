//! An upstream that shows the request it got: built into the gateway for trying it out, and on a
//! listener of its own as a demo API.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::body::{BoxError, RequestBody, ResponseBody, leave_out};
use super::failure::{Failure, json};
use crate::listen::{self, Answering, ClientBody, Drained, HttpService, ListenSettings};

/// Parts of the names of fields whose values are not for showing.
const SECRET: [&str; 6] = ["authorization", "api-key", "apikey", "cookie", "secret", "token"];

/// A request as it arrived. The body is counted, not kept.
#[derive(Debug, Serialize)]
struct Echo<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: BTreeMap<&'a str, String>,
    body_bytes: u64,
}

/// Answers any request with what it was.
pub(super) async fn answer(
    parts: &Parts,
    body: RequestBody,
) -> Result<Response<ResponseBody>, Failure> {
    let watch = body.watch();
    let body_bytes =
        count(body).await.map_err(|_| watch.failure().unwrap_or(Failure::BodyBroken))?;
    let echo = Echo {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: shown(&parts.headers),
        body_bytes,
    };
    Ok(json(StatusCode::OK, &echo))
}

/// Serves the echo on a listener of its own, as a demo API behind a gateway. `/healthz` is
/// answered 200 and empty.
pub async fn serve_echo(listener: TcpListener, shutdown: CancellationToken) -> Drained {
    listen::serve(listener, ListenSettings::default(), DemoApi, shutdown).await
}

/// The echo with a listener of its own.
#[derive(Clone, Copy)]
struct DemoApi;

impl HttpService for DemoApi {
    type Body = ResponseBody;

    fn answer(&self, request: Request<ClientBody>, _: SocketAddr) -> Answering<ResponseBody> {
        Box::pin(async {
            let is_head = request.method() == Method::HEAD;
            let response = own(request).await;
            if is_head { leave_out(response) } else { response }
        })
    }
}

async fn own(request: Request<ClientBody>) -> Response<ResponseBody> {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/healthz" {
        return Response::new(Either::Left(Full::default()));
    }
    let answered = match RequestBody::new(body, None) {
        Ok(body) => answer(&parts, body).await,
        Err(failure) => Err(failure),
    };
    answered.unwrap_or_else(|failure| failure.response())
}

async fn count(mut body: RequestBody) -> Result<u64, BoxError> {
    let mut bytes: u64 = 0;
    while let Some(frame) = body.frame().await {
        let more = frame?.data_ref().map_or(0, Bytes::len);
        bytes = bytes.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
    }
    Ok(bytes)
}

/// Header fields with all lines of a name in one, and secrets hidden.
fn shown(fields: &HeaderMap) -> BTreeMap<&str, String> {
    let line = |name: &HeaderName| {
        if SECRET.iter().any(|part| name.as_str().contains(part)) {
            return "…".to_owned();
        }
        let lines = fields.get_all(name).iter();
        lines.map(|line| String::from_utf8_lossy(line.as_bytes())).collect::<Vec<_>>().join(", ")
    };
    fields.keys().map(|name| (name.as_str(), line(name))).collect()
}
