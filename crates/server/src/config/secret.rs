//! Texts that must not be shown.

use std::fmt;

use serde::Deserializer;

use super::value::optional;

/// A text that must be secret. `Debug` shows nothing of it. `==` takes a time that depends on the
/// texts, and is for telling whether a configuration has changed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself. It belongs in no log and no error.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A secret that a header can carry; empty text counts as absent. The reason repeats nothing of it.
pub(super) fn secret<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Secret>, D::Error> {
    optional(source, |text| {
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Secret(text.to_owned()))
        } else {
            Err("not visible ASCII without spaces".to_owned())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        assert_eq!(format!("{:?}", Some(Secret("hunter2".to_owned()))), "Some(Secret(…))");
    }
}
