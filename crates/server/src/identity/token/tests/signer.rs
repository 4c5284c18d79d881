//! Whoever makes tokens, the true issuer and others.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use serde_json::{Value, json};

use super::super::*;

/// What stands before the bare key in a public key's DER, by its curve.
const P256: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\
                      \x3d\x03\x01\x07\x03\x42\x00";
const P384: &[u8] = b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\
                      \x22\x03\x62\x00";
const ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// A secret, long enough for every algorithm.
const SECRET: [u8; 64] = [7; 64];

/// An issuer with a key of its own; those with a secret share it.
pub(super) struct Signer {
    pub(super) algorithm: Algorithm,
    key: Key,
}

enum Key {
    Secret(hmac::Key),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let ecdsa = |kind| {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
            Key::Ecdsa(EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap())
        };
        let key = match algorithm {
            Algorithm::HS256 => Key::Secret(hmac::Key::new(hmac::HMAC_SHA256, &SECRET)),
            Algorithm::HS384 => Key::Secret(hmac::Key::new(hmac::HMAC_SHA384, &SECRET)),
            Algorithm::HS512 => Key::Secret(hmac::Key::new(hmac::HMAC_SHA512, &SECRET)),
            Algorithm::ES256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            _ => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Key::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
            }
        };
        Self { algorithm, key }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
            Key::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Key::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with these claims.
    pub(super) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": format!("{:?}", self.algorithm), "typ": "JWT"});
        signed(&header, claims, |message| self.sign(message))
    }

    fn public(&self) -> &[u8] {
        match &self.key {
            Key::Secret(_) => panic!("a secret has no public part"),
            Key::Ecdsa(pair) => pair.public_key().as_ref(),
            Key::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    /// The public key in PEM.
    pub(super) fn pem(&self) -> String {
        let before = match self.algorithm {
            Algorithm::ES256 => P256,
            Algorithm::ES384 => P384,
            _ => ED25519,
        };
        let der = STANDARD.encode([before, self.public()].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
    }

    /// The public key as a member of a key set.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let public = self.public();
        let (curve, x, y) = match self.algorithm {
            Algorithm::ES256 => ("P-256", &public[1..33], Some(&public[33..])),
            Algorithm::ES384 => ("P-384", &public[1..49], Some(&public[49..])),
            _ => ("Ed25519", public, None),
        };
        let kind = if y.is_some() { "EC" } else { "OKP" };
        let mut key = json!({"kty": kind, "crv": curve, "kid": kid, "x": encode(x)});
        if let Some(y) = y {
            key["y"] = encode(y).into();
        }
        key
    }

    /// What verifies the tokens of this issuer.
    pub(super) fn keys(&self) -> TokenKeys {
        match &self.key {
            Key::Secret(_) => TokenKeys::from_secret(&SECRET),
            _ => TokenKeys::from_pem(self.pem().as_bytes(), self.algorithm).unwrap(),
        }
    }
}

/// A token with any header and any signature.
pub(super) fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
