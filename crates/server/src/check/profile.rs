//! Where each proxy writes down the request that it asks about.
//!
//! | profile                       | method               | path              | host               |
//! |-------------------------------|----------------------|-------------------|--------------------|
//! | `nginx`                       | `X-Original-Method`  | `X-Original-URI`  | `Host`             |
//! | `traefik`, `caddy`, `haproxy` | `X-Forwarded-Method` | `X-Forwarded-Uri` | `X-Forwarded-Host`, else `Host` |
//! | `envoy`                       | its own              | after `/check`    | `Host`             |
//!
//! A profile is named, never guessed: a header that one proxy sets, another passes on from the
//! client. `/check` without a profile is `envoy`. `/check/PATH` is always `envoy`, whatever its
//! query says, for that query is the client's.
//!
//! What a profile needs must be there, once and not empty; anything else is a proxy that is set
//! up wrong and is refused by name, so that it is seen. nginx and HAProxy set these headers only
//! where their configuration says so, and pass on what the client sends under the same name where
//! it does not: with `haproxy`, set or delete `X-Forwarded-Host` too.
//!
//! A path may come with a query, or as an absolute URI (HAProxy's `url` over HTTP/2), whose
//! authority goes before the headers.

use std::borrow::Cow;
use std::str::FromStr;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};

/// How a proxy says what the original request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// `auth_request` of nginx.
    Nginx,
    /// `ForwardAuth` of Traefik.
    Traefik,
    /// `forward_auth` of Caddy.
    Caddy,
    /// HAProxy's Lua script `haproxy-auth-request`.
    Haproxy,
    /// The HTTP service of Envoy's `ext_authz`.
    Envoy,
}

/// A request that a proxy asks about.
#[derive(Debug)]
pub(super) struct Original<'a> {
    /// Its method.
    pub(super) method: Method,
    target: Cow<'a, str>,
    host: Option<&'a str>,
}

/// Why a proxy's question cannot be answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadCheck {
    #[error("there is no profile {0:?}; there are nginx, traefik, caddy, haproxy and envoy")]
    Profile(String),
    #[error("the query of /check is profile=NAME, once; it cannot hold {0:?}")]
    Query(String),
    #[error("profile {profile}: the header {header} is missing")]
    Missing { profile: &'static str, header: &'static str },
    #[error("profile {profile}: the header {header} comes more than once")]
    Repeated { profile: &'static str, header: &'static str },
    #[error("profile {profile}: the header {header} holds no method: {text:?}")]
    Method { profile: &'static str, header: &'static str, text: String },
}

impl Profile {
    /// The profile that a request to `/check` asks for.
    pub(super) fn of(uri: &Uri) -> Result<Self, BadCheck> {
        let mut named = None;
        let query = uri.query().filter(|_| uri.path() == "/check").unwrap_or_default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("profile", name)) if named.is_none() => named = Some(name.parse()?),
                _ => return Err(BadCheck::Query(excerpt(pair))),
            }
        }
        Ok(named.unwrap_or(Self::Envoy))
    }

    /// Reads the original request.
    pub(super) fn read(self, parts: &Parts) -> Result<Original<'_>, BadCheck> {
        let own_host = parts
            .uri
            .authority()
            .map(http::uri::Authority::as_str)
            .or_else(|| parts.headers.get(HOST).and_then(|host| host.to_str().ok()));
        match self {
            Self::Envoy => Ok(Original {
                method: parts.method.clone(),
                target: parts.uri.path().strip_prefix("/check").unwrap_or_default().into(),
                host: own_host,
            }),
            Self::Nginx => Ok(Original {
                method: self.method(&parts.headers, "X-Original-Method")?,
                target: self.required(&parts.headers, "X-Original-URI")?,
                host: own_host,
            }),
            Self::Traefik | Self::Caddy | Self::Haproxy => {
                let host = self.single(&parts.headers, "X-Forwarded-Host")?;
                Ok(Original {
                    method: self.method(&parts.headers, "X-Forwarded-Method")?,
                    target: self.required(&parts.headers, "X-Forwarded-Uri")?,
                    host: host.and_then(|host| std::str::from_utf8(host).ok()).or(own_host),
                })
            }
        }
    }

    fn method(self, headers: &HeaderMap, header: &'static str) -> Result<Method, BadCheck> {
        let text = self.required(headers, header)?;
        Method::from_bytes(text.as_bytes()).map_err(|_| BadCheck::Method {
            profile: self.as_str(),
            header,
            text: excerpt(&text),
        })
    }

    fn required<'a>(
        self,
        headers: &'a HeaderMap,
        header: &'static str,
    ) -> Result<Cow<'a, str>, BadCheck> {
        match self.single(headers, header)? {
            // A path may hold any byte that the client has sent.
            Some(value) => Ok(String::from_utf8_lossy(value)),
            None => Err(BadCheck::Missing { profile: self.as_str(), header }),
        }
    }

    /// The value of a header that comes at most once; an empty one is as good as none.
    fn single<'a>(
        self,
        headers: &'a HeaderMap,
        header: &'static str,
    ) -> Result<Option<&'a [u8]>, BadCheck> {
        let mut values = headers.get_all(header).iter();
        let first = values.next().map(http::HeaderValue::as_bytes);
        match values.next() {
            None => Ok(first.filter(|value| !value.is_empty())),
            Some(_) => Err(BadCheck::Repeated { profile: self.as_str(), header }),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }
}

impl FromStr for Profile {
    type Err = BadCheck;

    fn from_str(name: &str) -> Result<Self, BadCheck> {
        [Self::Nginx, Self::Traefik, Self::Caddy, Self::Haproxy, Self::Envoy]
            .into_iter()
            .find(|profile| profile.as_str() == name)
            .ok_or_else(|| BadCheck::Profile(excerpt(name)))
    }
}

impl Original<'_> {
    /// The path; a query may follow.
    pub(super) fn path(&self) -> &str {
        split(&self.target).1
    }

    /// The host asked for, with or without a port.
    pub(super) fn host(&self) -> Option<&str> {
        split(&self.target).0.or(self.host)
    }
}

/// Takes an absolute URI apart into authority and path; anything else is all path.
fn split(target: &str) -> (Option<&str>, &str) {
    match target.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            (Some(authority), path)
        }
        _ => (None, target),
    }
}

/// Enough of a text to know it again in a message.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}
