//! Names of keys: readable, and such that no identity can reach outside its own.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use transom_core::{Identity, PolicyName, Window};

/// The longest identity, in encoded bytes, that a key name holds in full.
const IDENTITY_MAX: usize = 128;

/// Builds key names under one prefix.
///
/// `transom:1:{user:42}:default:minute`: the prefix ends in the version of the format, and the
/// braces make all keys of an identity share a slot in Redis Cluster. Bytes of an identity other
/// than `A-Za-z0-9._:@+-` are percent-encoded, so that none can contain a brace; an identity over
/// 128 bytes is cut there and its SHA-256 (the first 128 bits, in hex) appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    prefix: Box<str>,
}

impl Keyspace {
    /// Key names that begin with `prefix` and a colon.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The log of one window: `PREFIX:{IDENTITY}:POLICY:minute` or `...:second`.
    pub fn window(&self, identity: &Identity, policy: &PolicyName, window: Window) -> String {
        format!("{}:{{{}}}:{policy}:{}", self.prefix, encode(identity), window.as_str())
    }

    /// Both logs of an identity under a policy, minute first.
    pub(crate) fn windows(&self, identity: &Identity, policy: &PolicyName) -> [String; 2] {
        let minute = self.window(identity, policy, Window::Minute);
        let stem = minute.len() - Window::Minute.as_str().len();
        let second = format!("{}{}", &minute[..stem], Window::Second.as_str());
        [minute, second]
    }

    /// The workers that live: a sorted set.
    pub fn roster(&self) -> String {
        format!("{}:workers", self.prefix)
    }

    /// What is known of an API key: a hash with the field `user`, named by the key's digest.
    pub fn api_key(&self, digest_hex: &str) -> String {
        format!("{}:key:{digest_hex}", self.prefix)
    }

    /// A counter that changes whenever an API key does.
    pub fn api_keys_revision(&self) -> String {
        format!("{}:keys:revision", self.prefix)
    }
}

fn encode(identity: &Identity) -> String {
    let raw = identity.as_str();
    let mut name = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => name.push(char::from(byte)),
            b'.' | b'_' | b':' | b'@' | b'+' | b'-' => name.push(char::from(byte)),
            _ => push_hex(&mut name, "%", &[byte], true),
        }
    }
    if name.len() > IDENTITY_MAX {
        name.truncate(IDENTITY_MAX);
        push_hex(&mut name, "-", &Sha256::digest(raw.as_bytes())[..16], false);
    }
    name
}

fn push_hex(text: &mut String, before: &str, bytes: &[u8], upper: bool) {
    text.push_str(before);
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = if upper { write!(text, "{byte:02X}") } else { write!(text, "{byte:02x}") };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minute_key(identity: &Identity) -> String {
        let policy = PolicyName::default();
        Keyspace::new("transom:1").window(identity, &policy, Window::Minute)
    }

    #[test]
    fn a_key_can_be_read_by_a_person() {
        let user = Identity::user("42").unwrap();
        assert_eq!(minute_key(&user), "transom:1:{user:42}:default:minute");
        let address = "ip:2001:db8::1".parse().unwrap();
        assert_eq!(minute_key(&address), "transom:1:{ip:2001:db8::}:default:minute");
    }

    #[test]
    fn both_windows_are_named_alike() {
        let (keyspace, policy) = (Keyspace::new("p"), PolicyName::default());
        let user = Identity::user("42").unwrap();
        assert_eq!(
            keyspace.windows(&user, &policy),
            Window::ALL.map(|window| keyspace.window(&user, &policy, window))
        );
    }

    #[test]
    fn braces_blanks_and_other_letters_are_encoded() {
        let odd = Identity::user("}a{ b\r\nü/").unwrap();
        assert_eq!(minute_key(&odd), "transom:1:{user:%7Da%7B%20b%0D%0A%C3%BC%2F}:default:minute");
    }

    #[test]
    fn a_long_identity_is_cut_and_told_apart_by_its_digest() {
        let long = |last: char| Identity::user(&("x".repeat(200) + &last.to_string())).unwrap();
        let (a, b) = (minute_key(&long('a')), minute_key(&long('b')));
        assert_ne!(a, b);
        assert_eq!(a.len(), b.len());
        assert!(a.starts_with(&format!("transom:1:{{user:{}-", "x".repeat(123))), "{a}");
        let exact = Identity::user(&"x".repeat(123)).unwrap();
        assert!(minute_key(&exact).ends_with(&format!("{}}}:default:minute", "x".repeat(123))));
    }

    /// The slot of Redis Cluster hashes what is between the first brace and the next closing one.
    fn hash_tag(key: &str) -> &str {
        let open = key.find('{').unwrap();
        let tag = &key[open + 1..];
        &tag[..tag.find('}').unwrap()]
    }

    proptest! {
        #[test]
        fn all_keys_of_any_identity_share_one_hash_tag(id in ".{1,200}") {
            prop_assume!(id.len() <= 1_024);
            let identity = Identity::user(&id).unwrap();
            let (keyspace, policy) = (Keyspace::new("transom:1"), PolicyName::default());
            let keys = keyspace.windows(&identity, &policy);
            prop_assert_eq!(hash_tag(&keys[0]), hash_tag(&keys[1]));
            prop_assert!(!hash_tag(&keys[0]).is_empty());
            prop_assert!(keys[0].bytes().all(|byte| byte.is_ascii_graphic()));
        }

        #[test]
        fn different_identities_never_share_a_key(a in ".{1,160}", b in ".{1,160}") {
            prop_assume!(a != b);
            prop_assert_ne!(
                minute_key(&Identity::user(&a).unwrap()),
                minute_key(&Identity::user(&b).unwrap())
            );
        }
    }
}
