//! Who may use the admin API.
//!
//! With `admin.token` whoever sends it. Without, whoever is on this machine: a peer on loopback
//! that names a host on loopback, so that no page from elsewhere gets in through a browser under
//! a name that it makes point here, and no proxy's request, which may be anybody's. A request that
//! a browser sends for another site is refused in any case.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use transom_core::{
    Cost, DEFAULT_IPV6_PREFIX, Identity, Limiter, Limits, Policy, PolicyName, delay,
};
use transom_local::LocalLimiter;

use super::Admin;
use crate::check::problem;
use crate::config::Secret;
use crate::identity::only;

/// How many wrong tokens an address may send until more are answered 429. They are compared all
/// the same: behind a load balancer the right token comes from the same address. So this slows
/// nobody's guessing down; only a long token cannot be guessed, and a short one is warned of.
const WRONG_TOKENS: Limits = Limits { minute: 30, second: 5 };
/// How many addresses are remembered for it.
const ADDRESSES_MAX: usize = 4_096;
/// For which site a browser sends a request.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
/// What a proxy adds to the requests that it passes on.
const PROXIED: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// Limits those who send wrong tokens.
#[derive(Debug)]
pub(super) struct Attempts {
    wrong: LocalLimiter,
    policy: Arc<Policy>,
}

impl Default for Attempts {
    fn default() -> Self {
        let policy = Arc::new(Policy::new(PolicyName::default(), WRONG_TOKENS));
        Self { wrong: LocalLimiter::new(ADDRESSES_MAX), policy }
    }
}

impl Attempts {
    /// Notes a wrong token. How long its sender has to wait where it was one too many, in
    /// microseconds.
    async fn note(&self, peer: IpAddr) -> Option<u64> {
        let identity = Identity::ip(peer, DEFAULT_IPV6_PREFIX);
        let request = transom_core::Request::new(identity, Arc::clone(&self.policy), Cost::ONE);
        match self.wrong.admit(&request).await {
            Ok(decision) => decision.retry_after_us,
            // More addresses than are remembered send wrong tokens.
            Err(_full) => Some(1_000_000),
        }
    }
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Another site's page has sent it.
    Origin,
    /// Not from this machine, or through a proxy, and no token is configured.
    Remote,
    /// No token.
    Missing,
    /// A wrong token.
    Wrong,
    /// A wrong token, after too many; wait so long, in microseconds.
    TooMany(u64),
}

/// Lets through who may use the API.
pub(super) async fn guard(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let token = bearer(request.headers());
    match admin.may_enter(peer, request.headers(), token).await {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

impl Admin {
    /// Whether a request with these fields and this token may act as an operator.
    pub(crate) async fn may_enter(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        token: Option<&[u8]>,
    ) -> Result<(), Refused> {
        if !is_same_site(headers) {
            return Err(Refused::Origin);
        }
        let front = self.front.load_full();
        let Some(secret) = &front.admin_token else {
            let here = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
            let direct = PROXIED.iter().all(|name| !headers.contains_key(*name));
            let may = here && direct && names_loopback(headers);
            return if may { Ok(()) } else { Err(Refused::Remote) };
        };
        let token = token.ok_or(Refused::Missing)?;
        if is(token, secret) {
            return Ok(());
        }
        let peer = peer.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
        Err(self.attempts.note(peer).await.map_or(Refused::Wrong, Refused::TooMany))
    }
}

/// Compares in a time that depends on neither text.
pub(crate) fn is(token: &[u8], secret: &Secret) -> bool {
    let digests = [token, secret.expose().as_bytes()].map(Sha256::digest);
    digests[0].ct_eq(&digests[1]).into()
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Names the host of an HTTP/2 request, or of an absolute target, where HTTP/1.1 does. It goes
/// before the field (RFC 9112, section 3.2.2).
pub(super) async fn name_host(mut request: Request) -> Request {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    if let Some(host) = authority.and_then(|text| HeaderValue::from_str(&text).ok()) {
        request.headers_mut().insert(HOST, host);
    }
    request
}

/// Browsers say for which site they send what may change something, and the newer ones of
/// everything. `same-site` is another host or port, so another site here.
pub(crate) fn is_same_site(headers: &HeaderMap) -> bool {
    let own = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if !headers.get_all(SEC_FETCH_SITE).iter().all(own) {
        return false;
    }
    let mut origins = headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return true;
    };
    let authority = |text: &str| text.parse::<Uri>().ok()?.authority().cloned();
    let own = headers.get(HOST).and_then(|host| authority(host.to_str().ok()?));
    origins.next().is_none()
        && origin.to_str().ok().and_then(authority).is_some_and(|origin| Some(origin) == own)
}

/// Whether the one `Host` is a name of loopback and a port, and nothing else.
fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = only(headers, &HOST) else {
        return false;
    };
    let authority = Authority::try_from(host.as_bytes()).ok();
    authority.filter(|authority| !authority.as_str().contains('@')).is_some_and(|authority| {
        let host = authority.host();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>().ok();
        host.eq_ignore_ascii_case("localhost")
            || address.is_some_and(|address| address.to_canonical().is_loopback())
    })
}

impl Refused {
    /// The status, and what is wrong in words.
    pub(crate) fn says(self) -> (StatusCode, &'static str) {
        match self {
            Self::Origin => (StatusCode::FORBIDDEN, "this was sent for another site"),
            Self::Remote => (
                StatusCode::FORBIDDEN,
                "without admin.token only this machine is answered, under a name of loopback and \
                 without a proxy",
            ),
            Self::Missing => (StatusCode::UNAUTHORIZED, "the admin token is missing"),
            Self::Wrong => (StatusCode::UNAUTHORIZED, "this is not the admin token"),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "too many wrong admin tokens"),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, message) = self.says();
        let mut response = problem(status, message);
        let fields = response.headers_mut();
        match self {
            Self::Missing | Self::Wrong => {
                fields.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TooMany(wait_us) => {
                fields.insert(RETRY_AFTER, delay::seconds(wait_us).into());
            }
            Self::Origin | Self::Remote => {}
        }
        response
    }
}
