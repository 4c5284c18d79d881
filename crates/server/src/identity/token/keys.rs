//! The keys by which tokens are verified, read once.

use std::collections::HashMap;
use std::fmt;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

/// The sizes of an RSA modulus that can be used: 2,048 to 8,192 bits, in bytes.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;
/// What the DER of an RSA key holds beside its modulus, at most, in bytes.
const DER_MORE: usize = 64;

/// The keys that tokens may be signed with.
pub struct TokenKeys(Keys);

enum Keys {
    /// One for every token, whatever `kid` it names.
    One(DecodingKey),
    /// One for each `kid`.
    Named(HashMap<String, DecodingKey>),
}

/// Why a file holds no key that can be used. Says nothing of what is in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is a private key in the file, which no worker needs.
    #[error("it holds a private key; write the public one, openssl pkey -pubout")]
    Private,
    /// There is not one key in the file.
    #[error("it is not one public key in PEM, BEGIN PUBLIC KEY")]
    Pem,
    /// The key cannot verify what is configured.
    #[error("the key cannot verify {0:?}; {1}")]
    Unfit(Algorithm, &'static str),
    /// The file is no key set.
    #[error("it is no JSON Web Key Set: {0}")]
    Set(String),
    /// A key of the set cannot be used though it is meant for this algorithm.
    #[error("keys[{place}]: {reason}")]
    Key {
        /// Its place in the set.
        place: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// No key of the set is for the algorithm.
    #[error("no key in it is for {0:?}")]
    Nothing(Algorithm),
}

impl TokenKeys {
    /// The shared secret of HS256, HS384 or HS512.
    pub fn from_secret(secret: &[u8]) -> Self {
        Self(Keys::One(DecodingKey::from_secret(secret)))
    }

    /// The one public key of a PEM file.
    ///
    /// # Errors
    ///
    /// A file that does not hold one public key, or holds one that is not for the algorithm.
    pub fn from_pem(pem: &[u8], algorithm: Algorithm) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(pem).map_err(|_| KeyError::Pem)?;
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let one = text.matches("-----BEGIN ").count() == 1;
        if !one || !text.contains("PUBLIC KEY-----") {
            return Err(KeyError::Pem);
        }
        let key = match algorithm.family() {
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem),
            AlgorithmFamily::Hmac => return Err(unfit(algorithm)),
        };
        let key = key.map_err(|_| unfit(algorithm))?;
        if is_fit(&key, algorithm) { Ok(Self(Keys::One(key))) } else { Err(unfit(algorithm)) }
    }

    /// The public keys of a JSON Web Key Set (RFC 7517) that are for the algorithm; others in the
    /// set are passed over.
    ///
    /// # Errors
    ///
    /// A file that is no key set, has no key for the algorithm, or one without a name or with the
    /// name of another.
    pub fn from_set(json: &[u8], algorithm: Algorithm) -> Result<Self, KeyError> {
        let set: Set = serde_json::from_slice(json).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            KeyError::Set(format!("line {line}, column {column}"))
        })?;
        let mut named = HashMap::new();
        for (place, key) in set.keys.iter().enumerate() {
            if !is_meant_for(key, algorithm) {
                continue;
            }
            let bad = |reason: &str| KeyError::Key { place, reason: reason.to_owned() };
            let kid = key["kid"].as_str().filter(|kid| !kid.is_empty());
            let kid = kid.ok_or_else(|| bad("no kid, by which a token could name it"))?;
            let key = decoding_key(key, algorithm).ok_or_else(|| bad(says(algorithm)))?;
            if named.insert(kid.to_owned(), key).is_some() {
                return Err(bad("a kid that another key has"));
            }
        }
        if named.is_empty() {
            return Err(KeyError::Nothing(algorithm));
        }
        Ok(Self(Keys::Named(named)))
    }

    /// The key for a token that names `kid`.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&DecodingKey> {
        match &self.0 {
            Keys::One(key) => Some(key),
            Keys::Named(keys) => keys.get(kid?),
        }
    }
}

/// Shows how many there are.
impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = match &self.0 {
            Keys::One(_) => 1,
            Keys::Named(keys) => keys.len(),
        };
        write!(f, "TokenKeys({keys})")
    }
}

/// A key set, of which each key may be of a kind that is not known here.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// Whether a key of a set says that it verifies signatures of this algorithm (RFC 7517, section 4).
fn is_meant_for(key: &Value, algorithm: Algorithm) -> bool {
    let (kind, curve) = kind(algorithm);
    let is = |member: &str, expected: &str| key[member] == expected;
    let may_be = |member: &str, expected: &str| key[member].is_null() || is(member, expected);
    let operations = key["key_ops"].as_array();
    is("kty", kind)
        && curve.is_none_or(|curve| is("crv", curve))
        && may_be("use", "sig")
        && may_be("alg", &format!("{algorithm:?}"))
        && operations.is_none_or(|all| all.iter().any(|operation| operation == "verify"))
}

/// `kty` and `crv` of the keys of an algorithm (RFC 7518, section 6, and RFC 8037).
fn kind(algorithm: Algorithm) -> (&'static str, Option<&'static str>) {
    match algorithm {
        Algorithm::ES256 => ("EC", Some("P-256")),
        Algorithm::ES384 => ("EC", Some("P-384")),
        Algorithm::EdDSA => ("OKP", Some("Ed25519")),
        _ => ("RSA", None),
    }
}

fn decoding_key(key: &Value, algorithm: Algorithm) -> Option<DecodingKey> {
    let part = |member: &str| key[member].as_str();
    let key = match algorithm.family() {
        AlgorithmFamily::Rsa => DecodingKey::from_rsa_components(part("n")?, part("e")?),
        AlgorithmFamily::Ec => DecodingKey::from_ec_components(part("x")?, part("y")?),
        AlgorithmFamily::Ed => DecodingKey::from_ed_components(part("x")?),
        AlgorithmFamily::Hmac => return None,
    };
    key.ok().filter(|key| is_fit(key, algorithm))
}

/// Whether a key is of the size that the algorithm takes. One of another size would verify
/// nothing, and nobody would learn why.
fn is_fit(key: &DecodingKey, algorithm: Algorithm) -> bool {
    match (algorithm, key.kind()) {
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => point.len() == 65,
        (Algorithm::ES384, DecodingKeyKind::SecretOrDer(point)) => point.len() == 97,
        (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(point)) => point.len() == 32,
        (_, DecodingKeyKind::RsaModulusExponent { n, .. }) => RSA_BYTES.contains(&n.len()),
        (_, DecodingKeyKind::SecretOrDer(der)) => {
            let (least, most) = RSA_BYTES.into_inner();
            (least..=most + DER_MORE).contains(&der.len())
        }
    }
}

fn unfit(algorithm: Algorithm) -> KeyError {
    KeyError::Unfit(algorithm, says(algorithm))
}

/// What key an algorithm takes, in words.
fn says(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES256 => "it takes a key on the curve P-256",
        Algorithm::ES384 => "it takes a key on the curve P-384",
        Algorithm::EdDSA => "it takes a key on the curve Ed25519",
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => "it takes a secret",
        _ => "it takes an RSA key of 2,048 to 8,192 bits",
    }
}
