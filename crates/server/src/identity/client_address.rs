//! The address of the client that stands behind a request.
//!
//! A peer that is not a trusted proxy is the client itself, whatever headers it sends. A trusted
//! proxy appends the address it was called from to one configured header, so that header is read
//! from the right: the first address that is not a trusted proxy's is the client. What stands
//! further left is the client's own claim and is not read.
//!
//! | what is met, from the right                    | the client is                           |
//! |------------------------------------------------|-----------------------------------------|
//! | an address that is not trusted                 | that address                            |
//! | an entry that cannot be parsed                 | the address to its right, else the peer |
//! | the bound, [`MAX_HOPS`] or [`MAX_BYTES`]       | the same                                |
//! | only trusted addresses                         | the leftmost                            |
//! | no header                                      | the peer                                |
//!
//! Each line of the header holds entries of its own, in order; no entry and no quoted string
//! spans two lines. An empty entry cannot be parsed either. RFC 9110, section 5.6.1, lets a
//! recipient skip it, but here it would be a proxy that did not know its caller, and what
//! stands to its left is anyone's claim.
//!
//! This module does not cut IPv6 addresses to their network; the identity does.
//!
//! Sources: RFC 7239 for `Forwarded`; `X-Forwarded-For` has no standard.

use std::iter::Rev;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::{FORWARDED, ValueIter};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::{IpNet, Ipv4Net};

mod forwarded;

/// The most entries that are read, from the right and over all lines of the header.
pub(super) const MAX_HOPS: usize = 32;

/// The most bytes that are read, from the right and over all lines of the header.
///
/// An entry counts if it and the comma to its left lie within these bytes. The end of a line
/// takes one byte, as the comma would.
pub(super) const MAX_BYTES: usize = 2048;

/// Which header a trusted proxy writes, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// A comma separated list of addresses, such as `X-Forwarded-For`.
    AddressList(HeaderName),
    /// `Forwarded`, as in RFC 7239.
    Forwarded,
}

impl From<HeaderName> for ForwardedHeader {
    /// The form follows from the name: every name but `forwarded` holds a list of addresses.
    fn from(name: HeaderName) -> Self {
        if name == FORWARDED { Self::Forwarded } else { Self::AddressList(name) }
    }
}

impl ForwardedHeader {
    /// The entries of the header from right to left, as far as they are read.
    fn entries<'a>(&self, headers: &'a HeaderMap) -> Entries<'a> {
        let (name, last_comma): (_, fn(&[u8]) -> _) = match self {
            Self::AddressList(name) => (name, last_comma),
            Self::Forwarded => (&FORWARDED, forwarded::last_comma),
        };
        Entries {
            lines: headers.get_all(name).iter().rev(),
            line: None,
            hops_left: MAX_HOPS,
            bytes_left: MAX_BYTES,
            last_comma,
        }
    }

    /// The address in one entry, `None` if it cannot be parsed.
    fn address(&self, entry: &[u8]) -> Option<IpAddr> {
        match self {
            Self::AddressList(_) => parse_address(entry.trim_ascii()),
            Self::Forwarded => parse_address(&forwarded::for_parameter(entry)?),
        }
    }
}

/// Finds the address of the client, by the rules at the head of this module.
#[derive(Clone, Debug)]
pub struct ClientAddress {
    /// Sorted, and none within another.
    trusted: Vec<IpNet>,
    header: ForwardedHeader,
}

impl ClientAddress {
    /// Believes `header`, and only if the peer is in one of `trusted_proxies`.
    ///
    /// A network of IPv4-mapped addresses, `::ffff:10.0.0.0/104`, means the IPv4 network. One
    /// wider than the whole mapped range, such as `::/0`, says nothing about IPv4.
    pub fn new(trusted_proxies: Vec<IpNet>, header: HeaderName) -> Self {
        let nets: Vec<_> = trusted_proxies.into_iter().map(canonical_net).collect();
        let mut trusted = IpNet::aggregate(&nets);
        trusted.sort_unstable_by_key(IpNet::network);
        Self { trusted, header: header.into() }
    }

    /// The address of the client that sent `headers` over a connection from `peer`.
    ///
    /// Addresses lose their port, brackets and zone, and IPv4-mapped IPv6 becomes IPv4, in the
    /// peer too. The work is bounded whatever the headers are.
    pub fn of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut entries = self.header.entries(headers);
        while self.trusts(client) {
            match entries.next().and_then(|entry| self.header.address(entry)) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }

    /// Whether a peer, in its canonical form, is a trusted proxy.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let begun = self.trusted.partition_point(|net| net.network() <= address);
        let (begun, _) = self.trusted.split_at(begun);
        begun.last().is_some_and(|net| net.contains(&address))
    }
}

/// Walks the lines of one header, and the entries in each line, from right to left.
///
/// An iterator that ends at its bounds. What lies beyond them is not looked at.
struct Entries<'a> {
    /// The lines that have not been begun.
    lines: Rev<ValueIter<'a, HeaderValue>>,
    /// What is left of the line that has been begun.
    line: Option<&'a [u8]>,
    hops_left: usize,
    bytes_left: usize,
    last_comma: fn(&[u8]) -> Option<usize>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.hops_left = self.hops_left.checked_sub(1)?;
        let line = match self.line.take() {
            Some(line) => line,
            None => self.lines.next()?.as_bytes(),
        };
        let unread = line.len().saturating_sub(self.bytes_left);
        let (_, readable) = line.split_at(unread);
        let entry = match (self.last_comma)(readable) {
            Some(comma) => {
                self.line = line.get(..unread + comma);
                readable.split_at(comma + 1).1
            }
            None if unread == 0 => readable,
            None => {
                self.hops_left = 0;
                return None;
            }
        };
        self.bytes_left = self.bytes_left.saturating_sub(entry.len() + 1);
        Some(entry)
    }
}

fn last_comma(line: &[u8]) -> Option<usize> {
    line.iter().rposition(|&byte| byte == b',')
}

/// Reads an address, IPv4-mapped IPv6 as IPv4, with or without port, brackets and zone.
///
/// Takes `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `fe80::1%eth0`, `[2001:db8::1]` and
/// `[fe80::1%eth0]:80`. Names such as `unknown` and `_hidden` are not addresses.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(text) = text.strip_prefix('[') {
        let (host, port) = text.split_once(']')?;
        let port_is_sound = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return if port_is_sound { parse_ipv6(host) } else { None };
    }
    match text.split_once(':') {
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some((host, port)) if is_port(port) => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some(_) => parse_ipv6(text),
    }
}

/// Reads an IPv6 address with or without a zone.
fn parse_ipv6(text: &str) -> Option<IpAddr> {
    let address = match text.split_once('%') {
        Some((address, zone)) if is_zone(zone) => address,
        Some(_) => return None,
        None => text,
    };
    Some(IpAddr::V6(address.parse::<Ipv6Addr>().ok()?).to_canonical())
}

fn is_zone(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]".contains(&byte))
}

/// Whether `text` is a port: up to five digits, or hidden behind a name such as `_a1`, as RFC
/// 7239, section 6, allows.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && name.bytes().all(known)
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// The IPv4 network that a network of IPv4-mapped addresses stands for; any other as it is.
fn canonical_net(net: IpNet) -> IpNet {
    let IpNet::V6(mapped) = net else { return net };
    let address = mapped.addr().to_ipv4_mapped();
    match (address, mapped.prefix_len().checked_sub(96)) {
        (Some(address), Some(length)) => Ipv4Net::new(address, length).map_or(net, IpNet::V4),
        _ => net,
    }
}

#[cfg(test)]
mod tests;
