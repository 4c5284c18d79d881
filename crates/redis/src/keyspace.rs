//! Names of keys: readable, and such that no identity can reach outside its own.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use transom_core::{Identity, PolicyName, Window};

/// The longest identity, in encoded bytes, that a key name holds in full.
const IDENTITY_MAX: usize = 128;

/// What follows the tag in the name of what holds for one identity.
pub(crate) const OVERRIDE: &str = "override";
pub(crate) const PENALTY: &str = "penalty";

/// What follows the tag in the name of a log.
pub(crate) fn log(policy: &PolicyName, window: Window) -> [&str; 3] {
    [policy.as_str(), ":", window.as_str()]
}

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
        let mut name = self.tag(identity);
        name.extend(log(policy, window));
        name
    }

    /// What all keys of an identity begin with, the braces included: `PREFIX:{IDENTITY}:`.
    pub(crate) fn tag(&self, identity: &Identity) -> String {
        let identity = encode(identity);
        let mut tag = String::with_capacity(self.prefix.len() + identity.len() + ":{}:".len());
        tag.extend([&*self.prefix, ":{", &*identity, "}:"]);
        tag
    }

    /// Both logs of an identity under a policy, minute first.
    pub(crate) fn windows(&self, identity: &Identity, policy: &PolicyName) -> [String; 2] {
        Window::ALL.map(|window| self.window(identity, policy, window))
    }

    /// Limits of an identity's own: a hash, see `lua/override.lua`.
    pub fn overrides(&self, identity: &Identity) -> String {
        self.tag(identity) + OVERRIDE
    }

    /// Strikes and block of an identity: a hash, see `lua/admit.lua`.
    pub fn penalty(&self, identity: &Identity) -> String {
        self.tag(identity) + PENALTY
    }

    /// A pattern for [`Self::overrides`] of every identity.
    pub(crate) fn every_override(&self) -> String {
        format!("{}:{{*}}:override", glob_literal(&self.prefix))
    }

    /// A pattern for [`Self::penalty`] of every identity.
    pub(crate) fn every_penalty(&self) -> String {
        format!("{}:{{*}}:penalty", glob_literal(&self.prefix))
    }

    /// The identity that a key belongs to; `None` for a key of another kind, and for one whose
    /// identity was cut.
    pub fn identity_of(&self, key: &str) -> Option<Identity> {
        let rest = key.strip_prefix(&*self.prefix)?.strip_prefix(":{")?;
        let (name, _) = rest.split_once('}')?;
        if name.len() > IDENTITY_MAX {
            None
        } else {
            // 128 bits: what is stored was cut when it was made.
            Identity::parse(&decode(name)?, 128).ok()
        }
    }

    /// Keys that are nobody's, for a doctor to try what it needs: `PREFIX:doctor:...`.
    pub(crate) fn of_doctor(&self) -> Self {
        Self { prefix: self.named("doctor").into() }
    }

    /// A key of this name.
    pub(crate) fn named(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    /// A pattern for every key under the prefix.
    pub(crate) fn every_key(&self) -> String {
        format!("{}:*", glob_literal(&self.prefix))
    }

    /// What follows the prefix and its colon in a key.
    pub(crate) fn rest_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&*self.prefix)?.strip_prefix(':')
    }

    /// The mode that an operator has set for the fleet: a string.
    pub fn mode(&self) -> String {
        format!("{}:mode", self.prefix)
    }

    /// What operators have changed: a stream.
    pub fn audit(&self) -> String {
        format!("{}:audit", self.prefix)
    }

    /// What the fleet has decided lately: a hash, see `lua/report.lua`.
    pub fn traffic(&self) -> String {
        format!("{}:{{fleet}}:traffic", self.prefix)
    }

    /// Who was denied most lately: two sorted sets, see `lua/report.lua`.
    pub fn denied(&self) -> [String; 2] {
        ["even", "odd"].map(|span| format!("{}:{{fleet}}:denied:{span}", self.prefix))
    }

    /// The workers that live: a sorted set.
    pub fn roster(&self) -> String {
        format!("{}:workers", self.prefix)
    }

    /// What is known of an API key: a hash with the field `user`, named by the key's digest.
    pub fn api_key(&self, digest_hex: &str) -> String {
        format!("{}:key:{digest_hex}", self.prefix)
    }

    /// A pattern for [`Self::api_key`] of every key.
    pub(crate) fn every_api_key(&self) -> String {
        format!("{}:key:*", glob_literal(&self.prefix))
    }

    /// A counter that changes whenever an API key does.
    pub fn api_keys_revision(&self) -> String {
        format!("{}:keys:revision", self.prefix)
    }
}

fn encode(identity: &Identity) -> Cow<'_, str> {
    let raw = identity.as_str();
    if raw.len() <= IDENTITY_MAX && raw.bytes().all(is_plain) {
        return Cow::Borrowed(raw);
    }
    let mut name = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        if is_plain(byte) {
            name.push(char::from(byte));
        } else {
            push_hex(&mut name, "%", &[byte], true);
        }
    }
    if name.len() > IDENTITY_MAX {
        name.truncate(IDENTITY_MAX);
        push_hex(&mut name, "-", &Sha256::digest(raw.as_bytes())[..16], false);
    }
    name.into()
}

/// Whether a byte of an identity stands in a key name as it is.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'@' | b'+' | b'-')
}

/// Undoes [`encode`] for what was not cut.
fn decode(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits =
                    [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
                u8::try_from(digits[0]? * 16 + digits[1]?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A prefix in a pattern. Its letters (see the configuration) have no meaning there.
fn glob_literal(prefix: &str) -> String {
    let special = |character| matches!(character, '*' | '?' | '[' | ']' | '\\');
    prefix.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
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
    fn the_keys_of_an_identity_begin_with_its_tag() {
        let (keyspace, policy) = (Keyspace::new("p"), PolicyName::default());
        let user = Identity::user("42/7").unwrap();
        let tag = keyspace.tag(&user);
        assert_eq!(tag, "p:{user:42%2F7}:");
        let [minute, second] = keyspace.windows(&user, &policy);
        for key in [minute, second, keyspace.overrides(&user), keyspace.penalty(&user)] {
            assert!(key.starts_with(&tag), "{key}");
        }
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

    #[test]
    fn the_identity_can_be_read_off_a_key() {
        let keyspace = Keyspace::new("transom:1");
        for text in ["user:42", "user:}a{ b\r\nü/%41", "ip:192.0.2.7", "ip:2001:db8::"] {
            let identity: Identity = text.parse().unwrap();
            assert_eq!(keyspace.identity_of(&keyspace.penalty(&identity)), Some(identity));
        }
        let long = Identity::user(&"x".repeat(200)).unwrap();
        for key in [&keyspace.penalty(&long), "transom:1:mode", "other:{user:42}:penalty", "{"] {
            assert_eq!(keyspace.identity_of(key), None, "{key}");
        }
        assert_eq!(keyspace.identity_of(&keyspace.traffic()), None, "no identity is called fleet");
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
            for own in [keyspace.overrides(&identity), keyspace.penalty(&identity)] {
                prop_assert_eq!(hash_tag(&keys[0]), hash_tag(&own));
                prop_assert_eq!(keyspace.identity_of(&own), Some(identity.clone()).filter(|_| {
                    hash_tag(&own).len() <= IDENTITY_MAX
                }));
            }
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
