use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;

use super::*;

const PROXY: &str = "10.0.0.1";

fn identities() -> Identities {
    let exempt = Exempt {
        identities: vec![Identity::user("monitor").unwrap()],
        networks: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
    };
    let header = http::HeaderName::from_static("x-forwarded-for");
    let keys = ["k1", "k2"].map(|key| (Digest::of(key.as_bytes()), Identity::user("42").unwrap()));
    Identities::new(vec!["10.0.0.0/8".parse().unwrap()], header, 64, exempt)
        .with_static_keys(keys.into_iter().collect())
}

async fn of(peer: &str, pairs: &[(&'static str, &'static str)]) -> String {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    identities().of(peer.parse().unwrap(), &headers, Duration::from_secs(5)).await.to_string()
}

#[tokio::test]
async fn two_keys_of_one_user_share_an_identity_from_any_address() {
    assert_eq!(of("198.51.100.1", &[("x-api-key", "k1")]).await, "user:42");
    assert_eq!(of("198.51.100.2", &[(AUTHORIZATION.as_str(), "Bearer k2")]).await, "user:42");
}

#[tokio::test]
async fn an_invalid_key_counts_on_the_address() {
    assert_eq!(of("198.51.100.1", &[("x-api-key", "k3")]).await, "ip:198.51.100.1");
    let both = [(AUTHORIZATION.as_str(), "Bearer k3"), ("x-api-key", "k1")];
    assert_eq!(of("198.51.100.1", &both).await, "user:42", "a token of another kind beside a key");
}

#[tokio::test]
async fn an_address_is_believed_from_a_trusted_proxy_alone() {
    let forged = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(of("198.51.100.1", &forged).await, "ip:198.51.100.1");
    assert_eq!(of(PROXY, &forged).await, "ip:203.0.113.9");
    let rotated = [("x-forwarded-for", "2001:db8:1:2:ffff::1")];
    assert_eq!(of(PROXY, &rotated).await, "ip:2001:db8:1:2::");
}

#[test]
fn exemption_holds_for_networks_and_single_identities() {
    let identities = identities();
    for (identity, exempt) in [
        ("ip:192.0.2.77", true),
        ("ip:192.0.3.1", false),
        ("ip:2001:db8:7::1", true),
        ("user:monitor", true),
        ("user:42", false),
        ("user:192.0.2.77", false),
    ] {
        assert_eq!(identities.is_exempt(&identity.parse().unwrap()), exempt, "{identity}");
    }
}

/// Who a request is counted on where `x-user-id` names users; `user` is what the upstream sees of
/// that header.
async fn stated(peer: &str, values: &[&str]) -> (String, Option<String>) {
    let name = HeaderName::from_static("x-user-id");
    let identities = identities().with_user_header(name.clone());
    let mut headers = HeaderMap::new();
    headers.append("x-api-key", HeaderValue::from_static("k1"));
    headers.append("connection", HeaderValue::from_static("x-user-id"));
    for value in values {
        headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let peer = peer.parse().unwrap();
    let identity = identities.of(peer, &headers, Duration::from_secs(5)).await;
    identities
        .user_header(identities.is_trusted_proxy(peer), &headers)
        .unwrap()
        .write(&mut headers);
    let left: Vec<_> = headers.get_all(&name).iter().map(|value| value.to_str().unwrap()).collect();
    (identity.to_string(), (!left.is_empty()).then(|| left.join("|")))
}

#[tokio::test]
async fn a_header_names_the_user_from_a_trusted_proxy_alone() {
    let seen = Some("42".to_owned());
    assert_eq!(stated(PROXY, &["42"]).await, ("user:42".to_owned(), seen.clone()));
    assert_eq!(stated("::ffff:10.0.0.1", &["42"]).await, ("user:42".to_owned(), seen));
    let stranger = ("ip:198.51.100.1".to_owned(), None);
    assert_eq!(stated("198.51.100.1", &["42"]).await, stranger);
    assert_eq!(stated("198.51.100.1", &[]).await, stranger, "an API key has no effect");
    let proxy = ("ip:10.0.0.1".to_owned(), None);
    for values in [&[][..], &[""], &["42", "42"], &["4 2"], &["\u{e4}"], &["42,43"]] {
        assert_eq!(stated(PROXY, values).await, proxy, "{values:?}");
    }
}

#[tokio::test]
async fn a_token_names_the_user_from_any_address_and_a_wrong_one_nobody() {
    let rules = TokenRules {
        algorithm: Algorithm::HS256,
        issuer: "i".to_owned(),
        audience: "a".to_owned(),
        leeway: Duration::ZERO,
    };
    // {"iss":"i","aud":"a","sub":"42","exp":4102444800}, with a secret of 32 bytes `k`.
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJpIiwiYXVkIjoiYSIsInN1YiI6IjQyIiwiZXhwIjo0MTAyNDQ0O\
                 DAwfQ.F_V02DLKENESEWeBZiMnbC9iRi0Vdisn7l-eUimKaXo";
    let identities =
        identities().with_tokens(Tokens::new(&rules, TokenKeys::from_secret(&[b'k'; 32])));
    for (lines, expected) in [
        (vec![format!("Bearer {token}")], "user:42"),
        (vec![format!("bearer  {token}")], "user:42"),
        (vec![format!("Basic {token}")], "ip:198.51.100.1"),
        (vec![token.to_owned()], "ip:198.51.100.1"),
        (vec![format!("Bearer {token}"), "Bearer x".to_owned()], "ip:198.51.100.1"),
        (vec![format!("Bearer {token}x")], "ip:198.51.100.1"),
        (vec!["Bearer k1".to_owned()], "ip:198.51.100.1"),
        (vec![], "ip:198.51.100.1"),
    ] {
        let mut headers = HeaderMap::new();
        for line in &lines {
            headers.append(AUTHORIZATION, HeaderValue::from_str(line).unwrap());
        }
        headers.append("x-api-key", HeaderValue::from_static("k1"));
        let peer = "198.51.100.1".parse().unwrap();
        let identity = identities.of(peer, &headers, Duration::from_secs(5)).await;
        assert_eq!(identity.as_str(), expected, "{lines:?}");
        assert!(identities.user_header(identities.is_trusted_proxy(peer), &headers).is_none());
    }
}
