//! The user that a trusted proxy names in a header of its own.
//!
//! The value is believed if the peer is a trusted proxy and the header comes on one line, with 1
//! to 1,024 visible ASCII characters and no comma. Two lines, and a list, are more than one user:
//! one of them may be the client's own. Where the value is not believed the caller counts on the
//! address, and the upstream does not see the header.

use http::{HeaderMap, HeaderName, HeaderValue};
use transom_core::Identity;

use crate::gateway::{spelled, take_out};

/// The user that a header names, if it names one.
pub(super) fn user(headers: &HeaderMap, name: &HeaderName) -> Option<Identity> {
    Identity::user(id(only(headers, name)?)?).ok()
}

/// The one line of a header.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next();
    if lines.next().is_some() { None } else { first }
}

fn id(value: &HeaderValue) -> Option<&str> {
    let visible = |byte: &u8| byte.is_ascii_graphic() && *byte != b',';
    let text = value.as_bytes();
    if text.iter().all(visible) { std::str::from_utf8(text).ok() } else { None }
}

/// What the upstream may see of the header that names users.
#[derive(Debug)]
pub(crate) struct UserHeader {
    name: HeaderName,
    believed: Option<HeaderValue>,
}

impl UserHeader {
    /// The header as it came, believed only where `trusted` and where it names a user.
    pub(super) fn of(headers: &HeaderMap, name: &HeaderName, trusted: bool) -> Self {
        let named = trusted && user(headers, name).is_some();
        let believed = if named { headers.get(name).cloned() } else { None };
        Self { name: name.clone(), believed }
    }

    /// Which header it is.
    pub(crate) const fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Makes the fields say what was believed, and nothing else. A name with `_` for `-` is
    /// another header, but many a server takes both for one.
    pub(crate) fn write(self, fields: &mut HeaderMap) {
        let own = spelled(&self.name);
        take_out(fields, |name| spelled(name) == own);
        if let Some(value) = self.believed {
            fields.insert(self.name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: HeaderName = HeaderName::from_static("x-user-id");

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let field = |&(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        lines.iter().map(field).collect()
    }

    fn named(lines: &[(&'static str, &[u8])]) -> Option<String> {
        user(&headers(lines), &NAME).map(|user| user.to_string())
    }

    #[test]
    fn one_line_of_visible_characters_names_a_user() {
        for id in ["42", "ada@example.com", "auth0|5f7c", "{braces}", &"x".repeat(1_024)] {
            let found = named(&[("x-user-id", id.as_bytes())]);
            assert_eq!(found, Some(format!("user:{id}")), "{id:.20}");
        }
    }

    #[test]
    fn what_is_empty_long_listed_repeated_or_invisible_names_nobody() {
        for id in ["", " ", "4 2", "a\tb", "a,b", "42, 43", "\u{e4}", &"x".repeat(1_025)] {
            assert_eq!(named(&[("x-user-id", id.as_bytes())]), None, "{id:.20}");
        }
        assert_eq!(named(&[("x-user-id", b"\xff\xfe")]), None);
        assert_eq!(named(&[("x-user-id", b"42"), ("x-user-id", b"42")]), None);
        assert_eq!(named(&[("x-user-id", b"42"), ("x-user-id", b"")]), None);
        assert_eq!(named(&[("x_user_id", b"42")]), None);
        assert_eq!(named(&[]), None);
    }

    #[test]
    fn the_upstream_sees_what_was_believed_and_no_other_spelling_of_it() {
        let written = |lines: &[(&'static str, &[u8])], trusted| {
            let mut fields = headers(lines);
            UserHeader::of(&fields, &NAME, trusted).write(&mut fields);
            let text = |(name, value): (&HeaderName, &HeaderValue)| {
                format!("{name}: {}", value.to_str().unwrap())
            };
            fields.iter().map(text).collect::<Vec<_>>()
        };
        let lines = [("x-user-id", &b"42"[..]), ("x_user-id", b"1"), ("x-user", b"2")];
        assert_eq!(written(&lines, true), ["x-user: 2", "x-user-id: 42"]);
        assert_eq!(written(&lines, false), ["x-user: 2"]);
        let twice = [("x-user-id", &b"42"[..]), ("x-user-id", b"43")];
        assert!(written(&twice, true).is_empty());
        assert!(written(&[("x_user_id", b"1")], true).is_empty());
    }
}
