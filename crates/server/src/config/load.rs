//! Brings the layers together: defaults, then one file, then the environment.

use std::fmt;
use std::path::Path;

use config::{Format, Map, Source, Value, ValueKind};
use serde::Deserialize;
use transom_core::body::Messages;
use transom_core::headers::Style;

use super::error::{ConfigError, Fault};
use super::node::{Node, VARIABLE};
use super::policy::{self, PolicyEntry};
use super::source::{FileText, format};
use super::{
    AdminConfig, ApiKey, Config, ConfigSource, GatewayConfig, IdentityConfig, LimiterConfig,
    ListenConfig, LocalConfig, LogConfig, PenaltyConfig, RedisConfig, TracingConfig, api_key,
};

/// How the name of a variable begins that is a setting.
const PREFIX: &str = "TRANSOM__";

type Table = Map<String, Value>;

impl Config {
    /// Reads the configuration: defaults, then `file` if there is one, then those of `environment`
    /// whose names begin with `TRANSOM__`.
    ///
    /// A file is TOML or YAML by its extension. A variable is `TRANSOM__SECTION__KEY`; numbers,
    /// `true` and `false` are read from its text, lists are separated by commas. Policies and API
    /// keys come from the file only.
    ///
    /// # Errors
    ///
    /// One line with the file or the variable, the key, and the reason.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        ConfigSource::new(file, environment).load()
    }

    /// The variables of this process that [`Config::load`] takes for settings. Text that is not
    /// Unicode is kept as far as it can be read.
    pub fn environment() -> Vec<(String, String)> {
        std::env::vars_os()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, text)| (name, text.to_string_lossy().into_owned()))
            .collect()
    }
}

impl ConfigSource {
    /// Merges the layers over what was read of the file, and checks what comes out.
    pub(crate) fn parse(&self, file: &FileText) -> Result<Config, ConfigError> {
        let mut builder = config::Config::builder();
        if let Some(path) = self.file() {
            builder = builder.add_source(Layer(table(path, &file.text)?));
        }
        let merged = builder
            .add_source(Layer(variables(self.variables())?))
            .build()
            .and_then(|merged| merged.collect())
            .map_err(|error| ConfigError::new("configuration", &error.to_string()))?;
        let settings = Node(Value::new(None, merged.clone()));
        let config = Settings::deserialize(settings)
            .and_then(Settings::check)
            .map_err(|fault| place(&fault, &merged, self.file()))?;
        Ok(Config { digest: file.digest.clone(), ..config })
    }

    /// A fault of the file as a whole.
    pub(super) fn blame(&self, fault: &Fault) -> ConfigError {
        place(fault, &Table::new(), self.file())
    }
}

/// A configuration as it is written, section by section.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    listen: ListenConfig,
    gateway: GatewayConfig,
    redis: RedisConfig,
    identity: IdentityConfig,
    api_key: Vec<ApiKey>,
    limiter: LimiterConfig,
    headers: Style,
    messages: Messages,
    penalty: PenaltyConfig,
    log: LogConfig,
    tracing: TracingConfig,
    local: LocalConfig,
    admin: AdminConfig,
    policy: Vec<PolicyEntry>,
}

impl Settings {
    /// Refuses what cannot be together.
    fn check(self) -> Result<Config, Fault> {
        self.listen.check()?;
        self.gateway.check(self.listen.gateway)?;
        self.redis.check()?;
        self.identity.check()?;
        self.penalty.check()?;
        api_key::check(&self.api_key)?;
        let default_is_missing =
            !self.policy.is_empty() && !self.policy.iter().any(PolicyEntry::is_default);
        Ok(Config {
            policies: policy::build(self.policy, self.redis.on_failure)?,
            listen: self.listen,
            gateway: self.gateway,
            redis: self.redis,
            identity: self.identity,
            api_keys: self.api_key,
            limiter: self.limiter,
            headers: self.headers,
            messages: self.messages,
            penalty: self.penalty,
            log: self.log,
            tracing: self.tracing,
            local: self.local,
            admin: self.admin,
            default_is_missing,
            digest: String::new(),
        })
    }
}

/// One layer, ready to be merged.
#[derive(Clone)]
struct Layer(Table);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Table, config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// Shows no value, since some are secret.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layer")
    }
}

fn table(path: &Path, text: &str) -> Result<Table, ConfigError> {
    let origin = path.display().to_string();
    let table = format(path)?
        .parse(Some(&origin), text)
        .map_err(|error| ConfigError::new(&origin, &syntax(error.as_ref())))?;
    // The crate would read `"redis.url"` as a path, and `"x[9999999999]"` as a very long list.
    match table.keys().filter(|key| !is_plain(key)).min() {
        Some(key) => Err(ConfigError::at(&origin, key, "unknown key")),
        None => Ok(table),
    }
}

/// What a parser says, without the excerpt that the one for TOML adds: it may show a secret.
fn syntax(error: &(dyn std::error::Error + 'static)) -> String {
    if error.is::<Box<config::ConfigError>>() || error.is::<config::ConfigError>() {
        return "not a table of sections".to_owned();
    }
    let text = error.to_string();
    let mut lines = text.lines();
    match lines.next().and_then(|line| line.strip_prefix("TOML parse error at ")) {
        Some(at) => format!("{at}: {}", lines.skip(3).collect::<Vec<_>>().join(", ")),
        None => text.lines().collect::<Vec<_>>().join(", "),
    }
}

fn variables<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Table, ConfigError> {
    let mut sections: Map<String, Table> = Map::new();
    for (name, text) in all {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let origin = format!("{VARIABLE}{name}");
        let lower = rest.to_lowercase();
        match lower.split_once("__") {
            Some(("policy" | "api_key", _)) => {
                let reason = "policies and API keys come from a file only";
                return Err(ConfigError::new(&origin, reason));
            }
            Some((section, key)) if is_plain(section) && is_plain(key) && !key.contains("__") => {
                let value = Value::new(Some(&origin), text);
                sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value);
            }
            _ => {
                let reason = "no setting; the form is TRANSOM__SECTION__KEY";
                return Err(ConfigError::new(&origin, reason));
            }
        }
    }
    Ok(sections.into_iter().map(|(key, table)| (key, Value::new(None, table))).collect())
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Adds the origin to a fault: that of the first key that was set, else the file.
fn place(fault: &Fault, merged: &Table, file: Option<&Path>) -> ConfigError {
    let origin = fault.keys.iter().find_map(|key| origin_of(merged, key));
    let origin = match (origin, file) {
        (Some(origin), _) => origin.to_owned(),
        (None, Some(path)) => path.display().to_string(),
        (None, None) => "configuration".to_owned(),
    };
    ConfigError::at(&origin, &fault.keys.join(" and "), &fault.reason)
}

/// Where the value of a key such as `policy[1].minute` comes from, or what holds it.
fn origin_of<'a>(merged: &'a Table, key: &str) -> Option<&'a str> {
    let mut steps = key.split(['.', '[']).map(|step| step.trim_end_matches(']'));
    let mut value = merged.get(steps.next()?)?;
    for step in steps {
        let inner = match &value.kind {
            ValueKind::Table(table) => table.get(step),
            ValueKind::Array(items) => step.parse().ok().and_then(|place: usize| items.get(place)),
            _ => None,
        };
        match inner {
            Some(inner) => value = inner,
            None => return value.origin(),
        }
    }
    match &value.kind {
        // A section that was merged has no origin of its own.
        ValueKind::Table(table) => {
            value.origin().or_else(|| table.values().filter_map(Value::origin).min())
        }
        _ => value.origin(),
    }
}
