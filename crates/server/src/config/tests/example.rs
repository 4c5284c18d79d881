//! `config/transom.toml` holds every setting with its default.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;
use transom_core::body::Messages;
use transom_core::headers::Style;

use super::super::load::Settings;
use super::super::policy::PolicyEntry;
use super::super::*;

pub(super) fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/transom.toml");
    std::fs::read_to_string(path).unwrap()
}

/// The settings that are absent by default, put in force.
fn uncommented() -> String {
    let mut text = String::new();
    for line in example().lines() {
        let setting =
            line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
        text.push_str(setting.unwrap_or(line));
        text.push('\n');
    }
    text
}

pub(super) fn check_equal(one: &Config, other: &Config) {
    assert_eq!(one.listen, other.listen);
    assert_eq!(one.gateway, other.gateway);
    assert_eq!(one.redis, other.redis);
    assert_eq!(one.identity, other.identity);
    assert_eq!(one.api_keys, other.api_keys);
    assert_eq!(one.limiter, other.limiter);
    assert_eq!(one.headers, other.headers);
    assert_eq!(one.messages, other.messages);
    assert_eq!(one.penalty, other.penalty);
    assert_eq!(one.log, other.log);
    assert_eq!(one.tracing, other.tracing);
    assert_eq!(one.local, other.local);
    assert_eq!(one.admin, other.admin);
    assert!(one.policies.iter().eq(other.policies.iter()));
}

#[test]
fn the_example_file_holds_exactly_the_defaults() {
    check_equal(&super::load(&example()).unwrap(), &Config::default());
}

#[test]
fn the_example_file_loads_with_every_setting_in_force() {
    let config = super::load(&uncommented()).unwrap();
    assert!(config.redis.url.is_some() && config.admin.token.is_some());
    assert_eq!(config.policies.by_name("search").unwrap().limits.minute, 30);
    assert_eq!(config.warnings(), Vec::<String>::new());
}

#[test]
fn the_example_file_mentions_every_key_in_its_section() {
    for (section, keys) in sections() {
        let text = section_text(section);
        for key in keys {
            let written = |line: &str| {
                line.starts_with(&format!("{key} =")) || line.starts_with(&format!("# {key}:"))
            };
            assert!(text.iter().any(|line| written(line)), "{section}.{key} is not in the file");
        }
    }
}

#[test]
fn every_variable_is_what_the_documentation_of_its_field_says() {
    for (file, section, keys) in [
        (include_str!("../listen.rs"), "listen", keys::<ListenConfig>()),
        (include_str!("../gateway.rs"), "gateway", keys::<GatewayConfig>()),
        (include_str!("../redis.rs"), "redis", keys::<RedisConfig>()),
        (include_str!("../identity.rs"), "identity", keys::<IdentityConfig>()),
        (include_str!("../limiter.rs"), "limiter", keys::<LimiterConfig>()),
        (include_str!("../limiter.rs"), "local", keys::<LocalConfig>()),
        (include_str!("../penalty.rs"), "penalty", keys::<PenaltyConfig>()),
        (include_str!("../log.rs"), "log", keys::<LogConfig>()),
        (include_str!("../tracing.rs"), "tracing", keys::<TracingConfig>()),
        (include_str!("../admin.rs"), "admin", keys::<AdminConfig>()),
    ] {
        let prose = file.replace("\n    ///", "");
        for key in keys {
            let says = format!(
                "`{section}.{key}` or `TRANSOM__{}__{}`",
                section.to_uppercase(),
                key.to_uppercase()
            );
            assert!(prose.contains(&says), "{says} is not documented");
        }
    }
}

/// Every section of a configuration, and the keys in it.
pub(super) fn sections() -> BTreeMap<&'static str, Vec<&'static str>> {
    let sections = BTreeMap::from([
        ("listen", keys::<ListenConfig>()),
        ("gateway", keys::<GatewayConfig>()),
        ("redis", keys::<RedisConfig>()),
        ("identity", keys::<IdentityConfig>()),
        ("api_key", keys::<ApiKey>()),
        ("limiter", keys::<LimiterConfig>()),
        ("headers", keys::<Style>()),
        ("messages", keys::<Messages>()),
        ("penalty", keys::<PenaltyConfig>()),
        ("log", keys::<LogConfig>()),
        ("tracing", keys::<TracingConfig>()),
        ("local", keys::<LocalConfig>()),
        ("admin", keys::<AdminConfig>()),
        ("policy", keys::<PolicyEntry>()),
    ]);
    let mut all = keys::<Settings>();
    all.sort_unstable();
    assert!(sections.keys().eq(&all), "a section is not in this test");
    sections
}

/// The lines of a section of the file, those of settings that are absent included.
fn section_text(section: &str) -> Vec<String> {
    let text = uncommented();
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.trim_matches(['[', ']']) == section;
        } else if inside {
            lines.push(line.to_owned());
        }
    }
    lines
}

/// The names of the fields that a struct is read from.
fn keys<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    let mut keys = Vec::new();
    assert!(T::deserialize(Fields(&mut keys)).is_err());
    keys
}

/// Notes which fields are asked for, and gives none.
struct Fields<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(fields);
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
