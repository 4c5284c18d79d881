//! The normal form of a path, and that no spelling of it opens another.

use transom_core::normalise;

use crate::runner::run;

#[test]
fn paths() {
    run("paths", check);
}

/// A path as received.
pub(crate) fn check(input: &[u8]) {
    let path = String::from_utf8_lossy(input);
    let normal = normalise(&path);
    assert_eq!(normal, normalise_slowly(&path), "{path:?}");
    assert_eq!(normalise(&normal), normal, "{path:?} is not normal after one pass");
    assert!(normal.starts_with('/') && !normal.contains("//"), "{normal:?}");
    assert!(normal == "/" || !normal.ends_with('/'), "{normal:?}");
    assert!(normal.bytes().all(|byte| byte.is_ascii_graphic()), "{normal:?}");
    for spelling in spellings(&normal) {
        assert_eq!(normalise(&spelling), normal, "{spelling:?}");
    }
}

/// Segment by segment: spell out what has to be escaped, read escapes, drop empty segments and
/// dots, walk up for two dots.
pub(crate) fn normalise_slowly(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap();
    let mut kept: Vec<String> = Vec::new();
    for segment in path.split('/') {
        match spell(segment).as_str() {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment.to_owned()),
        }
    }
    format!("/{}", kept.join("/"))
}

fn spell(segment: &str) -> String {
    let mut spelled = String::new();
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                u8::from_str_radix(digits, 16).ok()
            }
            _ => None,
        };
        rest = if escaped.is_some() { &rest[3..] } else { after };
        match escaped {
            // Behind the beginning of a malformed escape it would complete it.
            Some(byte) if is_unreserved(byte) && !begins_escape(&spelled) => {
                spelled.push(char::from(byte));
            }
            Some(byte) => spelled.push_str(&format!("%{byte:02X}")),
            None if is_unreserved(*first) || b"!$&'()*+,;=:@%".contains(first) => {
                spelled.push(char::from(*first));
            }
            None => spelled.push_str(&format!("%{first:02X}")),
        }
    }
    spelled
}

/// Whether a text ends in `%`, or in `%` and one digit.
fn begins_escape(text: &str) -> bool {
    let mut end = text.bytes().rev();
    match (end.next(), end.next()) {
        (Some(b'%'), _) => true,
        (Some(digit), Some(b'%')) => digit.is_ascii_hexdigit(),
        _ => false,
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Other spellings of a path in normal form, as a client might try them.
pub(crate) fn spellings(normal: &str) -> Vec<String> {
    let is_escape = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let lower = |segment: &str| match segment.split_once('%') {
        // Escapes may be written in lower case; what is no escape may not change.
        Some((before, escape)) if is_escape(escape) => {
            format!("{before}%{}", escape.to_ascii_lowercase())
        }
        _ => segment.to_owned(),
    };
    let escaped = |segment: &str| {
        if segment.contains('%') {
            return segment.to_owned();
        }
        let escape = |byte: u8| match is_unreserved(byte) {
            true => format!("%{byte:02x}"),
            false => char::from(byte).to_string(),
        };
        segment.bytes().map(escape).collect()
    };
    let each =
        |spell: &dyn Fn(&str) -> String| normal.split('/').map(spell).collect::<Vec<_>>().join("/");
    vec![
        format!("{normal}/"),
        format!("{normal}?/a/b"),
        format!("{normal}#/.."),
        format!("{normal}/x/%2E%2e"),
        format!("/..//{}", &normal[1..]),
        format!("/y/.%2E{normal}"),
        normal.replace('/', "/./"),
        normal.replace('/', "//"),
        each(&lower),
        each(&escaped),
    ]
}
