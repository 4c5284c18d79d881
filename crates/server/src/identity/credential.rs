//! Where an API key or a token may stand in a request.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::user_header;

/// The longest key that is looked at, in bytes. A longer one is invalid.
const KEY_MAX: usize = 256;

/// The API keys that a request shows, the first of each field: `Authorization: Bearer KEY`, then
/// `X-Api-Key: KEY`. Looking at one of each bounds what a request can make a worker look up.
pub(super) fn api_keys(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let header = headers.get("x-api-key").map(|value| value.as_bytes().trim_ascii());
    [bearer, header].into_iter().flatten().filter(|key| (1..=KEY_MAX).contains(&key.len()))
}

/// The token that a request shows, `Authorization: Bearer TOKEN` on one line: of two, the upstream
/// might take the other.
pub(super) fn token(headers: &HeaderMap) -> Option<&[u8]> {
    bearer(user_header::only(headers, &AUTHORIZATION)?.as_bytes())
}

/// The token behind the scheme `Bearer`, in any case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked("bearer".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && rest.first() == Some(&b' ');
    is_bearer.then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn found(pairs: &[(&'static str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        api_keys(&headers).map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    #[test]
    fn a_key_is_found_in_both_fields() {
        assert_eq!(found(&[("authorization", "Bearer abc")]), ["abc"]);
        assert_eq!(found(&[("authorization", "bEARER   abc ")]), ["abc"]);
        assert_eq!(found(&[("x-api-key", " abc ")]), ["abc"]);
        assert_eq!(found(&[("x-api-key", "b"), ("authorization", "Bearer a")]), ["a", "b"]);
    }

    #[test]
    fn what_is_no_key_is_not_looked_up() {
        assert!(found(&[]).is_empty());
        assert!(found(&[("authorization", "Basic abc")]).is_empty());
        assert!(found(&[("authorization", "Bearerabc")]).is_empty());
        assert!(found(&[("authorization", "Bearer ")]).is_empty());
        assert!(found(&[("authorization", "B")]).is_empty());
        assert!(found(&[("x-api-key", "")]).is_empty());
        assert!(found(&[("x-api-key", &"x".repeat(257))]).is_empty());
    }

    #[test]
    fn only_the_first_line_of_a_field_counts() {
        assert_eq!(found(&[("x-api-key", "a"), ("x-api-key", "b")]), ["a"]);
    }
}
