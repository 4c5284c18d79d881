//! What a service asks: one request, or `{"requests":[…]}` with up to a thousand.
//!
//! | field      |                                          | where it is absent or null |
//! |------------|------------------------------------------|----------------------------|
//! | `identity` | `user:ID`, or `ip:ADDRESS` in any spelling | refused                  |
//! | `method`   | as in HTTP, with regard to case          | `GET`                      |
//! | `path`     | a query may follow and takes no part     | `/`                        |
//! | `host`     | with or without a port                   | none                       |
//! | `cost`     | 0 to 1,000 units                         | what the policy says       |
//! | `peek`     | true: only ask, charge nothing           | false                      |
//!
//! Anything else in a request, and any value that does not fit, is refused by name. A batch is
//! refused as a whole, before anything of it is charged.
//!
//! A body is read straight into what it asks for. One that does not fit is read again, as any JSON,
//! by what finds the field and the reason: that way alone takes longer than a decision.

mod fitting;
#[cfg(test)]
mod tests;

use http::Method;
use serde_json::{Map, Value};
use transom_core::{Answer, Ask, Cost, Identity};

use self::fitting::Fitting;
use crate::front::Front;

/// The most requests in a batch.
const BATCH_MAX: usize = 1_000;

/// A body as read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A request alone.
    One(Request),
    /// A batch.
    Many(Vec<Request>),
}

/// One request to decide.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Who asks.
    pub(super) identity: Identity,
    method: Method,
    path: String,
    host: Option<String>,
    cost: Option<Cost>,
    peek: bool,
}

/// What is wrong with a body: the field and the reason.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub(super) struct BadRequest {
    at: String,
    reason: String,
}

impl Asked {
    /// Reads a body; IPv6 addresses are cut to `ipv6_prefix` bits.
    pub(super) fn read(body: &[u8], ipv6_prefix: u8) -> Result<Self, BadRequest> {
        match Fitting::read(body, ipv6_prefix) {
            Some(asked) => Ok(asked),
            None => Self::read_any(body, ipv6_prefix),
        }
    }

    /// Reads any JSON, field by field.
    fn read_any(body: &[u8], ipv6_prefix: u8) -> Result<Self, BadRequest> {
        let value = serde_json::from_slice(body)
            .map_err(|error| bad("body", format!("this is no JSON: {error}")))?;
        let Value::Object(mut object) = value else {
            return Err(bad("body", not("an object", &value)));
        };
        let Some(requests) = object.remove("requests") else {
            return Fields { object, place: None }.request(ipv6_prefix).map(Self::One);
        };
        if let Some(name) = object.keys().next() {
            return Err(bad(name, "a batch holds `requests` alone"));
        }
        let Value::Array(requests) = requests else {
            return Err(bad("requests", not("a list", &requests)));
        };
        if requests.len() > BATCH_MAX {
            let reason = format!("a batch holds at most {BATCH_MAX}, not {}", requests.len());
            return Err(bad("requests", reason));
        }
        let read = |(place, value)| match value {
            Value::Object(object) => Fields { object, place: Some(place) }.request(ipv6_prefix),
            other => Err(bad(format!("requests[{place}]"), not("an object", &other))),
        };
        requests.into_iter().enumerate().map(read).collect::<Result<_, _>>().map(Self::Many)
    }
}

impl Request {
    /// Decides this request.
    pub(super) fn ask(&self, front: &Front) -> impl Future<Output = Answer> {
        let Self { identity, method, path, host, cost, peek } = self;
        let (host, cost, peek) = (host.as_deref(), *cost, *peek);
        front.ask(Ask { identity, method, host, path, cost, peek, within: None })
    }
}

/// The fields of one request that have not been read yet.
struct Fields {
    object: Map<String, Value>,
    /// Where it stands in its batch.
    place: Option<usize>,
}

impl Fields {
    fn request(mut self, ipv6_prefix: u8) -> Result<Request, BadRequest> {
        let request = Request {
            identity: self.identity(ipv6_prefix)?,
            method: self.method()?,
            path: self.text("path")?.unwrap_or_else(|| "/".to_owned()),
            host: self.text("host")?,
            cost: self.cost()?,
            peek: self.peek()?,
        };
        match self.object.keys().next() {
            None => Ok(request),
            Some(name) => Err(self.bad(
                name,
                "there is no such field; there are identity, method, path, host, cost and peek",
            )),
        }
    }

    fn identity(&mut self, ipv6_prefix: u8) -> Result<Identity, BadRequest> {
        let Some(text) = self.text("identity")? else {
            return Err(self.bad("identity", "this field is required: user:ID or ip:ADDRESS"));
        };
        Identity::parse(&text, ipv6_prefix).map_err(|error| self.bad("identity", error.to_string()))
    }

    fn method(&mut self) -> Result<Method, BadRequest> {
        let Some(text) = self.text("method")? else { return Ok(Method::GET) };
        Method::from_bytes(text.as_bytes())
            .map_err(|_| self.bad("method", format!("{text:?} is no method")))
    }

    fn cost(&mut self) -> Result<Option<Cost>, BadRequest> {
        let Some(value) = self.take("cost") else { return Ok(None) };
        let cost = match (&value, value.as_u64()) {
            (_, Some(units)) => Cost::new(units).map_err(|error| error.to_string()),
            (Value::Number(number), None) => {
                Err(format!("a cost is 0 to {}, not {number}", Cost::MAX))
            }
            (other, None) => Err(not("a number", other)),
        };
        cost.map(Some).map_err(|reason| self.bad("cost", reason))
    }

    fn peek(&mut self) -> Result<bool, BadRequest> {
        match self.take("peek") {
            None => Ok(false),
            Some(Value::Bool(peek)) => Ok(peek),
            Some(other) => Err(self.bad("peek", not("true or false", &other))),
        }
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, BadRequest> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.bad(name, not("a string", &other))),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    fn bad(&self, name: &str, reason: impl Into<String>) -> BadRequest {
        match self.place {
            None => bad(name, reason),
            Some(place) => bad(format!("requests[{place}].{name}"), reason),
        }
    }
}

fn bad(at: impl Into<String>, reason: impl Into<String>) -> BadRequest {
    BadRequest { at: at.into(), reason: reason.into() }
}

fn not(expected: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    format!("this is {expected}, not {found}")
}
