//! What holds for every header. The headers are soups of the pieces that matter to a parser.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const FORMS: [&str; 2] = [XFF, "forwarded"];

const PIECES: [&str; 34] = [
    ",",
    ", ",
    ",",
    "\"",
    "\"",
    "\\",
    "\\\"",
    ";",
    "=",
    " ",
    "\t",
    "for=",
    "For=\"",
    "for",
    "by=",
    "x=\"",
    "[",
    "]",
    ":",
    ":80",
    ":_x",
    "%",
    "%eth0",
    "unknown",
    "_hidden",
    "6.6.6.6",
    "10.1.1.1",
    "172.16.0.1",
    "::ffff:6.6.6.6",
    "[2001:db8::6]:80",
    "fd00::1",
    "fe80::1%1",
    "for=10.2.2.2",
    "for=\"[fd00::1]:80\", ",
];

/// Several lines of any bytes that a header may hold, short enough to stay within the bounds.
fn any_lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = any::<u8>().prop_map(|byte| match HeaderValue::from_bytes(&[byte]) {
        Ok(_) => byte,
        Err(_) => b' ',
    });
    let piece = prop_oneof![
        8 => select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(byte, 1..4),
    ];
    vec(vec(piece, 0..14).prop_map(|pieces| pieces.concat()), 0..4)
}

/// An address that no proxy has, in canonical form.
fn any_client() -> impl Strategy<Value = IpAddr> {
    let proxies = client_address(XFF);
    any::<IpAddr>().prop_map(move |address| match address.to_canonical() {
        proxy if proxies.trusts(proxy) => ip("192.0.2.1"),
        client => client,
    })
}

/// A network, of few bits so that some overlap, and not of mapped addresses.
fn any_net() -> impl Strategy<Value = IpNet> {
    (0..4_u8, 0..4_u8, 0..=32_u8, any::<bool>()).prop_map(|(high, low, length, is_v4)| {
        let v4 = Ipv4Addr::new(high << 6, 0, 0, low);
        let address = if is_v4 { v4.into() } else { v4.to_ipv6_compatible().into() };
        let length = if is_v4 { length } else { length + 96 };
        IpNet::new(address, length).unwrap()
    })
}

/// What a proxy may write for `client`.
fn any_entry(header: &str, client: IpAddr) -> impl Strategy<Value = String> + use<> {
    let mut nodes = vec![SocketAddr::new(client, 4711).to_string(), client.to_string()];
    match client {
        IpAddr::V4(v4) => nodes.push(v4.to_ipv6_mapped().to_string()),
        IpAddr::V6(v6) => nodes.extend([format!("[{v6}]"), format!("{v6}%eth0")]),
    }
    if header != XFF {
        nodes.extend(nodes.clone().iter().map(|node| format!("\"{node}\"")));
        let sound = nodes.iter().filter(|node| node.starts_with('"') || !node.contains('%'));
        let elements = sound.flat_map(|node| {
            [
                format!("for={node}"),
                format!("proto=https; For={node};by=_x"),
                format!("for={node};host=\"a,\\\"b\\\\;for=6.6.6.6, for=7.7.7.7\\\\\""),
                format!("host=\"\\\", \" ; for={node}"),
            ]
        });
        nodes = elements.collect();
    }
    select(nodes)
}

proptest! {
    #[test]
    fn no_header_changes_the_address_of_a_peer_that_is_not_trusted(
        header in select(&FORMS[..]), peer in any_client(), lines in any_lines(),
    ) {
        prop_assert_eq!(resolve(header, peer, &lines), peer);
    }

    #[test]
    fn a_client_cannot_choose_its_address_by_what_it_sends_to_a_proxy(
        (header, client, entry) in (select(&FORMS[..]), any_client()).prop_flat_map(
            |(header, client)| (Just(header), Just(client), any_entry(header, client))
        ),
        mut lines in any_lines(),
        append in select(vec![", ", ",", "\n"]),
        more_proxies in 0..3_usize,
    ) {
        let proxy = if header == XFF { "10.7.7.7" } else { "for=10.7.7.7" };
        let mut entries = vec![entry];
        entries.resize(1 + more_proxies, proxy.to_owned());
        for entry in entries {
            match lines.last_mut() {
                Some(line) if append != "\n" => line.extend([append.as_bytes(), entry.as_bytes()].concat()),
                _ => lines.push(entry.into_bytes()),
            }
        }
        prop_assert_eq!(resolve(header, ip(PROXY), &lines), client, "{:?}", lines);
    }

    #[test]
    fn an_address_is_trusted_if_any_of_the_networks_holds_it(
        nets in vec(any_net(), 0..6), other in any::<IpAddr>(),
    ) {
        let proxies = ClientAddress::new(nets.clone(), FORWARDED);
        let edges = nets.iter().flat_map(|net| [net.addr(), net.network(), net.broadcast()]);
        for address in edges.chain([other]) {
            let is_trusted = nets.iter().any(|net| net.contains(&address));
            prop_assert_eq!(proxies.trusts(address), is_trusted, "{}", address);
        }
    }

    #[test]
    fn the_walk_agrees_with_a_naive_one(header in select(&FORMS[..]), lines in any_lines()) {
        let found = resolve(header, ip(PROXY), &lines);
        prop_assert_eq!(found, naive(header, &lines), "{:?}", lines);
    }
}

/// Splits everything, reads everything, then walks.
fn naive(header: &str, lines: &[Vec<u8>]) -> IpAddr {
    // Each byte as a character, so that text that is not UTF-8 can be split too.
    let lines = lines.iter().map(|line| line.iter().copied().map(char::from).collect());
    let nodes: Vec<Option<String>> = match header {
        XFF => lines.flat_map(|line: String| split(&line, |entry| Some(trim(entry)))).collect(),
        _ => lines.flat_map(|line: String| split(&line, naive_for)).collect(),
    };
    let addresses: Vec<_> = nodes.iter().map(|node| naive_address(node.as_deref()?)).collect();
    let first_unknown = addresses.iter().rposition(Option::is_none).map_or(0, |at| at + 1);
    let known: Vec<_> = addresses[first_unknown..].iter().flatten().copied().collect();
    let proxies = client_address(XFF);
    let client = known.iter().rfind(|address| !proxies.trusts(**address));
    *client.or(known.first()).unwrap_or(&ip(PROXY))
}

/// Cuts a line at commas. Each entry is the shortest, from the right, that can be read; a rest
/// that cannot is one entry.
fn split(line: &str, read: fn(&str) -> Option<String>) -> Vec<Option<String>> {
    for (comma, _) in line.rmatch_indices(',') {
        if let Some(node) = read(&line[comma + 1..]) {
            let mut nodes = split(&line[..comma], read);
            nodes.push(Some(node));
            return nodes;
        }
    }
    vec![read(line)]
}

fn trim(text: &str) -> String {
    text.trim_matches([' ', '\t']).to_owned()
}

/// Reads one element of `Forwarded`: first every quoted string, then the pairs around them.
fn naive_for(element: &str) -> Option<String> {
    const QUOTED: char = '\u{1}';
    let (mut pairs, mut strings, mut chars) = (String::new(), Vec::new(), element.chars());
    while let Some(char) = chars.next() {
        if char != '"' {
            pairs.push(char);
            continue;
        }
        let mut string = String::new();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => string.push(chars.next()?),
                plain => string.push(plain),
            }
        }
        pairs.push(QUOTED);
        strings.push(string);
    }
    let mut strings = strings.into_iter();
    let mut nodes = Vec::new();
    for pair in pairs.split(';').map(trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let is_bare = !value.is_empty() && value.replace([':', '[', ']'], "").chars().all(is_token);
        let value = match value {
            "\u{1}" => strings.next()?,
            _ => is_bare.then(|| value.to_owned())?,
        };
        if name.is_empty() || !name.chars().all(is_token) {
            return None;
        }
        nodes.extend((name.to_lowercase() == "for").then_some(value));
    }
    (nodes.len() == 1).then(|| nodes.remove(0))
}

fn is_token(char: char) -> bool {
    char.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(char)
}

fn naive_address(node: &str) -> Option<IpAddr> {
    let v4 = |text: &str| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    let v6 = |text: &str| {
        let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
        let is_zone = zone.chars().all(|char| char.is_ascii_graphic() && !"[]".contains(char));
        let address = address.parse::<Ipv6Addr>().ok()?;
        (is_zone && !zone.is_empty()).then(|| IpAddr::V6(address).to_canonical())
    };
    let in_brackets = |text: &str| v6(text.strip_prefix('[')?.strip_suffix(']')?);
    let without_port = node.rsplit_once(':').filter(|(_, port)| match port.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name
                    .replace(['.', '_', '-'], "a")
                    .chars()
                    .all(|char| char.is_ascii_alphanumeric())
        }
        None => port.len() < 6 && !port.starts_with('+') && port.parse::<u32>().is_ok(),
    });
    let with_port = || without_port.and_then(|(host, _)| v4(host).or_else(|| in_brackets(host)));
    v4(node).or_else(|| v6(node)).or_else(|| in_brackets(node)).or_else(with_port)
}
