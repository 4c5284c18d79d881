//! The way to an upstream over HTTP/1.1, on pooled connections, streaming both ways.
//!
//! A request is sent once. hyper repeats one only where it knows that nothing of it was written,
//! because the pooled connection had already been closed. Where the upstream closes a connection
//! just as a request goes out on it, the upstream may have processed it, and the client is
//! answered 502. To make that rare, connections are not kept idle for long.

use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::{RequestBody, ResponseBody};
use super::failure::Failure;
use super::hop_by_hop;
use super::upgrade::Asked;
use super::upstream::{UpstreamError, UpstreamSettings};
use crate::listen::MAX_BUFFER_BYTES;

/// How long a connection to the upstream is kept idle. Node.js closes its after 5 s, which is
/// shorter than what other servers do.
const KEEP_IDLE: Duration = Duration::from_secs(4);

/// An upstream that speaks HTTP.
#[derive(Debug)]
pub(super) struct Proxy {
    client: Client<HttpConnector, RequestBody>,
    base: Base,
    response_timeout: Duration,
    tunnel_timeout: Duration,
}

/// The URL of an upstream.
#[derive(Debug)]
struct Base {
    authority: Authority,
    /// Without a slash at its end; so it may be empty.
    path: String,
}

impl Proxy {
    pub(super) fn new(url: &Uri, settings: &UpstreamSettings) -> Result<Self, UpstreamError> {
        let base = Base::new(url)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.connect_timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .http1_max_buf_size(MAX_BUFFER_BYTES)
            .build(connector);
        let &UpstreamSettings { response_timeout, tunnel_timeout, .. } = settings;
        Ok(Self { client, base, response_timeout, tunnel_timeout })
    }

    /// Sends a request whose fields are meant for the upstream, and returns its response with the
    /// fields that are meant for the client.
    ///
    /// If the future is dropped, as it is when the client has gone, so is the request.
    pub(super) async fn send(
        &self,
        mut parts: Parts,
        body: RequestBody,
        asked: Option<Asked>,
    ) -> Result<Response<ResponseBody>, Failure> {
        parts.uri = self.base.join(&parts.uri)?;
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        // It was answered by reading the body.
        parts.headers.remove(EXPECT);
        if let Some(asked) = &asked {
            asked.write(&mut parts.headers);
        }
        let watch = body.watch();
        let response = tokio::select! {
            biased;
            sent = self.client.request(Request::from_parts(parts, body)) => sent,
            failure = watch.stalled(self.response_timeout) => return Err(failure),
        };
        let response = response
            .map_err(|error| watch.failure().unwrap_or_else(|| Failure::of_client(error)))?;
        receive(response, asked, self.tunnel_timeout)
    }
}

/// Makes a response ready for the client.
fn receive(
    mut response: Response<Incoming>,
    asked: Option<Asked>,
    tunnel_timeout: Duration,
) -> Result<Response<ResponseBody>, Failure> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        hop_by_hop::strip(response.headers_mut());
        return Ok(response.map(Either::Right));
    }
    let protocol = asked.ok_or(Failure::Unasked)?.granted(&mut response, tunnel_timeout)?;
    let mut response = response.map(|_| Either::Left(Full::default()));
    let fields = response.headers_mut();
    hop_by_hop::strip(fields);
    fields.remove(CONTENT_LENGTH);
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(UPGRADE, protocol);
    Ok(response)
}

impl Base {
    fn new(url: &Uri) -> Result<Self, UpstreamError> {
        match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) => return Err(UpstreamError::Scheme(scheme.to_string())),
            None => return Err(UpstreamError::Incomplete),
        }
        let authority = url.authority().ok_or(UpstreamError::Incomplete)?;
        if authority.as_str().contains('@') {
            return Err(UpstreamError::Credentials);
        }
        if url.query().is_some() {
            return Err(UpstreamError::Query);
        }
        Ok(Self { authority: authority.clone(), path: url.path().trim_end_matches('/').to_owned() })
    }

    /// The path and query as received, behind the path of the upstream.
    fn join(&self, received: &Uri) -> Result<Uri, Failure> {
        let asked = received.path_and_query();
        let target = match asked {
            Some(asked) if self.path.is_empty() || asked == "*" => asked.clone(),
            Some(asked) => PathAndQuery::try_from(format!("{}{asked}", self.path))
                .map_err(|_| Failure::Target)?,
            None => PathAndQuery::from_static("/"),
        };
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
            .map_err(|_| Failure::Target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &'static str, target: &'static str) -> String {
        let base = Base::new(&Uri::from_static(base)).unwrap();
        let target = Uri::from_static(target);
        base.join(&target).unwrap().path_and_query().unwrap().to_string()
    }

    #[test]
    fn a_target_is_sent_as_received() {
        for target in ["/", "/a//b/%2e%2e/c?x=1", "/a/../b;v=1?", "/%zz?a=%", "*"] {
            assert_eq!(joined("http://api", target), target);
        }
    }

    #[test]
    fn the_path_of_the_upstream_goes_before_it() {
        assert_eq!(joined("http://api/v1/", "/people?x=1"), "/v1/people?x=1");
        assert_eq!(joined("http://api/v1", "//people"), "/v1//people");
        assert_eq!(joined("http://api/v1", "http://elsewhere"), "/v1/");
        assert_eq!(joined("http://api/v1", "*"), "*");
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_with_its_reason() {
        let refused = |url: &'static str| Base::new(&Uri::from_static(url)).unwrap_err();
        assert_eq!(refused("https://api"), UpstreamError::Scheme("https".into()));
        assert_eq!(refused("api:3000"), UpstreamError::Incomplete);
        assert_eq!(refused("/api"), UpstreamError::Incomplete);
        assert_eq!(refused("http://me:secret@api"), UpstreamError::Credentials);
        assert_eq!(refused("http://api?x=1"), UpstreamError::Query);
    }
}
