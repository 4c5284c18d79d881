//! Networks and authorities.

use std::net::IpAddr;

use http::uri::Authority;
use ipnet::{IpNet, Ipv4Net};

/// A network, or one address as a network of its own. An IPv4 network in the form of IPv6,
/// `::ffff:10.0.0.0/104`, is the IPv4 network.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let net = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(net), _) => net.trunc(),
        (_, Ok(address)) => IpNet::from(address),
        _ => {
            return Err(format!("{text:?} is no network; write 10.0.0.0/8 or 192.0.2.1"));
        }
    };
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => {
            let mapped = v6.addr().to_ipv4_mapped();
            let v4 = mapped.and_then(|v4| Ipv4Net::new(v4, v6.prefix_len() - 96).ok());
            Ok(v4.map_or(net, IpNet::V4))
        }
        _ => Ok(net),
    }
}

/// Whether an authority is a host and at most a port, apart from user information.
pub(super) fn is_host_and_port(authority: &Authority) -> bool {
    let text = authority.as_str();
    let after_user = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
    let host = authority.host();
    match after_user.strip_prefix(host) {
        _ if host.is_empty() => false,
        Some("") => true,
        Some(_) => authority.port_u16().is_some_and(|port| port != 0),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_a_network_and_a_mapped_network_is_ipv4() {
        let net = |text| network(text).unwrap().to_string();
        assert_eq!(net("192.0.2.1"), "192.0.2.1/32");
        assert_eq!(net("10.1.2.3/8"), "10.0.0.0/8");
        assert_eq!(net("2001:db8::1"), "2001:db8::1/128");
        assert_eq!(net("::ffff:10.0.0.0/104"), "10.0.0.0/8");
        assert_eq!(net("::ffff:192.0.2.1"), "192.0.2.1/32");
        for text in ["", "proxy.example", "10.0.0.0/33", "10.0.0/8", "192.0.2.1:80"] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
