//! Files of keys, and the vectors of the standards.

use super::signer::encode;
use super::*;

/// The RSA key of RFC 7515, appendix A.2.
const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPM\
                 EzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LO\
                 L-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZl\
                 xvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PA\
                 cDTW9gb54h4FRWyuXpoQ";
/// Its token, signed with RS256.
const RS256: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6L\
                     y9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9\
                     g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcA\
                     cQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0Gar\
                     ZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9\
                     QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
/// The key of RFC 7515, appendix A.3, and its token, signed with ES256.
const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6L\
                     y9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4Gawxae\
                     pmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn rsa(kid: &str) -> Value {
    json!({"kty": "RSA", "kid": kid, "n": N, "e": "AQAB"})
}

fn set(keys: &Value, algorithm: Algorithm) -> Result<TokenKeys, String> {
    let json = json!({"keys": keys}).to_string();
    TokenKeys::from_set(json.as_bytes(), algorithm).map_err(|error| error.to_string())
}

#[test]
fn the_signatures_of_the_standard_are_verified() {
    signature::install();
    let ec = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": X, "y": Y});
    for (key, algorithm, token) in
        [(rsa("a"), Algorithm::RS256, RS256), (ec, Algorithm::ES256, ES256)]
    {
        let keys = set(&json!([key]), algorithm).unwrap();
        let key = keys.find(Some("a")).unwrap();
        let (message, sound) = token.rsplit_once('.').unwrap();
        let verify = |signature: &str, message: &str| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap()
        };
        assert!(verify(sound, message), "{algorithm:?}");
        assert!(!verify(sound, &message[1..]), "{algorithm:?}");
        assert!(!verify(&encode(vec![0; 256]), message), "{algorithm:?}");
    }
}

#[test]
fn a_set_may_hold_keys_of_other_kinds() {
    let [ours, other] = [Algorithm::ES256, Algorithm::ES384].map(Signer::new);
    let mut to_encrypt = ours.jwk("a");
    to_encrypt["use"] = "enc".into();
    let mut to_sign = ours.jwk("b");
    to_sign["key_ops"] = json!(["sign"]);
    let mut of_other = ours.jwk("c");
    of_other["alg"] = "ECDH-ES".into();
    let unknown = json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"});
    let keys = json!([other.jwk("d"), rsa("e"), to_encrypt, to_sign, of_other, unknown, 1, null]);
    assert_eq!(set(&keys, Algorithm::ES256).unwrap_err(), "no key in it is for ES256");
    let mut keys = keys.as_array().unwrap().clone();
    keys.push(ours.jwk("ours"));
    let found = set(&json!(keys), Algorithm::ES256).unwrap();
    assert_eq!(format!("{found:?}"), "TokenKeys(1)");
    assert!(found.find(Some("ours")).is_some() && found.find(Some("a")).is_none());
    assert_eq!(format!("{:?}", set(&json!(keys), Algorithm::PS512).unwrap()), "TokenKeys(1)");
}

#[test]
fn a_set_that_cannot_be_used_is_refused_with_the_place() {
    let signer = Signer::new(Algorithm::EdDSA);
    let changed = |member: &str, value: Value| {
        let mut key = signer.jwk("a");
        key[member] = value;
        json!([signer.jwk("b"), key])
    };
    let curve = "keys[1]: it takes a key on the curve Ed25519";
    let no_kid = "keys[1]: no kid, by which a token could name it";
    for (keys, says) in [
        (changed("kid", json!(null)), no_kid),
        (changed("kid", json!("")), no_kid),
        (changed("kid", json!("b")), "keys[1]: a kid that another key has"),
        (changed("x", json!("AAAA")), curve),
        (changed("x", json!("&&&&")), curve),
        (changed("x", json!(null)), curve),
        (json!([]), "no key in it is for EdDSA"),
    ] {
        assert_eq!(set(&keys, Algorithm::EdDSA).unwrap_err(), says, "{keys}");
    }
    let mut short = rsa("a");
    short["n"] = encode([0xff; 128]).into();
    let says = "keys[0]: it takes an RSA key of 2,048 to 8,192 bits";
    assert_eq!(set(&json!([short]), Algorithm::RS256).unwrap_err(), says);
    for (json, says) in [
        ("", "it is no JSON Web Key Set: line 1, column 0"),
        ("{}", "it is no JSON Web Key Set: line 1, column 2"),
        ("{\"keys\":1}", "it is no JSON Web Key Set: line 1, column 9"),
        (&signer.pem(), "it is no JSON Web Key Set: line 1, column 2"),
    ] {
        let error = TokenKeys::from_set(json.as_bytes(), Algorithm::EdDSA).unwrap_err();
        assert_eq!(error.to_string(), says, "{json}");
    }
}

#[test]
fn a_pem_file_holds_one_public_key_for_the_algorithm() {
    let [p256, ed] = [Algorithm::ES256, Algorithm::EdDSA].map(|algorithm| {
        let signer = Signer::new(algorithm);
        signer.pem()
    });
    let says = |pem: &str, algorithm| {
        TokenKeys::from_pem(pem.as_bytes(), algorithm).err().map(|error| error.to_string())
    };
    assert_eq!(says(&p256, Algorithm::ES256), None);
    assert_eq!(says(&format!("# ours\n{ed}\n"), Algorithm::EdDSA), None);
    let unfit =
        |algorithm: &str, what| format!("the key cannot verify {algorithm}; it takes {what}");
    for (pem, algorithm, expected) in [
        (&p256, Algorithm::EdDSA, unfit("EdDSA", "a key on the curve Ed25519")),
        (&p256, Algorithm::ES384, unfit("ES384", "a key on the curve P-384")),
        (&ed, Algorithm::RS256, unfit("RS256", "an RSA key of 2,048 to 8,192 bits")),
        (&ed, Algorithm::HS256, unfit("HS256", "a secret")),
    ] {
        assert_eq!(says(pem, algorithm), Some(expected), "{algorithm:?}");
    }
    let private = p256.replace("PUBLIC", "PRIVATE");
    let no_pem = "it is not one public key in PEM, BEGIN PUBLIC KEY";
    for (pem, expected) in [
        (private.as_str(), "it holds a private key; write the public one, openssl pkey -pubout"),
        (&format!("{p256}{p256}"), no_pem),
        (&p256.replace("PUBLIC KEY", "CERTIFICATE"), no_pem),
        ("", no_pem),
        ("ssh-ed25519 AAAA", no_pem),
    ] {
        assert_eq!(says(pem, Algorithm::ES256).as_deref(), Some(expected), "{pem:.30}");
    }
    assert!(
        says("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----", Algorithm::ES256).is_some()
    );
    assert_eq!(TokenKeys::from_pem(&[0xff], Algorithm::ES256).unwrap_err(), KeyError::Pem);
}
