//! Hosts as they are compared: without case, port, trailing dot and brackets.

use std::cmp::Ordering;
use std::fmt;
use std::net::Ipv6Addr;

/// The host of a request. Borrowed, and total: a host that no policy can have matches none.
#[derive(Debug)]
pub(super) enum Host<'a> {
    /// A name or an IPv4 address, in any case.
    Name(&'a str),
    /// An IPv6 address, which has several spellings.
    Ipv6(Ipv6Addr),
}

/// The host of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostKey {
    /// In lower case.
    Name(String),
    Ipv6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// Reads a `Host` field or an authority; user information is passed over.
    pub(super) fn parse(host: &'a str) -> Self {
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        if let Some(bracketed) = host.strip_prefix('[') {
            let inner = bracketed.split_once(']').map_or(bracketed, |(inner, _)| inner);
            return inner.parse().map_or(Self::Name(inner), Self::Ipv6);
        }
        if let Ok(address) = host.parse() {
            return Self::Ipv6(address);
        }
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        Self::Name(name.trim_end_matches('.'))
    }
}

impl HostKey {
    /// Reads the host of a policy, or says why no request can have it.
    pub(super) fn parse(host: &str) -> Result<Self, &'static str> {
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(address) = address.unwrap_or(host).parse() {
            return Ok(Self::Ipv6(address));
        }
        let name = host.trim_end_matches('.');
        if name.is_empty() {
            Err("it is empty")
        } else if !name.is_ascii() {
            Err("it is not ASCII; write the form that begins with xn--")
        } else if name.contains('*') {
            Err("a host is matched as a whole, without wildcards")
        } else if name.contains(':') {
            Err("it is no IPv6 address, and a port takes no part in matching")
        } else if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            Ok(Self::Name(name.to_ascii_lowercase()))
        } else {
            Err("a name is made of letters, digits, -, _ and .")
        }
    }

    /// The order of this host and that of a request, which agrees with [`Ord`].
    pub(super) fn compare(&self, host: &Host<'_>) -> Ordering {
        match (self, host) {
            (Self::Name(own), Host::Name(asked)) => {
                own.bytes().cmp(asked.bytes().map(|byte| byte.to_ascii_lowercase()))
            }
            (Self::Ipv6(own), Host::Ipv6(asked)) => own.cmp(asked),
            (Self::Name(_), Host::Ipv6(_)) => Ordering::Less,
            (Self::Ipv6(_), Host::Name(_)) => Ordering::Greater,
        }
    }
}

/// As an authority writes it: an IPv6 address in brackets.
impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ipv6(address) => write!(f, "[{address}]"),
        }
    }
}
