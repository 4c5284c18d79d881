//! A body whose every value is of the right type, read straight into what it asks for.

use std::borrow::Cow;
use std::fmt;

use http::Method;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use transom_core::{Cost, Identity};

use super::{Asked, BATCH_MAX, Request};

/// A body, or a request of a batch, whose every field is of the right type.
#[derive(Default)]
pub(super) struct Fitting<'a> {
    /// It stands in a batch, and can be none.
    is_item: bool,
    /// How many fields it has, null or not.
    fields: usize,
    requests: Option<Batch<'a>>,
    identity: Option<Text<'a>>,
    method: Option<Text<'a>>,
    path: Option<Text<'a>>,
    host: Option<Text<'a>>,
    cost: Option<u64>,
    peek: Option<bool>,
}

/// The requests of a batch, not more than it may hold.
struct Batch<'a>(Vec<Fitting<'a>>);

/// A string, borrowed where it stands in the body as it is.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Requests,
    Identity,
    Method,
    Path,
    Host,
    Cost,
    Peek,
}

/// Objects alone; what is derived takes lists too.
impl<'de> Deserialize<'de> for Fitting<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fitting::default())
    }
}

/// Empty, it is what reads a request of a batch.
impl<'de> DeserializeSeed<'de> for Fitting<'de> {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fitting<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut object: M) -> Result<Self, M::Error> {
        while let Some(field) = object.next_key()? {
            self.fields += 1;
            match field {
                Field::Requests if self.is_item => {
                    return Err(M::Error::unknown_field("requests", &[]));
                }
                Field::Requests => self.requests = Some(object.next_value()?),
                Field::Identity => self.identity = object.next_value()?,
                Field::Method => self.method = object.next_value()?,
                Field::Path => self.path = object.next_value()?,
                Field::Host => self.host = object.next_value()?,
                Field::Cost => self.cost = object.next_value()?,
                Field::Peek => self.peek = object.next_value()?,
            }
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Batch<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Batch<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {BATCH_MAX}")
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut list: S) -> Result<Self, S::Error> {
        let item = || Fitting { is_item: true, ..Fitting::default() };
        while let Some(request) = list.next_element_seed(item())? {
            if self.0.len() == BATCH_MAX {
                return Err(S::Error::invalid_length(BATCH_MAX + 1, &self));
            }
            self.0.push(request);
        }
        Ok(self)
    }
}

impl Fitting<'_> {
    /// Reads a body; `None` where a value does not fit. IPv6 addresses are cut to `ipv6_prefix`
    /// bits.
    pub(super) fn read(body: &[u8], ipv6_prefix: u8) -> Option<Asked> {
        // Once, where it would be each of its strings.
        let body = str::from_utf8(body).ok()?;
        serde_json::from_str::<Fitting<'_>>(body).ok()?.asked(ipv6_prefix)
    }

    fn asked(self, ipv6_prefix: u8) -> Option<Asked> {
        match self.requests {
            None => self.request(ipv6_prefix).map(Asked::One),
            Some(Batch(requests)) if self.fields == 1 => {
                let read = requests.into_iter().map(|fitting| fitting.request(ipv6_prefix));
                read.collect::<Option<_>>().map(Asked::Many)
            }
            Some(_) => None,
        }
    }

    fn request(self, ipv6_prefix: u8) -> Option<Request> {
        Some(Request {
            identity: Identity::parse(&self.identity?.0, ipv6_prefix).ok()?,
            method: match self.method {
                None => Method::GET,
                Some(Text(method)) => Method::from_bytes(method.as_bytes()).ok()?,
            },
            path: self.path.map_or_else(|| "/".to_owned(), |Text(path)| path.into_owned()),
            host: self.host.map(|Text(host)| host.into_owned()),
            cost: self.cost.map(Cost::new).transpose().ok()?,
            peek: self.peek.unwrap_or(false),
        })
    }
}
