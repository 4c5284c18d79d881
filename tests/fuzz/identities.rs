//! Names of keys: every identity in its own slot and in nobody else's keys.

use std::net::{IpAddr, Ipv6Addr};

use sha2::{Digest as _, Sha256};
use transom_core::{Identity, PolicyName, Window};
use transom_redis::Keyspace;

use crate::runner::run;

const PREFIX: &str = "transom:1";

#[test]
fn identities() {
    assert_eq!(
        crc16(b"123456789"),
        0x31C3,
        "the check value of the CRC in the cluster's specification"
    );
    run("identities", check);
}

/// Two lines: two identities, or else the ids of two users.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.splitn(2, '\n');
    let identities = [lines.next(), lines.next()].map(|line| identity(line.unwrap_or_default()));
    for identity in identities.iter().flatten() {
        check_keys(identity);
    }
    if let [Some(one), Some(other)] = &identities {
        assert_eq!(one == other, keys(one) == keys(other), "{one} and {other}");
        let shared = keys(one).into_iter().any(|key| keys(other).contains(&key));
        assert_eq!(shared, one == other, "{one} and {other}");
    }
    let (bytes, _) = input.as_chunks::<16>();
    for address in bytes {
        check_network(Ipv6Addr::from(*address), usize::from(address[15]));
    }
}

fn identity(line: &str) -> Option<Identity> {
    Identity::parse(line, 64).or_else(|_| Identity::user(line)).ok()
}

fn keys(identity: &Identity) -> [String; 4] {
    let (keyspace, policy) = (Keyspace::new(PREFIX), PolicyName::default());
    let [minute, second] = Window::ALL.map(|window| keyspace.window(identity, &policy, window));
    [minute, second, keyspace.overrides(identity), keyspace.penalty(identity)]
}

fn check_keys(identity: &Identity) {
    let name = encode_slowly(identity.as_str());
    let keys = keys(identity);
    let expected = ["default:minute", "default:second", "override", "penalty"]
        .map(|rest| format!("{PREFIX}:{{{name}}}:{rest}"));
    assert_eq!(keys, expected);
    let uncut = name.len() <= 128;
    assert!(uncut || name.len() == 128 + 1 + 32, "{name}");
    for key in &keys {
        assert_eq!((key.matches('{').count(), key.matches('}').count()), (1, 1), "{key}");
        assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "{key}");
        assert_eq!(slot(key.as_bytes()), slot(keys[0].as_bytes()), "{key}");
        let read = Keyspace::new(PREFIX).identity_of(key);
        assert_eq!(read, uncut.then(|| identity.clone()), "{key}");
    }
}

fn encode_slowly(identity: &str) -> String {
    const PLAIN: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@+-";
    let escape = |byte: u8| match PLAIN.as_bytes().contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    let name: String = identity.bytes().map(escape).collect();
    if name.len() <= 128 {
        return name;
    }
    let digest = format!("{:x}", Sha256::digest(identity));
    format!("{}-{}", &name[..128], &digest[..32])
}

/// The slot of a key, by the text of the cluster's specification.
fn slot(key: &[u8]) -> u16 {
    let open = key.iter().position(|&byte| byte == b'{');
    let tag = open.and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|&byte| byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tag.unwrap_or(key)) % 16_384
}

/// CRC16 of XMODEM, bit by bit.
fn crc16(bytes: &[u8]) -> u16 {
    let mut crc: u16 = 0;
    for byte in bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc
}

/// Another bit of an address makes another caller if and only if it lies in the network's part.
fn check_network(address: Ipv6Addr, bit: usize) {
    if address.to_ipv4_mapped().is_some() {
        return;
    }
    for (prefix, length) in [(48u8, 48), (56, 56), (64, 64), (128, 128)] {
        let bit = bit % 128;
        let mut octets = address.octets();
        octets[bit / 8] ^= 0x80 >> (bit % 8);
        let neighbour = Ipv6Addr::from(octets);
        if neighbour.to_ipv4_mapped().is_some() {
            return;
        }
        let [one, other] = [address, neighbour].map(|a| Identity::ip(IpAddr::V6(a), prefix));
        assert_eq!(one == other, bit >= length, "{address} and {neighbour}, /{prefix}");
    }
}
