//! The form of a path by which policies are matched.
//!
//! Spellings of one path that a client can choose freely must not open a second pair of windows,
//! so they are made one before a policy is looked up. The upstream still gets the path as sent.
//!
//! | spelling                                      | becomes                              |
//! |-----------------------------------------------|--------------------------------------|
//! | query (from `?`), fragment (from `#`)         | nothing                              |
//! | escape of an unreserved character (`%7e`)     | the character (`~`)                  |
//! | any other escape (`%2f`)                      | upper case (`%2F`), never decoded    |
//! | malformed escape (`%zz`, `%4`)                | unchanged                            |
//! | character that a URI path cannot hold (`é`)   | its escapes (`%C3%A9`)               |
//! | `//`                                          | `/`                                  |
//! | `.` and `..`, also as `%2e`                   | resolved, never above the root       |
//! | trailing `/`                                  | nothing, except in `/`               |
//! | no leading `/` (`*`, `host:443`, empty)       | a leading `/`                        |
//!
//! Letter case is kept: `/A` and `/a` are two paths. Reserved characters keep their escapes:
//! `%2F` is not a separator, and `%21` is not `!`.
//!
//! Sources: RFC 3986, section 2.3 (unreserved characters), 3.3 (paths) and 6.2.2 (normalisation).
//! Slashes are merged before dot segments are resolved, as nginx and Go do: `/a//../b` is `/b`.

use std::borrow::Cow;

/// The normal form of a path as received, which may carry a query.
///
/// Total and idempotent. A path in normal form is borrowed after one scan; a query, a fragment or
/// one trailing slash is cut off without a copy.
///
/// ```
/// # use transom_core::normalise;
/// assert_eq!(normalise("/v1/%70eople/./?page=2"), "/v1/people");
/// assert_eq!(normalise("/v1/a%2fb"), "/v1/a%2Fb");
/// ```
pub fn normalise(path: &str) -> Cow<'_, str> {
    match normal_part(path) {
        Some(normal) => Cow::Borrowed(normal),
        None => Cow::Owned(rewritten(path)),
    }
}

/// The part of `path` that is its normal form, or nothing if it has to be rewritten.
fn normal_part(path: &str) -> Option<&str> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return None;
    }
    let mut end = 0;
    while let Some(&byte) = bytes.get(end) {
        let normal = match byte {
            b'?' | b'#' => break,
            b'/' => !starts_empty_or_dot_segment(&bytes[end + 1..]),
            b'%' => is_normal_escape(bytes, end),
            _ => is_path_character(byte),
        };
        if !normal {
            return None;
        }
        end += 1;
    }
    let path = &path[..end];
    Some(match path.strip_suffix('/') {
        Some(shorter) if !shorter.is_empty() => shorter,
        _ => path,
    })
}

/// Whether a slash, `.` or `..` comes next. The end of the path is no empty segment: one trailing
/// slash is cut off without a copy.
fn starts_empty_or_dot_segment(rest: &[u8]) -> bool {
    let tail = match rest {
        [b'/', ..] => return true,
        [b'.', b'.', tail @ ..] | [b'.', tail @ ..] => tail,
        _ => return false,
    };
    matches!(tail.first(), None | Some(b'/' | b'?' | b'#'))
}

fn is_normal_escape(bytes: &[u8], at: usize) -> bool {
    let Some(character) = escape_at(bytes, at) else {
        return true;
    };
    let upper_case = !bytes[at + 1..at + 3].iter().any(u8::is_ascii_lowercase);
    upper_case && !is_decoded(bytes, at, character)
}

fn rewritten(path: &str) -> String {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let mut normal = String::with_capacity(end + 1);
    for segment in path[..end].split('/') {
        let parent = normal.len();
        normal.push('/');
        push_segment(&mut normal, segment);
        match &normal[parent + 1..] {
            "" | "." => normal.truncate(parent),
            ".." => normal.truncate(normal[..parent].rfind('/').unwrap_or(0)),
            _ => {}
        }
    }
    if normal.is_empty() {
        normal.push('/');
    }
    normal
}

fn push_segment(normal: &mut String, segment: &str) {
    let bytes = segment.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if let Some(character) = escape_at(bytes, at) {
            if is_decoded(bytes, at, character) {
                normal.push(char::from(character));
            } else {
                push_escape(normal, character);
            }
            at += 3;
        } else {
            if byte == b'%' || is_path_character(byte) {
                normal.push(char::from(byte));
            } else {
                push_escape(normal, byte);
            }
            at += 1;
        }
    }
}

fn push_escape(normal: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    normal.push('%');
    normal.push(char::from(DIGITS[usize::from(byte >> 4)]));
    normal.push(char::from(DIGITS[usize::from(byte & 0xF)]));
}

/// The byte that an escape at `at` stands for, if a well-formed one is there.
fn escape_at(bytes: &[u8], at: usize) -> Option<u8> {
    match bytes.get(at..at + 3)? {
        [b'%', high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Whether the escape of `character` at `at` is decoded.
///
/// Not inside a malformed escape: in `%%341` the 4 would complete `%41`, and the next pass would
/// make that an `A`.
fn is_decoded(bytes: &[u8], at: usize, character: u8) -> bool {
    let completes_malformed = match &bytes[..at] {
        [.., b'%'] => true,
        [.., b'%', last] => last.is_ascii_hexdigit(),
        _ => false,
    };
    is_unreserved(character) && !completes_malformed
}

/// RFC 3986, section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a segment may hold unescaped: RFC 3986, section 3.3, `pchar`.
fn is_path_character(byte: u8) -> bool {
    PATH_CHARACTERS[usize::from(byte)]
}

/// By byte, since every byte of every path is looked at.
static PATH_CHARACTERS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    loop {
        table[byte as usize] = is_unreserved(byte)
            || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',')
            || matches!(byte, b';' | b'=' | b':' | b'@');
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

#[cfg(test)]
mod tests;
