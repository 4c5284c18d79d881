//! The address of the client: whatever a client sends, the rightmost hop that is not trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use transom_server::identity::ClientAddress;

use crate::runner::run;

/// As documented: how many entries and bytes are read.
const HOPS_MAX: usize = 32;
const BYTES_MAX: usize = 2_048;

/// Trusted where an input names no network.
const TRUSTED: [&str; 3] = ["10.0.0.0/8", "fd00::/8", "::ffff:172.16.0.0/108"];

#[test]
fn client_address() {
    run("client_address", check);
}

/// A line `HEADER PEER NETWORK...`, then the lines of that header.
pub(crate) fn check(input: &[u8]) {
    let mut lines = input.split(|&byte| byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap()).into_owned();
    let mut words = first.split(' ');
    let name = words.next().and_then(|word| word.parse::<HeaderName>().ok());
    let name = name.unwrap_or(HeaderName::from_static("x-forwarded-for"));
    let peer = words.next().and_then(|word| word.parse::<IpAddr>().ok());
    let peer = peer.unwrap_or(IpAddr::from([10, 0, 0, 1]));
    let mut trusted: Vec<IpNet> = words.filter_map(|word| word.parse().ok()).collect();
    if trusted.is_empty() {
        trusted = TRUSTED.map(|net| net.parse().unwrap()).to_vec();
    }
    let lines: Vec<&[u8]> = lines.filter(|line| HeaderValue::from_bytes(line).is_ok()).collect();
    let mut headers = HeaderMap::new();
    for line in &lines {
        headers.append(name.clone(), HeaderValue::from_bytes(line).unwrap());
    }
    let found = ClientAddress::new(trusted.clone(), name.clone()).of(peer, &headers);
    let slow = Slow { trusted, is_forwarded: name == "forwarded" };
    assert_eq!(found, slow.of(peer, &lines));
    let untrusted = ClientAddress::new(Vec::new(), name).of(peer, &headers);
    assert_eq!(untrusted, canonical(peer), "a stranger is who it is");
}

struct Slow {
    trusted: Vec<IpNet>,
    is_forwarded: bool,
}

impl Slow {
    fn of(&self, peer: IpAddr, lines: &[&[u8]]) -> IpAddr {
        let mut client = canonical(peer);
        for entry in self.entries(lines) {
            if !self.trusts(client) {
                break;
            }
            match entry {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }

    /// The addresses from right to left, up to the bounds; `None` for what cannot be parsed.
    fn entries(&self, lines: &[&[u8]]) -> Vec<Option<IpAddr>> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for line in lines.iter().rev() {
            let mut rest = Some(*line);
            while let Some(left) = rest {
                let (entry, before) = self.last(left);
                // With the comma to its left, which the beginning of a line has not.
                let length = entry.len() + usize::from(before.is_some());
                if entries.len() == HOPS_MAX || bytes + length > BYTES_MAX {
                    return entries;
                }
                entries.push(self.address(entry));
                bytes += entry.len() + 1;
                rest = before;
            }
        }
        entries
    }

    /// The last entry of a line, and what is to the left of its comma.
    fn last<'a>(&self, line: &'a [u8]) -> (&'a [u8], Option<&'a [u8]>) {
        let commas = (0..line.len()).rev().filter(|&at| line[at] == b',');
        for at in commas {
            // In a string between quotes a comma is not the end of an element, and what begins
            // inside of one cannot be an element.
            let entry = &line[at + 1..];
            if !self.is_forwarded || element(entry).is_some() {
                return (entry, Some(&line[..at]));
            }
        }
        (line, None)
    }

    fn address(&self, entry: &[u8]) -> Option<IpAddr> {
        if !self.is_forwarded {
            return address(entry.trim_ascii());
        }
        let pairs = element(entry)?;
        let mut named = pairs.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"for"));
        match (named.next(), named.next()) {
            (Some((_, value)), None) => address(value),
            _ => None,
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|net| match (net.network(), address) {
            (IpAddr::V4(net_address), IpAddr::V4(address)) => {
                same(&net_address.octets(), &address.octets(), net.prefix_len())
            }
            (IpAddr::V6(net_address), IpAddr::V6(address)) => {
                same(&net_address.octets(), &address.octets(), net.prefix_len())
            }
            // A network of mapped addresses means the IPv4 network.
            (IpAddr::V6(net_address), IpAddr::V4(address)) => {
                let mapped = net.prefix_len() >= 96 && net_address.to_ipv4_mapped().is_some();
                let octets = address.to_ipv6_mapped().octets();
                mapped && same(&net_address.octets(), &octets, net.prefix_len())
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        })
    }
}

/// Whether the first bits are the same, bit by bit.
fn same(one: &[u8], other: &[u8], bits: u8) -> bool {
    let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    (0..usize::from(bits)).all(|at| bit(one, at) == bit(other, at))
}

fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// The pairs of an element of `Forwarded`, or nothing where it is malformed: a walk with one
/// state for each place in `name=value;name="value"`.
fn element(text: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    #[derive(Clone, Copy, PartialEq)]
    enum At {
        Pair,
        Name,
        Value,
        Token,
        Quoted,
        Escaped,
        End,
    }
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut at = At::Pair;
    let is_blank = |byte: u8| byte.is_ascii_whitespace();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    for &byte in text.trim_ascii() {
        let is_value = is_token(byte) || b":[]".contains(&byte);
        at = match at {
            At::Pair if is_blank(byte) || byte == b';' => At::Pair,
            At::Pair if is_token(byte) => {
                pairs.push((vec![byte], Vec::new()));
                At::Name
            }
            At::Name if is_token(byte) => {
                pairs.last_mut()?.0.push(byte);
                At::Name
            }
            At::Name if byte == b'=' => At::Value,
            At::Value if byte == b'"' => At::Quoted,
            At::Value | At::Token if is_value => {
                pairs.last_mut()?.1.push(byte);
                At::Token
            }
            At::Quoted if byte == b'"' => At::End,
            At::Quoted if byte == b'\\' => At::Escaped,
            At::Quoted | At::Escaped => {
                pairs.last_mut()?.1.push(byte);
                At::Quoted
            }
            At::Token | At::End if is_blank(byte) => At::End,
            At::Token | At::End if byte == b';' => At::Pair,
            _ => return None,
        };
    }
    matches!(at, At::Pair | At::Token | At::End).then_some(pairs)
}

/// Every way to cut a text into an address and what may stand around it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let cuts = || (0..=text.len()).filter_map(|at| text.split_at_checked(at));
    let v4 = cuts().find_map(|(address, port)| {
        let port_is_sound = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        address.parse::<Ipv4Addr>().ok().filter(|_| port_is_sound).map(IpAddr::V4)
    });
    let bracketed = || {
        let (inner, port) = text.strip_prefix('[')?.split_once(']')?;
        let port_is_sound = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        ipv6(inner).filter(|_| port_is_sound)
    };
    v4.or_else(|| ipv6(text)).or_else(bracketed)
}

fn ipv6(text: &str) -> Option<IpAddr> {
    let cuts = (0..=text.len()).filter_map(|at| text.split_at_checked(at));
    cuts.filter(|(_, zone)| zone.is_empty() || zone.strip_prefix('%').is_some_and(is_zone))
        .find_map(|(address, _)| address.parse::<Ipv6Addr>().ok())
        .map(|address| canonical(IpAddr::V6(address)))
}

fn is_zone(zone: &str) -> bool {
    !zone.is_empty() && zone.chars().all(|c| ('!'..='~').contains(&c) && c != '[' && c != ']')
}

fn is_port(port: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match port.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.chars().all(is_name),
        None => matches!(port.len(), 1..=5) && port.chars().all(|c| c.is_ascii_digit()),
    }
}
