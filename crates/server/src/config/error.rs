//! What is wrong with a configuration, in one line that names the origin, the key and the reason.

use std::fmt;

use serde::de;

/// Why a configuration is refused. Prints one line: `ORIGIN: KEY: REASON`.
///
/// The origin is a file or `environment variable TRANSOM__...`. No secret is part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    origin: String,
    key: Option<String>,
    reason: String,
}

impl ConfigError {
    /// A fault of a file or a variable as a whole.
    pub(super) fn new(origin: &str, reason: &str) -> Self {
        Self { origin: one_line(origin), key: None, reason: one_line(reason) }
    }

    /// A fault of one setting.
    pub(super) fn at(origin: &str, key: &str, reason: &str) -> Self {
        Self { key: Some(one_line(key)), ..Self::new(origin, reason) }
    }

    /// The setting at fault, such as `policy[1].minute`; `None` for a file that cannot be read.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// A fault before its origin is known.
///
/// Most faults are of one key. A pair that cannot be is of two, and belongs to the origin of
/// whichever was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) keys: Vec<String>,
    pub(super) reason: String,
}

impl Fault {
    pub(super) fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { keys: vec![key.into()], reason: reason.into() }
    }

    pub(super) fn pair(one: &str, other: &str, reason: impl Into<String>) -> Self {
        Self { keys: vec![one.to_owned(), other.to_owned()], reason: reason.into() }
    }

    /// The same fault, seen from the table that holds `key`.
    pub(super) fn within(mut self, key: &str) -> Self {
        for inner in &mut self.keys {
            *inner = match inner.chars().next() {
                None => key.to_owned(),
                Some('[') => format!("{key}{inner}"),
                Some(_) => format!("{key}.{inner}"),
            };
        }
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.keys.join(" and "), self.reason)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::new("", reason.to_string())
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let reason = match nearest(field, expected) {
            Some(known) => format!("unknown key; did you mean {known}?"),
            None => format!("unknown key; known here: {}", expected.join(", ")),
        };
        Self::new(field, reason)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("{variant:?} is not one of {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(field, "missing")
    }
}

/// The known word that is at most two letters off, and less than half of its own.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .iter()
        .map(|known| (distance(&word, known), *known))
        .filter(|(off, known)| *off <= 2 && off * 2 < known.len())
        .min()
        .map(|(_, known)| known)
}

/// How many letters must be put in, left out or replaced to turn one word into the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

/// The text with control characters escaped, so that it stays one line.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_debug());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_word_close_by_is_found() {
        let known = ["url", "deadline", "workers", "on_failure"];
        assert_eq!(nearest("deadlin", &known), Some("deadline"));
        assert_eq!(nearest("Deadline", &known), Some("deadline"));
        assert_eq!(nearest("onfailure", &known), Some("on_failure"));
        assert_eq!(nearest("uri", &known), Some("url"));
        assert_eq!(nearest("timeout", &known), None);
        assert_eq!(nearest("", &known), None);
    }

    #[test]
    fn a_line_break_in_a_value_does_not_break_the_line() {
        let error = ConfigError::at("a\nb.toml", "log.level", "no\r\n\u{1b}[31m");
        assert_eq!(error.to_string(), r"a\nb.toml: log.level: no\r\n\u{1b}[31m");
    }
}
