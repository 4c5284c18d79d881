//! The configuration: refused by the name of a key, or taken; and then the same in YAML, and the
//! same again from what is shown of it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use transom_server::config::{Config, ConfigError, IdentityMode};

use crate::runner::run;

/// The sections that a fault may be about although a file does not have them.
const SECTIONS: [&str; 14] = [
    "admin", "api_key", "gateway", "headers", "identity", "limiter", "listen", "local", "log",
    "messages", "penalty", "policy", "redis", "tracing",
];

const POLICY_KEYS: [&str; 9] =
    ["name", "methods", "host", "path", "minute", "second", "cost", "mode", "on_failure"];

#[test]
fn configuration() {
    run("configuration", check);
}

/// A file in TOML.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let of_toml = load("toml", &text);
    let document = match text.parse::<toml::Table>() {
        Ok(table) => as_json(&toml::Value::Table(table)),
        Err(_) => None,
    };
    if let Err(error) = &of_toml {
        check_error(error, document.as_ref());
    }
    if let Some(document) = document {
        let of_yaml = load("yaml", &document.to_string());
        assert_eq!(outcome(&of_toml), outcome(&of_yaml), "{document}");
    }
    let Ok(config) = of_toml else { return };
    let Some(effective) = effective(&config.to_json()) else { return };
    let again = load("yaml", &effective.to_string()).unwrap_or_else(|e| panic!("{e}\n{effective}"));
    assert_eq!(in_force(&config), in_force(&again), "{effective}");
}

fn check_error(error: &ConfigError, document: Option<&Value>) {
    let line = error.to_string();
    assert!(line.starts_with(&path("toml").display().to_string()), "{line}");
    assert!(!line.chars().any(char::is_control), "{line:?}");
    let Some(document) = document else { return };
    let key = error.key().unwrap_or_else(|| panic!("no key is named: {line}"));
    // A key may itself hold a dot, in quotes.
    let is_of_file = |section: &str| {
        document.as_object().is_some_and(|keys| keys.keys().any(|key| key.contains(section)))
    };
    let is_known = |section: &str| SECTIONS.contains(&section) || is_of_file(section);
    let sections = key.split(" and ").map(|key| key.split(['.', '[']).next().unwrap());
    // A key that is no word at all is shown in one line.
    let is_plain = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    assert!(sections.clone().all(|key| !is_plain(key) || is_known(key)), "{key}: {line}");
}

/// What came of loading a file, whatever its form.
fn outcome(loaded: &Result<Config, ConfigError>) -> Result<String, (Option<&str>, String)> {
    match loaded {
        Ok(config) => {
            let mut config = config.clone();
            config.digest.clear();
            Ok(format!("{config:?}"))
        }
        Err(error) => {
            let line = error.to_string();
            let (_, reason) = line.split_once(": ").unwrap();
            Err((error.key(), reason.to_owned()))
        }
    }
}

/// A document of TOML as one of JSON, which is YAML too. `None` where JSON has no such value.
fn as_json(value: &toml::Value) -> Option<Value> {
    Some(match value {
        toml::Value::String(text) => json!(text),
        toml::Value::Integer(number) => json!(number),
        // JSON writes some of them as YAML does not read them.
        toml::Value::Float(_) | toml::Value::Datetime(_) => return None,
        toml::Value::Boolean(flag) => json!(flag),
        toml::Value::Array(items) => items.iter().map(as_json).collect::<Option<_>>()?,
        toml::Value::Table(table) => {
            let entry = |(key, value): (&String, _)| Some((key.clone(), as_json(value)?));
            Value::Object(table.iter().map(entry).collect::<Option<_>>()?)
        }
    })
}

/// The configuration that says what is shown, apart from Redis, keys and tokens: their secrets
/// are not shown.
fn effective(shown: &Value) -> Option<Value> {
    let identity = &shown["identity"];
    if identity["mode"] == "jwt" {
        return None;
    }
    let own = |section: &Value, keys: &[&str]| -> Map<String, Value> {
        let set = keys.iter().filter(|key| !section[**key].is_null());
        set.map(|key| ((*key).to_owned(), section[*key].clone())).collect()
    };
    let off = |address: &Value| if address.is_null() { json!("") } else { address.clone() };
    let listen: Map<_, _> = shown["listen"].as_object()?.clone();
    let listen: Map<_, _> = listen.iter().map(|(key, at)| (key.clone(), off(at))).collect();
    let policy = |policy: &Value| own(policy, &POLICY_KEYS);
    let of_identity =
        ["mode", "header", "trusted_proxies", "client_ip_header", "ipv6_prefix", "exempt"];
    Some(json!({
        "listen": listen,
        "gateway": {"upstream": off(&shown["upstream"])},
        "identity": own(identity, &of_identity),
        "limiter": {
            "mode": shown["mode"],
            "exempt_preflight": shown["exempt"]["preflight"],
            "exempt_paths": shown["exempt"]["paths"],
        },
        "penalty": shown["penalty"],
        "policy": shown["policies"].as_array()?.iter().map(policy).collect::<Vec<_>>(),
    }))
}

/// What of a configuration is shown, as it was read.
fn in_force(config: &Config) -> Vec<String> {
    let identity = &config.identity;
    let mut policies: Vec<_> = config.policies.iter().map(|policy| format!("{policy:?}")).collect();
    policies.sort();
    let is_header = identity.mode == IdentityMode::Header;
    let mut shown = vec![
        format!("{:?} {}", config.listen, config.to_json()["upstream"]),
        format!("{:?}", config.limiter),
        format!("{:?}", config.penalty),
        format!("{:?} {:?}", identity.mode, is_header.then_some(&identity.header)),
        format!("{:?} {}", identity.trusted_proxies, identity.client_ip_header),
        format!("{} {:?}", identity.ipv6_prefix, identity.exempt),
    ];
    shown.append(&mut policies);
    shown
}

thread_local! {
    static FOLDER: TempDir = TempDir::new().unwrap();
}

fn path(form: &str) -> PathBuf {
    FOLDER.with(|folder| folder.path().join(format!("transom.{form}")))
}

fn load(form: &str, text: &str) -> Result<Config, ConfigError> {
    let path = path(form);
    fs::write(&path, text).unwrap();
    Config::load(Some(&path), [])
}
