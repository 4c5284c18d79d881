use std::borrow::Cow;

use proptest::prelude::*;

use super::normalise;

/// The rules again, one pass each, without regard for cost.
fn normalise_slowly(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut resolved: Vec<String> = Vec::new();
    for segment in path.split('/').map(normalise_segment_slowly) {
        match segment.as_str() {
            "" | "." => {}
            ".." => drop(resolved.pop()),
            _ => resolved.push(segment),
        }
    }
    format!("/{}", resolved.join("/"))
}

/// Cuts a segment into characters, escapes and malformed escapes, and renders each.
fn normalise_segment_slowly(segment: &str) -> String {
    const KEPT: &str = "-._~!$&'()*+,;=:@";
    let mut rendered = String::new();
    let mut rest = segment.as_bytes().to_vec();
    while !rest.is_empty() {
        let hex: Vec<u8> =
            rest[1..].iter().copied().take(2).take_while(u8::is_ascii_hexdigit).collect();
        if rest[0] != b'%' {
            let byte = rest.remove(0);
            let character = char::from(byte);
            if character.is_ascii_alphanumeric() || KEPT.contains(character) {
                rendered.push(character);
            } else {
                rendered.push_str(&format!("%{byte:02X}"));
            }
        } else if hex.len() == 2 {
            rest.drain(..3);
            rendered.push_str(&render_escape_slowly(&hex));
        } else {
            // A malformed escape and what stands where its digits should be.
            rest.remove(0);
            rendered.push('%');
            for _ in 0..2 {
                if rest.first().is_some_and(u8::is_ascii_hexdigit) {
                    rendered.push(char::from(rest.remove(0)));
                }
            }
            if rest.len() >= 3 && rest[0] == b'%' && rest[1..3].iter().all(u8::is_ascii_hexdigit) {
                rendered.push_str(
                    &String::from_utf8(rest.drain(..3).collect()).unwrap().to_ascii_uppercase(),
                );
            }
        }
    }
    rendered
}

fn render_escape_slowly(hex: &[u8]) -> String {
    let hex = std::str::from_utf8(hex).unwrap().to_ascii_uppercase();
    let byte = u8::from_str_radix(&hex, 16).unwrap();
    match char::from(byte) {
        kept if kept.is_ascii_alphanumeric() || "-._~".contains(kept) => kept.to_string(),
        _ => format!("%{hex}"),
    }
}

fn check(path: &str, normal: &str) {
    assert_eq!(normalise(path), normal, "{path}");
    assert_eq!(normalise_slowly(path), normal, "the slow version, {path}");
}

#[test]
fn spellings_of_one_path_coincide() {
    for spelling in [
        "/v1/people/42",
        "/v1/people/42/",
        "/v1/people/42?",
        "/v1/people/42?page=2&next=/../..",
        "/v1/people/42/?page=2",
        "/v1/people/42#top",
        "//v1///people/42//",
        "/./v1/./people/42/.",
        "/v1/x/../people/42",
        "/v1//../v1/people/42",
        "/../../v1/people/42",
        "/v1/people/42/x/..",
        "/v1/people/42/x/%2e%2E/",
        "/v1/%2e/people/x/.%2e/42",
        "/v1/%70eople/%34%32",
        "/%76%31/people/42",
        "v1/people/42",
    ] {
        check(spelling, "/v1/people/42");
    }
}

#[test]
fn escapes_of_unreserved_characters_are_decoded_and_others_put_in_upper_case() {
    check("/%7Euser%2d%5f%2E", "/~user-_.");
    check("/caf%c3%a9", "/caf%C3%A9");
    check("/a%2fb%3a%3F%23%25", "/a%2Fb%3A%3F%23%25");
    check("/%252e%252e/a", "/%252e%252e/a");
}

#[test]
fn characters_that_a_path_cannot_hold_count_as_their_escapes() {
    check("/café", "/caf%C3%A9");
    check("/{id}/a b|\"", "/%7Bid%7D/a%20b%7C%22");
    check("/a\\..\\b", "/a%5C..%5Cb");
}

#[test]
fn malformed_escapes_stay() {
    check("/100%", "/100%");
    check("/%zz/%4/%g0", "/%zz/%4/%g0");
    check("/%%341", "/%%341");
    check("/%4%31", "/%4%31");
    check("/%%2e%2e", "/%%2E.");
}

#[test]
fn anything_that_is_no_path_gets_a_leading_slash() {
    check("", "/");
    check("?q=1", "/");
    check("*", "/*");
    check("example.com:443", "/example.com:443");
    check("..", "/");
}

#[test]
fn different_paths_stay_different() {
    for (left, right) in [
        ("/a/b", "/a%2Fb"),
        ("/A", "/a"),
        ("/a", "/a/b"),
        ("/a!", "/a%21"),
        ("/a+b", "/a%20b"),
        ("/%2e%2e", "/%252e%252e"),
        ("/...", "/.."),
        ("/a;v=1", "/a"),
        ("/a%00", "/a"),
        ("/.a", "/a"),
    ] {
        assert_ne!(normalise(left), normalise(right), "{left} {right}");
    }
}

#[test]
fn a_normal_path_is_borrowed() {
    for path in [
        "/",
        "/v1/people/42",
        "/v1/people/42?page=2",
        "/v1/people/42/",
        "/.well-known/..a/...",
        "/caf%C3%A9/a:b@c;d=e",
        "/100%",
        "/%%2E",
        "/?",
    ] {
        assert!(matches!(normalise(path), Cow::Borrowed(_)), "{path}");
    }
}

/// Text made of what the rules are about.
fn paths() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", ".", "%2e", "%2E", "%", "%4", "%34", "%41", "%2f", "%c3", "1", "4", "a", "A",
        "é", "{", "*", "?", "#", "%25", "~", ":",
    ]);
    let pieces = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    prop_oneof![pieces.clone(), pieces.prop_map(|rest| format!("/{rest}")), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_normal_form_is_its_own_normal_form(path in paths()) {
        let once = normalise(&path).into_owned();
        let twice = normalise(&once);
        prop_assert_eq!(&twice, &once);
        prop_assert!(matches!(twice, Cow::Borrowed(_)));
    }

    #[test]
    fn the_slow_version_agrees(path in paths()) {
        prop_assert_eq!(normalise(&path), normalise_slowly(&path));
    }

    #[test]
    fn a_normal_form_starts_with_a_slash_and_has_no_empty_or_dot_segment(path in paths()) {
        let normal = normalise(&path).into_owned();
        prop_assert!(normal.starts_with('/'));
        if normal != "/" {
            for segment in normal.split('/').skip(1) {
                prop_assert!(!matches!(segment, "" | "." | ".."), "{}", normal);
            }
        }
    }
}
