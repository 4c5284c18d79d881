//! What a descriptor means.
//!
//! | key              |                                                    | where it is absent       |
//! |------------------|----------------------------------------------------|--------------------------|
//! | `user`           | the id of a user, found out by Envoy               | the next two say who     |
//! | `authorization`  | the header: `Bearer` and an API key or a token     | nothing is shown         |
//! | `api_key`        | the header `X-Api-Key`                             | nothing is shown         |
//! | `remote_address` | the client's address, as Envoy's action finds it   | only `user` may say who  |
//! | `method`         | as in HTTP, with regard to case                    | `GET`                    |
//! | `path`           | a query may follow and takes no part               | `/`                      |
//! | `host`           | with or without a port                             | none                     |
//!
//! Somebody must be named: a user, or an address, on which counts who shows no valid key. `user` is
//! believed. The cost is the `hits_addend` of the descriptor, else that of the request, else the
//! policy's; one of 0 that a descriptor states only asks, and charges nothing.
//!
//! What Envoy's configuration makes, a key or a limit of its own, is refused where it does not fit.
//! What a client makes is not, for it could choose to be: where Envoy lets pass what it gets no
//! answer for, that would be a way around the limit. So values that cannot be read count as absent.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use transom_core::{Ask, Cost, Identity};

use super::wire;
use crate::front::{Decided, Front};

/// The most descriptors of a request.
pub(super) const DESCRIPTORS_MAX: usize = 64;

/// The keys that a descriptor may have.
const KEYS: [&str; 7] =
    ["user", "authorization", "api_key", "remote_address", "method", "path", "host"];

/// A descriptor as read.
#[derive(Debug)]
pub(super) struct Asked {
    caller: Caller,
    method: Method,
    path: String,
    host: Option<String>,
    cost: Option<Cost>,
    peek: bool,
}

/// Who asks.
#[derive(Debug, PartialEq)]
enum Caller {
    /// Envoy has found out.
    User(Identity),
    /// Somebody at this address, who shows what is in these fields.
    At(IpAddr, HeaderMap),
}

/// What is wrong with a request: where, and the reason.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub(super) struct BadRequest {
    at: String,
    reason: String,
}

/// Reads every descriptor of a request.
pub(super) fn read(request: &wire::RateLimitRequest) -> Result<Vec<Asked>, BadRequest> {
    let descriptors = &request.descriptors;
    if !(1..=DESCRIPTORS_MAX).contains(&descriptors.len()) {
        let reason = format!("there are 1 to {DESCRIPTORS_MAX}, not {}", descriptors.len());
        return Err(BadRequest { at: "descriptors".to_owned(), reason });
    }
    let addend = match u64::from(request.hits_addend) {
        0 => None,
        hits => Some(Cost::new(hits)),
    };
    let cost = addend
        .transpose()
        .map_err(|error| BadRequest { at: "hits_addend".to_owned(), reason: error.to_string() })?;
    let read = |(place, descriptor)| {
        Asked::read(descriptor, cost)
            .map_err(|(at, reason)| BadRequest { at: format!("descriptors[{place}]{at}"), reason })
    };
    descriptors.iter().enumerate().map(read).collect()
}

impl Asked {
    fn read(
        descriptor: &wire::Descriptor,
        cost_of_request: Option<Cost>,
    ) -> Result<Self, (String, String)> {
        if descriptor.limit.is_some() {
            let reason = "limits are those of policies and overrides; Envoy cannot set one";
            return Err((".limit".to_owned(), reason.to_owned()));
        }
        if descriptor.is_negative_hits {
            let reason = "what was charged is not given back";
            return Err((".is_negative_hits".to_owned(), reason.to_owned()));
        }
        let hits = descriptor.hits_addend.map(|hits| hits.value);
        let cost = hits.filter(|hits| *hits > 0).map(Cost::new).transpose();
        let cost = cost.map_err(|error| (".hits_addend".to_owned(), error.to_string()))?;
        let entries = Entries::of(descriptor)?;
        Ok(Self {
            caller: entries.caller()?,
            method: entries.method(),
            path: entries.text("path").map_or_else(|| "/".to_owned(), Cow::into_owned),
            host: entries.text("host").map(Cow::into_owned),
            cost: cost.or(cost_of_request),
            peek: hits == Some(0),
        })
    }

    /// Finds out who asks, and decides.
    pub(super) async fn decide(&self, front: &Front) -> Decided {
        let Self { caller, method, path, host, cost, peek } = self;
        let (identity, within) = match caller {
            Caller::User(identity) => (identity.clone(), None),
            Caller::At(address, headers) => {
                let (identity, left) = front.identify(*address, headers).await;
                (identity, Some(left))
            }
        };
        let (host, cost, peek) = (host.as_deref(), *cost, *peek);
        let ask = Ask { identity: &identity, method, host, path, cost, peek, within };
        let answer = front.ask(ask).await;
        Decided { identity, answer }
    }
}

/// The entries of a descriptor, each with a key that is known and comes once.
struct Entries<'a>(&'a [wire::Entry]);

impl<'a> Entries<'a> {
    fn of(descriptor: &'a wire::Descriptor) -> Result<Self, (String, String)> {
        let entries = &descriptor.entries;
        for (place, wire::Entry { key, .. }) in entries.iter().enumerate() {
            let bad = |reason| Err((format!(".entries[{place}]"), reason));
            if !KEYS.contains(&key.as_str()) {
                let known = KEYS.join(", ");
                return bad(format!("there is no key {:?}; there are {known}", excerpt(key)));
            }
            if entries.iter().take(place).any(|other| other.key == *key) {
                return bad(format!("the key {key:?} comes twice"));
            }
        }
        Ok(Self(entries))
    }

    fn caller(&self) -> Result<Caller, (String, String)> {
        if let Some(user) = self.text("user").and_then(|id| Identity::user(&id).ok()) {
            return Ok(Caller::User(user));
        }
        let Some(address) = self.text("remote_address") else {
            let reason = "it names nobody; it takes remote_address, or a user that is not empty";
            return Err((String::new(), reason.to_owned()));
        };
        let address = address.parse().map_err(|_| {
            let reason = format!("remote_address: {:?} is no IP address", excerpt(&address));
            (String::new(), reason)
        })?;
        let fields = [(AUTHORIZATION, "authorization"), (X_API_KEY, "api_key")];
        let shown = fields.into_iter().filter_map(|(name, key)| {
            Some((name, HeaderValue::from_bytes(self.value(key)?).ok()?))
        });
        Ok(Caller::At(address, shown.collect()))
    }

    fn method(&self) -> Method {
        self.value("method").and_then(|name| Method::from_bytes(name).ok()).unwrap_or_default()
    }

    /// A value as text. A path may hold any byte that the client has sent.
    fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.value(key).map(String::from_utf8_lossy)
    }

    fn value(&self, key: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_slice())
    }
}

/// Where a key may stand beside `Authorization`.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Enough of a text to know it again in a message.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
