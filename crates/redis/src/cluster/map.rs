//! Which node has which slot.

use std::fmt;
use std::sync::Arc;

use redis::Value;

use super::slot::SLOTS;
use crate::node::Node;

/// Where a node of a cluster listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

impl Address {
    /// Reads `HOST:PORT` of an error reply. No host means that of the node that was asked.
    pub(crate) fn parse(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Some(Self::new(host, port.parse().ok()?, asked))
    }

    fn new(host: &str, port: u16, asked: &Self) -> Self {
        let host = if host.is_empty() { Arc::clone(&asked.host) } else { host.into() };
        Self { host, port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Slots in a row that one primary has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u16,
    pub(crate) last: u16,
    pub(crate) primary: Address,
}

/// Reads the reply to `CLUSTER SLOTS`. Slots of a primary that does not say where it listens are
/// left out. `None` for a reply of another form.
pub(crate) fn read(reply: &Value, asked: &Address) -> Option<Vec<Range>> {
    let Value::Array(rows) = reply else { return None };
    let mut ranges = Vec::with_capacity(rows.len());
    for row in rows {
        let Value::Array(row) = row else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = &row[..] else {
            return None;
        };
        let [host, Value::Int(port), ..] = &primary[..] else { return None };
        let host = match host {
            Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
            Value::SimpleString(text) => text,
            Value::Nil => "",
            _ => return None,
        };
        let [first, last] = [first, last].map(|slot| u16::try_from(*slot).ok());
        let (first, last) = (first?, last.filter(|last| *last < SLOTS)?);
        // What a node says that is to be known by a name, and has none.
        if host != "?" {
            let primary = Address::new(host, u16::try_from(*port).ok()?, asked);
            ranges.push(Range { first, last, primary });
        }
    }
    Some(ranges)
}

/// The primaries, and what slots each has.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    nodes: Vec<Arc<Node>>,
    /// For each slot the place of its node, or [`Self::NOBODY`].
    slots: Box<[u16]>,
}

impl Map {
    const NOBODY: u16 = u16::MAX;

    pub(crate) fn empty() -> Self {
        Self { nodes: Vec::new(), slots: vec![Self::NOBODY; usize::from(SLOTS)].into() }
    }

    /// A map of these ranges, with nodes that `node` finds or makes.
    pub(crate) fn of(
        ranges: &[Range],
        mut node: impl FnMut(&Address) -> Option<Arc<Node>>,
    ) -> Self {
        let mut map = Self::empty();
        for range in ranges {
            if let Some(node) = map.node(&range.primary).or_else(|| node(&range.primary)) {
                for slot in range.first..=range.last {
                    map.add(&node, Some(slot));
                }
            }
        }
        map
    }

    /// Takes a node in, and gives it a slot.
    pub(crate) fn add(&mut self, node: &Arc<Node>, slot: Option<u16>) {
        let place = self.nodes.iter().position(|known| Arc::ptr_eq(known, node));
        let place = place.unwrap_or_else(|| {
            self.nodes.push(Arc::clone(node));
            self.nodes.len() - 1
        });
        if let Some(owner) = slot.and_then(|slot| self.slots.get_mut(usize::from(slot))) {
            *owner = u16::try_from(place).unwrap_or(Self::NOBODY);
        }
    }

    /// Leaves slots that nobody is said to have with whom they were known to be: a node says so
    /// between hearing that a primary has become a replica and hearing whose. That replica knows.
    pub(crate) fn keep(&mut self, known: &Self) {
        for slot in 0..SLOTS {
            if self.of_slot(slot).is_none()
                && let Some(node) = known.of_slot(slot)
            {
                self.add(node, Some(slot));
            }
        }
    }

    /// Whether it has the node, and the node the slot.
    pub(crate) fn says(&self, node: &Arc<Node>, slot: Option<u16>) -> bool {
        let is_it = |known: &Arc<Node>| Arc::ptr_eq(known, node);
        match slot {
            Some(slot) => self.of_slot(slot).is_some_and(is_it),
            None => self.nodes.iter().any(is_it),
        }
    }

    pub(crate) fn of_slot(&self, slot: u16) -> Option<&Arc<Node>> {
        self.nodes.get(usize::from(*self.slots.get(usize::from(slot))?))
    }

    pub(crate) fn node(&self, address: &Address) -> Option<Arc<Node>> {
        self.nodes.iter().find(|node| node.address == *address).cloned()
    }

    pub(crate) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// What the nodes are called, in one order.
    pub(crate) fn names(&self) -> String {
        let mut names: Vec<_> = self.nodes.iter().map(|node| node.address.to_string()).collect();
        names.sort_unstable();
        names.join(", ")
    }

    /// How many slots no node has.
    pub(crate) fn uncovered(&self) -> usize {
        self.slots.iter().filter(|place| **place == Self::NOBODY).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.into(), port }
    }

    fn row(first: i64, last: i64, host: Value, port: i64) -> Value {
        let id = Value::BulkString(b"2f1d".to_vec());
        let primary = Value::Array(vec![host, Value::Int(port), id, Value::Array(vec![])]);
        Value::Array(vec![Value::Int(first), Value::Int(last), primary.clone(), primary])
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_range_is_read_with_its_primary() {
        let asked = address("10.0.0.9", 7);
        let reply = Value::Array(vec![
            row(0, 5_460, text("10.0.0.1"), 6_379),
            row(5_461, 5_461, text("2001:db8::1"), 6_380),
            row(5_462, 6_000, text(""), 6_381),
            row(6_001, 6_002, Value::Nil, 6_382),
            row(6_003, 16_383, text("?"), 6_383),
        ]);
        let range = |first, last, host, port| Range { first, last, primary: address(host, port) };
        assert_eq!(
            read(&reply, &asked),
            Some(vec![
                range(0, 5_460, "10.0.0.1", 6_379),
                range(5_461, 5_461, "2001:db8::1", 6_380),
                range(5_462, 6_000, "10.0.0.9", 6_381),
                range(6_001, 6_002, "10.0.0.9", 6_382),
            ])
        );
    }

    #[test]
    fn a_reply_of_another_form_is_refused() {
        let asked = address("h", 1);
        for bad in [
            Value::Nil,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(1)])]),
            Value::Array(vec![row(0, 16_384, text("h"), 1)]),
            Value::Array(vec![row(-1, 3, text("h"), 1)]),
            Value::Array(vec![row(0, 3, text("h"), 70_000)]),
            Value::Array(vec![row(0, 3, Value::Int(3), 1)]),
        ] {
            assert_eq!(read(&bad, &asked), None, "{bad:?}");
        }
        assert_eq!(read(&Value::Array(vec![]), &asked), Some(vec![]));
    }

    #[test]
    fn an_address_of_a_redirect_may_lack_the_host() {
        let asked = address("10.0.0.9", 7);
        for (said, expected) in [
            ("10.0.0.1:6379", Some(address("10.0.0.1", 6_379))),
            ("2001:db8::1:6379", Some(address("2001:db8::1", 6_379))),
            (":6380", Some(address("10.0.0.9", 6_380))),
            ("nowhere", None),
            ("h:70000", None),
        ] {
            assert_eq!(Address::parse(said, &asked), expected, "{said}");
        }
    }
}
