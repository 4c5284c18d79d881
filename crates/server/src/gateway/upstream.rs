//! What stands behind the gateway, and how a request is made ready for it.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Response, Uri, Version};
use http_body::Body;

use super::body::{RequestBody, ResponseBody};
use super::failure::Failure;
use super::proxy::Proxy;
use super::upgrade::Asked;
use super::{Received, echo, forwarded, hop_by_hop, host_of};
use crate::telemetry::request::X_REQUEST_ID;
use crate::telemetry::traces;

/// What stands behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Where requests go: `http://`, an authority, and a path that is put before theirs. Absent:
    /// a built-in echo answers. Default absent.
    pub url: Option<Uri>,
    /// How long connecting may take, over all addresses of the upstream. Default 2 s.
    pub connect_timeout: Duration,
    /// How long the upstream may take to begin its response, once it has what the client has
    /// sent; and how long the client may pause within its body until then. Default 30 s.
    pub response_timeout: Duration,
    /// How long a connection that has changed its protocol may carry nothing. Default 1 h.
    pub tunnel_timeout: Duration,
    /// The most bytes of a request's body. Absent: no bound. Default absent.
    pub max_body: Option<u64>,
    /// Whether the upstream is asked for the host that the client asked for; else for its own
    /// name. Default true: it is what applications behind a gateway build their links from.
    pub preserve_host: bool,
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            url: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(30),
            tunnel_timeout: Duration::from_secs(3_600),
            max_body: None,
            preserve_host: true,
        }
    }
}

/// Why the URL of an upstream cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// A scheme other than `http`.
    #[error("the upstream must begin with http:// ({0:?} is not supported yet)")]
    Scheme(String),
    /// No scheme, or no host.
    #[error("the upstream must be a URL such as http://127.0.0.1:3000")]
    Incomplete,
    /// A name or a password.
    #[error("the upstream must not contain a user name or password")]
    Credentials,
    /// A query.
    #[error("the upstream must not contain a query")]
    Query,
}

/// An upstream that is ready for requests.
#[derive(Debug)]
pub struct Upstream {
    target: Target,
    max_body: Option<u64>,
    preserve_host: bool,
}

#[derive(Debug)]
enum Target {
    Echo,
    Http(Box<Proxy>),
}

impl Upstream {
    /// Makes ready what the settings describe; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// If the URL is not one that requests can go to.
    pub fn new(settings: &UpstreamSettings) -> Result<Self, UpstreamError> {
        let target = match &settings.url {
            Some(url) => Target::Http(Box::new(Proxy::new(url, settings)?)),
            None => Target::Echo,
        };
        let &UpstreamSettings { max_body, preserve_host, .. } = settings;
        Ok(Self { target, max_body, preserve_host })
    }

    /// Forwards a request and returns what comes of it.
    pub(super) async fn answer(&self, received: Received) -> Response<ResponseBody> {
        match self.try_answer(received).await {
            Ok(response) => response,
            Err(failure) => failure.response(),
        }
    }

    async fn try_answer(&self, received: Received) -> Result<Response<ResponseBody>, Failure> {
        let Received { mut parts, body, request_id, peer, trusted, user } = received;
        if parts.method == Method::CONNECT {
            return Err(Failure::Connect);
        }
        let host = single_host(&parts.uri, &parts.headers, parts.version)?;
        let mut body = RequestBody::new(body, self.max_body)?;
        let asked = Asked::take(&mut parts);
        fields_for_upstream(&mut parts.headers, peer, trusted, host.as_ref());
        parts.headers.insert(X_REQUEST_ID, request_id);
        traces::pass_on(&mut parts.headers);
        if let Some(user) = user {
            body.keep_out(user.name());
            user.write(&mut parts.headers);
        }
        join_cookies(&mut parts.headers);
        frame(&mut parts.headers, &body);
        match host {
            Some(host) if self.preserve_host => parts.headers.insert(HOST, host),
            _ => parts.headers.remove(HOST),
        };
        match &self.target {
            Target::Echo => echo::answer(&parts, body).await,
            Target::Http(proxy) => proxy.send(parts, body, asked).await,
        }
    }
}

/// Takes out of a request's fields what ends at this hop, and says what stands before it. It is
/// public for a fuzz target alone.
#[doc(hidden)]
pub fn fields_for_upstream(
    fields: &mut HeaderMap,
    peer: IpAddr,
    trusted: bool,
    host: Option<&HeaderValue>,
) {
    hop_by_hop::strip_request(fields);
    forwarded::write(fields, peer, trusted, host);
}

/// The one host that a request names. Of two the upstream might choose the other, or a proxy before
/// this one have chosen it; an absolute target and the `:authority` of HTTP/2 agree with the field
/// where there are both.
fn single_host(
    target: &Uri,
    fields: &HeaderMap,
    version: Version,
) -> Result<Option<HeaderValue>, Failure> {
    let mut lines = fields.get_all(HOST).iter();
    let (host, more) = (lines.next(), lines.next());
    if more.is_some() {
        return Err(Failure::Host);
    }
    match target.authority() {
        Some(authority) => {
            let named = without_default_port(host_of(authority).as_bytes());
            let is_named = |host: &HeaderValue| {
                without_default_port(host.as_bytes()).eq_ignore_ascii_case(named)
            };
            if !host.is_none_or(is_named) {
                return Err(Failure::Host);
            }
            HeaderValue::from_str(host_of(authority)).map(Some).map_err(|_| Failure::Host)
        }
        None if host.is_none() && version == Version::HTTP_11 => Err(Failure::Host),
        None => Ok(host.cloned()),
    }
}

/// A host without the port that `http` has anyway: `api:80` and `api` are one.
fn without_default_port(host: &[u8]) -> &[u8] {
    host.strip_suffix(b":80").unwrap_or(host)
}

/// HTTP/2 clients may send one cookie a line, which HTTP/1.1 does not allow (RFC 9113, section
/// 8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    if fields.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<_> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        fields.insert(COOKIE, cookie);
    }
}

/// Says how long the body is from what was parsed, not from what was claimed: hyper believes a
/// `Content-Length` field, and takes a GET without one to have no body.
fn frame(fields: &mut HeaderMap, body: &impl Body) {
    let claimed = fields.remove(CONTENT_LENGTH).is_some();
    match body.size_hint().exact() {
        Some(0) if !claimed => {}
        Some(length) => {
            fields.insert(CONTENT_LENGTH, length.into());
        }
        None => {
            fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}
