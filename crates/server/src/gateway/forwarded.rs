//! What the upstream is told about the hops before this one.
//!
//! | field | from a trusted proxy | from anyone else |
//! | --- | --- | --- |
//! | `X-Forwarded-For` | the peer is appended | the peer alone |
//! | `X-Forwarded-Proto`, `X-Forwarded-Host` | kept; set where absent | set |
//! | `Forwarded` | the peer is appended; none is begun | taken away |
//! | other `X-Forwarded-*`, and what else names a client's address | kept | taken away |
//!
//! The same names with `_` for `-` are taken away whoever sends them: proxies write none, and what
//! a client writes so many a server takes for the field of the proxy.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::hop_by_hop::{X_FORWARDED, X_REAL_IP, spelled, take_out};
use crate::telemetry::request::X_REQUEST_ID;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The fields, beside `X-Forwarded-*`, in which proxies name the address of a client.
const CLAIMS: [HeaderName; 7] = [
    FORWARDED,
    X_REAL_IP,
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("fastly-client-ip"),
];

/// Writes the fields for a request that came from `peer`, which asked for `host`.
pub(super) fn write(
    fields: &mut HeaderMap,
    peer: IpAddr,
    trusted: bool,
    host: Option<&HeaderValue>,
) {
    take_out(fields, |name| is_claim(name) && (!trusted || name.as_str().contains('_')));
    append(fields, &FOR, &peer.to_string());
    if fields.contains_key(FORWARDED) {
        append(fields, &FORWARDED, &for_parameter(peer));
    }
    fields.entry(PROTO).or_insert(HeaderValue::from_static("http"));
    if let Some(host) = host {
        fields.entry(HOST).or_insert_with(|| host.clone());
    }
}

/// Takes out of trailers what a client may say in no head.
pub(super) fn strip_trailers(trailers: &mut HeaderMap, user_header: Option<&HeaderName>) {
    let users = user_header.map(spelled);
    take_out(trailers, |name| {
        is_claim(name) || *name == X_REQUEST_ID || Some(spelled(name)) == users
    });
}

fn is_claim(name: &HeaderName) -> bool {
    let name: Cow<'_, str> = spelled(name);
    name.starts_with(X_FORWARDED) || CLAIMS.iter().any(|claim| name == claim.as_str())
}

/// Puts a last member to a list, and all its lines into one.
fn append(fields: &mut HeaderMap, name: &HeaderName, member: &str) {
    let mut list = Vec::new();
    for line in fields.get_all(name) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(member.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        fields.insert(name, value);
    }
}

fn for_parameter(peer: IpAddr) -> String {
    match peer {
        IpAddr::V4(address) => format!("for={address}"),
        IpAddr::V6(address) => format!("for=\"[{address}]\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "198.51.100.9";

    fn written(
        lines: &[(&'static str, &'static str)],
        peer: &str,
        trusted: bool,
    ) -> Vec<(String, String)> {
        let mut fields = HeaderMap::new();
        for &(name, value) in lines {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let host = HeaderValue::from_static("api.example");
        write(&mut fields, peer.parse().unwrap(), trusted, Some(&host));
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let mut written: Vec<_> = fields.iter().map(text).collect();
        written.sort();
        written
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn claims_of_a_stranger_are_replaced() {
        let claims = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "192.0.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1"),
            ("cf-connecting-ip", "192.0.2.1"),
            ("x_forwarded_for", "192.0.2.1"),
            ("x-forwarded_for", "192.0.2.1"),
            ("x_real_ip", "192.0.2.1"),
        ];
        let expected = pairs(&[
            ("x-forwarded-for", PEER),
            ("x-forwarded-host", "api.example"),
            ("x-forwarded-proto", "http"),
        ]);
        assert_eq!(written(&claims, PEER, false), expected);
    }

    #[test]
    fn a_trusted_proxy_is_appended_and_believed() {
        let claims = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "192.0.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("forwarded", "for=192.0.2.1;proto=https"),
            ("cf-connecting-ip", "192.0.2.1"),
            ("x_forwarded_for", "192.0.2.3"),
        ];
        let expected = pairs(&[
            ("cf-connecting-ip", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1;proto=https, for=198.51.100.9"),
            ("x-forwarded-for", "192.0.2.1, 192.0.2.2, 198.51.100.9"),
            ("x-forwarded-host", "api.example"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(written(&claims, PEER, true), expected);
    }

    #[test]
    fn an_ipv6_peer_is_bracketed_in_forwarded_only() {
        let fields = written(&[("forwarded", "for=x")], "2001:db8::1", true);
        assert!(fields.contains(&("forwarded".into(), "for=x, for=\"[2001:db8::1]\"".into())));
        assert!(fields.contains(&("x-forwarded-for".into(), "2001:db8::1".into())));
    }
}
