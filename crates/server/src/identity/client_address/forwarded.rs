//! `Forwarded`, RFC 7239: where an element begins, and the `for` in it.
//!
//! A line is cut from the right, one element at a time, and each element is then read from the
//! left. A parser that begins at the left of the line can be misled: a client that sends
//! `for="` opens a quoted string that swallows what the proxy appends. Here an odd quote spoils
//! only the element it stands in and what is further left.

use std::borrow::Cow;

/// The comma to the left of the last element of a `Forwarded` line.
///
/// Commas in quoted strings do not count. In a well-formed element this is exact: every quote
/// inside a quoted string follows a backslash and the one that opens it follows a `=`, so reading
/// backwards finds the same strings. What this finds in any other line does not matter, since
/// the piece to the right of the comma must still pass [`for_parameter`].
pub(super) fn last_comma(line: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut bytes = line.iter().enumerate().rev().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' if quoted && matches!(bytes.peek(), Some((_, b'\\'))) => {}
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// The value of `for` in one element of `Forwarded`, without quotes and escapes.
///
/// `None` if the element is malformed or does not have exactly one `for`. Two things are taken
/// that RFC 7239 does not allow but proxies write: white space around `;`, and a colon or
/// brackets in a value without quotes.
pub(super) fn for_parameter(element: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut found = None;
    let mut rest = element.trim_ascii();
    while !rest.is_empty() {
        if rest.first() != Some(&b';') {
            let equals = rest.iter().position(|&byte| byte == b'=')?;
            let (name, value) = (rest.get(..equals)?, rest.get(equals + 1..)?);
            if name.is_empty() || !name.iter().copied().all(is_token) {
                return None;
            }
            let (value, after) = parse_value(value)?;
            if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
                return None;
            }
            rest = after.trim_ascii_start();
        }
        match rest.split_first() {
            Some((b';', after)) => rest = after.trim_ascii_start(),
            Some(_) => return None,
            None => break,
        }
    }
    found
}

/// Reads a token or a quoted string, and returns it with what follows it.
fn parse_value(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let Some(text) = text.strip_prefix(b"\"") else {
        let ends = |&byte: &u8| !is_token(byte) && !b":[]".contains(&byte);
        let end = text.iter().position(ends).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return (!value.is_empty()).then_some((Cow::Borrowed(value), after));
    };
    let mut escaped = false;
    let end = text.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    Some((unescape(text.get(..end)?), text.get(end + 1..)?))
}

/// Takes the backslash off each escaped byte. Copies only if there is one.
fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    let mut bytes = text.iter().copied();
    let plain = std::iter::from_fn(|| match bytes.next()? {
        b'\\' => bytes.next(),
        byte => Some(byte),
    });
    Cow::Owned(plain.collect())
}

/// A character of a token, RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}
