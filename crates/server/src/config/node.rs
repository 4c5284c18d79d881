//! Reads a merged configuration into the structs of the sections.
//!
//! The deserializer of the `config` crate turns `60.5` into 61, 50 into `"50"` and `"yes"` into
//! true. Here a value is what the file says it is, or it is refused, with the path of its key.
//! Only text from the environment may stand for a number, `true` or `false`, or a list whose
//! items are separated by commas, since a variable is always text.

use std::iter::Enumerate;
use std::vec;

use config::{Value, ValueKind};
use serde::de::{self, DeserializeSeed, Error, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::error::Fault;

/// How the origin of a value from the environment begins; the variable follows.
pub(super) const VARIABLE: &str = "environment variable ";

/// One value, with its origin.
#[derive(Debug)]
pub(super) struct Node(pub(super) Value);

impl Node {
    /// The text, where it comes from the environment.
    fn variable(&self) -> Option<&str> {
        let origin = self.0.origin()?;
        match &self.0.kind {
            ValueKind::String(text) if origin.starts_with(VARIABLE) => Some(text.trim()),
            _ => None,
        }
    }

    fn refuse(&self, expected: &str) -> Fault {
        let kind = match (self.variable(), &self.0.kind) {
            (Some(text), _) => {
                return Fault::custom(format!("{expected} is expected, not {text:?}"));
            }
            (None, ValueKind::Nil) => "nothing",
            (None, ValueKind::Boolean(true)) => "true",
            (None, ValueKind::Boolean(false)) => "false",
            (None, ValueKind::Float(_)) => "a fraction",
            (None, ValueKind::String(_)) => "text",
            (None, ValueKind::Table(_)) => "a section",
            (None, ValueKind::Array(_)) => "a list",
            (None, _) => "a whole number",
        };
        Fault::custom(format!("{expected} is expected, not {kind}"))
    }

    fn visit_number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Some(text) = self.variable() {
            let Ok(number) = text.parse() else {
                return Err(self.refuse("a whole number"));
            };
            return visitor.visit_i64(number);
        }
        match self.0.kind {
            ValueKind::I64(number) => visitor.visit_i64(number),
            ValueKind::U64(number) => visitor.visit_u64(number),
            _ => Err(self.refuse("a whole number")),
        }
    }
}

impl<'de> de::Deserializer<'de> for Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.kind {
            ValueKind::Nil => visitor.visit_unit(),
            ValueKind::Boolean(flag) => visitor.visit_bool(flag),
            ValueKind::I64(number) => visitor.visit_i64(number),
            ValueKind::I128(number) => visitor.visit_i128(number),
            ValueKind::U64(number) => visitor.visit_u64(number),
            ValueKind::U128(number) => visitor.visit_u128(number),
            ValueKind::Float(number) => visitor.visit_f64(number),
            ValueKind::String(text) => visitor.visit_string(text),
            ValueKind::Array(items) => visitor.visit_seq(Items(items.into_iter().enumerate())),
            ValueKind::Table(table) => visitor.visit_map(Entries::new(table)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match (self.variable(), &self.0.kind) {
            (Some("true"), _) => visitor.visit_bool(true),
            (Some("false"), _) => visitor.visit_bool(false),
            (None, ValueKind::Boolean(flag)) => visitor.visit_bool(*flag),
            _ => Err(self.refuse("true or false")),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_number(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_number(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number = match (self.variable(), &self.0.kind) {
            (Some(text), _) => text.parse().ok(),
            (None, ValueKind::Float(number)) => Some(*number),
            // Written without a fraction.
            (None, ValueKind::I64(number)) => i32::try_from(*number).ok().map(f64::from),
            _ => None,
        };
        number.map_or_else(|| Err(self.refuse("a number")), |number| visitor.visit_f64(number))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.kind {
            ValueKind::String(text) => visitor.visit_string(text),
            _ => Err(self.refuse("text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.kind {
            ValueKind::Nil => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Some(text) = self.variable() {
            let origin = self.0.origin().map(str::to_owned);
            let items: Vec<_> = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::new(origin.as_ref(), item))
                .collect();
            return visitor.visit_seq(Items(items.into_iter().enumerate()));
        }
        match self.0.kind {
            ValueKind::Array(items) => visitor.visit_seq(Items(items.into_iter().enumerate())),
            _ => Err(self.refuse("a list")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0.kind {
            ValueKind::Table(table) => visitor.visit_map(Entries::new(table)),
            _ => Err(self.refuse("a section")),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0.kind {
            ValueKind::String(text) => visitor.visit_enum(text.into_deserializer()),
            _ => Err(self.refuse("text")),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u128 f32 char bytes byte_buf unit unit_struct tuple
        tuple_struct map identifier ignored_any
    }
}

/// The items of a list.
struct Items(Enumerate<vec::IntoIter<Value>>);

impl<'de> de::SeqAccess<'de> for Items {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let Some((place, item)) = self.0.next() else {
            return Ok(None);
        };
        let read = seed.deserialize(Node(item));
        read.map(Some).map_err(|fault| fault.within(&format!("[{place}]")))
    }
}

/// The entries of a table in the order of their keys, so that of two faults always the same is
/// told. An empty entry of YAML counts as absent.
struct Entries {
    rest: vec::IntoIter<(String, Value)>,
    next: (String, Value),
}

impl Entries {
    fn new(table: config::Map<String, Value>) -> Self {
        let mut entries: Vec<_> =
            table.into_iter().filter(|(_, value)| value.kind != ValueKind::Nil).collect();
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        Self { rest: entries.into_iter(), next: (String::new(), Value::default()) }
    }
}

impl<'de> de::MapAccess<'de> for Entries {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let Some(entry) = self.rest.next() else {
            return Ok(None);
        };
        self.next = entry;
        seed.deserialize(self.next.0.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let (key, value) = std::mem::take(&mut self.next);
        seed.deserialize(Node(value)).map_err(|fault| fault.within(&key))
    }
}
