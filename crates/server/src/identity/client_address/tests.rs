use super::*;

mod properties;

const PROXY: &str = "10.0.0.1";
const XFF: &str = "x-forwarded-for";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn client_address(header: &'static str) -> ClientAddress {
    let trusted = ["10.0.0.0/8", "::ffff:172.16.0.0/108", "fd00::/8"];
    let trusted = trusted.iter().map(|net| net.parse().unwrap()).collect();
    ClientAddress::new(trusted, HeaderName::from_static(header))
}

fn resolve<L: AsRef<[u8]>>(header: &'static str, peer: IpAddr, lines: &[L]) -> IpAddr {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(header, HeaderValue::from_bytes(line.as_ref()).unwrap());
    }
    client_address(header).of(peer, &headers)
}

fn check(header: &'static str, peer: &str, lines: &[&str], client: &str) {
    let found = resolve(header, ip(peer), lines);
    assert_eq!(found, ip(client), "{header} from {peer}: {lines:?}");
}

#[test]
fn a_peer_that_is_not_trusted_is_the_client() {
    for header in [XFF, "forwarded"] {
        check(header, "192.0.2.1", &["198.51.100.1", "for=198.51.100.1"], "192.0.2.1");
        check(header, "::ffff:192.0.2.1", &["198.51.100.1"], "192.0.2.1");
        check(header, "2001:db8::1", &[], "2001:db8::1");
    }
}

#[test]
fn a_trusted_peer_without_the_header_is_the_client() {
    check(XFF, PROXY, &[], PROXY);
    let mut headers = HeaderMap::new();
    headers.insert(FORWARDED, HeaderValue::from_static("for=192.0.2.1"));
    assert_eq!(client_address(XFF).of(ip(PROXY), &headers), ip(PROXY));
}

#[test]
fn trust_does_not_depend_on_how_an_ipv4_address_is_spelled() {
    for peer in [PROXY, "::ffff:10.0.0.1", "172.31.0.1", "::ffff:172.31.0.1", "fd00::1"] {
        check(XFF, peer, &["192.0.2.1, ::ffff:10.9.9.9, 172.16.0.9"], "192.0.2.1");
    }
    check(XFF, "172.32.0.1", &["192.0.2.1"], "172.32.0.1");
    let everything_ipv6 = ClientAddress::new(vec!["::/0".parse().unwrap()], FORWARDED);
    assert!(everything_ipv6.trusts(ip("2001:db8::1")));
    assert!(!everything_ipv6.trusts(ip("192.0.2.1")));
}

#[test]
fn the_rightmost_address_that_is_not_trusted_is_the_client() {
    for (lines, client) in [
        (&["192.0.2.1"][..], "192.0.2.1"),
        (&["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (&["6.6.6.6,192.0.2.1\t , 10.1.1.1,10.2.2.2"], "192.0.2.1"),
        (&["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        (&["6.6.6.6, 192.0.2.1", "10.1.1.1", "10.2.2.2, 10.3.3.3"], "192.0.2.1"),
        (&["10.4.4.4, 10.1.1.1", "10.2.2.2"], "10.4.4.4"),
    ] {
        check(XFF, PROXY, lines, client);
        let elements: Vec<_> = lines.iter().map(|line| as_elements(line)).collect();
        let elements: Vec<_> = elements.iter().map(String::as_str).collect();
        check("forwarded", PROXY, &elements, client);
    }
}

fn as_elements(line: &str) -> String {
    let elements = line.split(',').map(|entry| format!("for={};proto=https", entry.trim()));
    elements.collect::<Vec<_>>().join(", ")
}

#[test]
fn ports_brackets_and_zones_are_stripped() {
    for (entry, client) in [
        ("192.0.2.1:80", "192.0.2.1"),
        ("192.0.2.1:_a.b-c", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("::ffff:192.0.2.1%eth0", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%eth0:1", "fe80::1"),
        ("[fe80::1%25eth0]", "fe80::1"),
        ("[fe80::1%eth0]:1", "fe80::1"),
    ] {
        check(XFF, PROXY, &[entry], client);
        check("forwarded", PROXY, &[&format!("for=\"{entry}\"")], client);
    }
}

#[test]
fn an_entry_that_is_not_an_address_ends_the_walk() {
    for entry in [
        "",
        " ",
        "unknown",
        "_hidden",
        "-",
        "unix:",
        "é",
        "192.0.2",
        "192.0.2.256",
        "192.0.02.1",
        "192.0.2.1 192.0.2.2",
        "192.0.2.1:",
        "192.0.2.1:x",
        "192.0.2.1:+1",
        "192.0.2.1:123456",
        "192.0.2.1:_",
        "192.0.2.1:_é",
        "192.0.2.1%eth0",
        "192.0.2.1/32",
        "[192.0.2.1]",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]80",
        "[2001:db8::1]:",
        "[[2001:db8::1]]",
        "fe80::1%",
        "fe80::1%a b",
        "fe80::1%a]",
        "fe80::1%[a",
        "[]",
        "[]:80",
        ":",
        "::1::",
        "for=192.0.2.1",
        "\"192.0.2.1\"",
    ] {
        check(XFF, PROXY, &[&format!("6.6.6.6, {entry}")], PROXY);
        check(XFF, PROXY, &["6.6.6.6", entry, "10.2.2.2,10.3.3.3"], "10.2.2.2");
        check(XFF, PROXY, &[&format!("{entry}, 192.0.2.1")], "192.0.2.1");
        let element = format!("for=\"{}\"", entry.replace('"', "\\\""));
        check("forwarded", PROXY, &["for=6.6.6.6", &element, "for=10.2.2.2"], "10.2.2.2");
    }
}

#[test]
fn an_empty_list_element_is_a_hop_that_did_not_know_its_caller() {
    check(XFF, PROXY, &["192.0.2.1, "], PROXY);
    check(XFF, PROXY, &["192.0.2.1,,10.2.2.2"], "10.2.2.2");
    check(XFF, PROXY, &["192.0.2.1", ""], PROXY);
    check("forwarded", PROXY, &["for=192.0.2.1, "], PROXY);
}

#[test]
fn the_for_of_an_element_is_found_however_it_is_written() {
    for line in [
        "for=192.0.2.1;proto=http;by=203.0.113.43",
        "proto=http ; FOR=192.0.2.1;",
        ";;For=\"192.0.2.1:4711\"",
        "for=\"1\\92.0.2\\.1\"",
        "for=192.0.2.1:80;host=example.com:8080",
        "host=\"a, for=6.6.6.6; \\\" for=6.6.6.6, \\\\\";for=192.0.2.1",
        "for=6.6.6.6, for=192.0.2.1;x=\"é\t\", for=10.2.2.2",
        "for=\"6.6.6.6, for=192.0.2.1",
        "for=\"6.6.6.6\\, for=\"192.0.2.1\"",
        "x=\"\\\\\\\", for=192.0.2.1;x=\"\\\\\"",
    ] {
        check("forwarded", PROXY, &[line], "192.0.2.1");
    }
    let line = "for=192.0.2.43, For=\"[2001:db8:cafe::17]:4711\"";
    check("forwarded", PROXY, &[line], "2001:db8:cafe::17");
}

#[test]
fn a_malformed_element_ends_the_walk() {
    for element in [
        "",
        ";",
        "for",
        "for=",
        "=192.0.2.1",
        "for =192.0.2.1",
        "for= 192.0.2.1",
        "192.0.2.1",
        "proto=https",
        "xfor=192.0.2.1",
        "for=192.0.2.1;for=192.0.2.1",
        "for=192.0.2.1 by=x",
        "for=192.0.2.1;by",
        "for=192.0.2.1;by=",
        "for=192.0.2.1;by=é",
        "for=192.0.2.1;by=x\"",
        "for=192.0.2.1;by=x\"y\"",
        "for=192.0.2.1;b@=x",
        "for=\"192.0.2.1",
        "for=192.0.2.1\"",
        "for=192.0.2.1;x=\"\\\"",
        "for=\"192.0.2.1\\\"",
        "for=\"192.0.2.1\"x",
        "for=\"192.0.2.1\"\"\"",
        "for=' 192.0.2.1'",
        "for=\" 192.0.2.1\"",
        "for=192.0.2.1;x=\"a\"b\"c\"",
        "for=192.0.2.1\\",
        "\"for\"=192.0.2.1",
    ] {
        check("forwarded", PROXY, &["for=6.6.6.6", element], PROXY);
        check("forwarded", PROXY, &[&format!("{element}, for=10.2.2.2")], "10.2.2.2");
    }
}

#[test]
fn the_walk_ends_after_the_most_hops() {
    for (trusted, client) in
        [(MAX_HOPS - 1, "192.0.2.1"), (MAX_HOPS, "10.9.9.9"), (999, "10.9.9.9")]
    {
        let mut entries = vec!["192.0.2.1"];
        entries.resize(1 + trusted, "10.9.9.9");
        check(XFF, PROXY, &entries, client);
        check(XFF, PROXY, &[&entries.join(",")], client);
        check("forwarded", PROXY, &[&as_elements(&entries.join(","))], client);
    }
}

#[test]
fn the_walk_ends_after_the_most_bytes() {
    // On the right an entry that fills the bytes but for those that `room` leaves to the client.
    let client = ",192.0.2.1";
    for (room, found) in [(client.len(), "192.0.2.1"), (client.len() - 1, "fd00::1")] {
        let zone = "z".repeat(MAX_BYTES - ",fd00::1%".len() - room);
        let last = format!("fd00::1%{zone}");
        check(XFF, PROXY, &[&format!("6.6.6.6{client},{last}")], found);
        check(XFF, PROXY, &[&format!("6.6.6.6{client}"), &last], found);
    }
    let longest = format!("for=192.0.2.1;x={}", "y".repeat(MAX_BYTES - "for=192.0.2.1;x=".len()));
    check("forwarded", PROXY, &[&longest], "192.0.2.1");
    check("forwarded", PROXY, &["", &longest], "192.0.2.1");
    check("forwarded", PROXY, &[&format!(",{longest}")], PROXY);
    check("forwarded", PROXY, &[&format!("{longest}y")], PROXY);
}
