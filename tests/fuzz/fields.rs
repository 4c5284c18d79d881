//! What the gateway sends on of the fields of a request: nothing of this hop, and no claim of a
//! stranger.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use transom_server::gateway::fields_for_upstream;

use crate::runner::run;

/// Fields that end here, named by `Connection` or not.
const OF_THIS_HOP: [&str; 10] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Fields that `Connection` cannot take away, with all that begin with `x-forwarded-`.
const FOR_ALL: [&str; 10] = [
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "traceparent",
    "tracestate",
    "via",
    "x-real-ip",
];

/// Fields that name a client, with all that begin with `x-forwarded-`.
const CLAIMS: [&str; 7] = [
    "cf-connecting-ip",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
];

#[test]
fn fields() {
    run("fields", check);
}

/// A line `PEER`, with `trusted` before it or not, then lines `NAME: VALUE`.
pub(crate) fn check(input: &[u8]) {
    let mut lines = input.split(|&byte| byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap()).into_owned();
    let (trusted, peer) = match first.strip_prefix("trusted ") {
        Some(peer) => (true, peer),
        None => (false, first.as_str()),
    };
    let peer = peer.parse().unwrap_or(IpAddr::from([192, 0, 2, 1]));
    let received: Vec<_> = lines.filter_map(field).collect();
    let mut sent = HeaderMap::new();
    for (name, value) in &received {
        sent.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    let host = HeaderValue::from_static("api.example");
    fields_for_upstream(&mut sent, peer, trusted, Some(&host));
    let mut found: Vec<Field> =
        sent.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    let mut expected = sent_slowly(&received, peer, trusted);
    // The order of lines of one name counts, that of names does not.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    expected.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(found, expected, "{received:?}");
}

/// A name in lower case, and a value.
type Field = (String, Vec<u8>);

fn field(line: &[u8]) -> Option<Field> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name.to_string(), value.as_bytes().to_vec()))
}

/// The members of a list, in lower case; none from a line that is not visible ASCII.
fn members(fields: &[Field], name: &str) -> Vec<String> {
    let lines = fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value);
    let visible = |byte: &u8| (b' '..=b'~').contains(byte) || *byte == b'\t';
    let lines = lines.filter(|value| value.iter().all(visible));
    let lists = lines.map(|value| String::from_utf8(value.clone()).unwrap().to_ascii_lowercase());
    lists
        .flat_map(|list| list.split(',').map(|m| m.trim().to_owned()).collect::<Vec<_>>())
        .collect()
}

fn sent_slowly(received: &[Field], peer: IpAddr, trusted: bool) -> Vec<Field> {
    let named = members(received, "connection");
    let trailers = members(received, "te").contains(&"trailers".to_owned());
    let mut sent = Vec::new();
    for (name, value) in received {
        // As many a server behind a gateway reads it.
        let (read, misspelled) = (name.replace('_', "-"), name.contains('_'));
        let is_for_all = name.starts_with("x-forwarded-") || FOR_ALL.contains(&name.as_str());
        let is_claim = read.starts_with("x-forwarded-") || CLAIMS.contains(&read.as_str());
        let ends_here = OF_THIS_HOP.contains(&read.as_str())
            || (misspelled && read == "content-length")
            || (named.contains(name) && !is_for_all);
        if !ends_here && (!is_claim || (trusted && !misspelled)) {
            sent.push((name.clone(), value.clone()));
        }
    }
    if trailers {
        sent.push(("te".to_owned(), b"trailers".to_vec()));
        sent.push(("connection".to_owned(), b"te".to_vec()));
    }
    append(&mut sent, "x-forwarded-for", &peer.to_string());
    let node = match peer {
        IpAddr::V4(address) => format!("for={address}"),
        IpAddr::V6(address) => format!("for=\"[{address}]\""),
    };
    if sent.iter().any(|(name, _)| name == "forwarded") {
        append(&mut sent, "forwarded", &node);
    }
    for (name, value) in [("x-forwarded-proto", "http"), ("x-forwarded-host", "api.example")] {
        if !sent.iter().any(|(own, _)| own == name) {
            sent.push((name.to_owned(), value.as_bytes().to_vec()));
        }
    }
    sent
}

/// Makes one line of all lines of a name, with another member at its end.
fn append(fields: &mut Vec<Field>, name: &str, member: &str) {
    let own = fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value.clone());
    let lines: Vec<Vec<u8>> = own.chain([member.as_bytes().to_vec()]).collect();
    fields.retain(|(other, _)| other != name);
    fields.push((name.to_owned(), lines.join(&b", "[..])));
}
