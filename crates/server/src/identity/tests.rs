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
