//! Tokens of somebody else.

use super::signer::encode;
use super::*;

fn holds(tokens: &Tokens, token: &str) -> bool {
    tokens.user_at(token.as_bytes(), NOW_S).is_some()
}

/// The header, claims and signature of a token.
fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<_> = token.split('.').collect();
    parts.try_into().unwrap()
}

#[test]
fn a_token_without_a_signature_names_nobody() {
    let claims = claims(&json!({}));
    for algorithm in ALGORITHMS {
        let signer = Signer::new(algorithm);
        let tokens = verifier(&signer);
        for alg in ["none", "None", "NONE", "nOnE", "", &format!("{algorithm:?}")] {
            let unsigned = signed(&json!({"alg": alg}), &claims, |_| Vec::new());
            assert!(!holds(&tokens, &unsigned), "{algorithm:?} {alg}");
            assert!(!holds(&tokens, unsigned.trim_end_matches('.')), "{algorithm:?} {alg}");
        }
        for header in [json!({}), json!({"alg": null}), json!({"alg": ["HS256"]}), json!([])] {
            assert!(!holds(&tokens, &signed(&header, &claims, |text| signer.sign(text))));
        }
    }
}

#[test]
fn the_algorithm_is_that_of_the_configuration_and_not_that_of_the_token() {
    for configured in ALGORITHMS {
        let tokens = verifier(&Signer::new(configured));
        for used in ALGORITHMS.into_iter().filter(|used| *used != configured) {
            let signer = Signer::new(used);
            assert!(!holds(&tokens, &signer.token(&claims(&json!({})))), "{configured:?} {used:?}");
            let lying = json!({"alg": format!("{configured:?}")});
            let token = signed(&lying, &claims(&json!({})), |text| signer.sign(text));
            assert!(!holds(&tokens, &token), "{used:?} called {configured:?}");
        }
    }
}

/// Goal: a public key, which everybody has, is no secret.
#[test]
fn a_public_key_taken_for_a_secret_signs_nothing() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let signer = Signer::new(algorithm);
        let tokens = verifier(&signer);
        let pem = signer.pem();
        for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), &[], &[0; 32]] {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
            let forge = |text: &[u8]| ring::hmac::sign(&key, text).as_ref().to_vec();
            for alg in ["HS256", &format!("{algorithm:?}")] {
                let token = signed(&json!({"alg": alg}), &claims(&json!({})), forge);
                assert!(!holds(&tokens, &token), "{algorithm:?} {alg}");
            }
        }
    }
}

#[test]
fn a_changed_token_names_nobody() {
    for algorithm in ALGORITHMS {
        let signer = Signer::new(algorithm);
        let tokens = verifier(&signer);
        let token = signer.token(&claims(&json!({})));
        assert!(holds(&tokens, &token));
        let [header, body, signature] = parts(&token);
        let other = encode(claims(&json!({"sub": "43"})).to_string());
        let of_other = signer.token(&claims(&json!({"sub": "43"})));
        for changed in [
            format!("{header}.{other}.{signature}"),
            format!("{header}.{body}.{}", parts(&of_other)[2]),
            format!("{header}.{body}.{}", encode(vec![0; 64])),
            format!("{header}.{body}.{}", encode(vec![0; 132])),
            format!("{header}.{body}.{}", &signature[..signature.len() - 2]),
            format!("{header}.{body}.{signature}A"),
            format!("{header}.{body}.{signature}="),
            format!("{header}.{body}."),
            format!("{header}.{body}"),
            format!("{header}.{body}.{signature}.{signature}"),
            format!(" {token}"),
            format!("{token} "),
            token.to_uppercase(),
        ] {
            assert!(!holds(&tokens, &changed), "{algorithm:?}: {changed}");
        }
    }
}

#[test]
fn what_is_no_token_names_nobody() {
    let signer = Signer::new(Algorithm::HS256);
    let tokens = verifier(&signer);
    let good = signer.token(&claims(&json!({})));
    let encrypted = format!("{}.a.b.c.d", encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#));
    let deep = format!("{{\"alg\":\"HS256\",\"x\":{}1{}}}", "[".repeat(4_000), "]".repeat(4_000));
    let long_claims = claims(&json!({"more": "x".repeat(100 * 1024)}));
    for text in [
        "",
        ".",
        "..",
        "...",
        "42",
        "null",
        &encrypted,
        &format!("{}.{}.", encode(deep), encode("{}")),
        &signer.token(&long_claims),
        &"x".repeat(100 * 1024),
        &".".repeat(100 * 1024),
        &format!("{good}\n{good}"),
        &format!("{}.{}.{}", encode("\u{feff}{}"), encode("[]"), encode("")),
    ] {
        assert!(!holds(&tokens, text), "{text:.40}");
    }
    assert!(tokens.user_at(&[0xff; 100], NOW_S).is_none());
    assert_eq!(tokens.verified.len(), 0);
}

#[test]
fn a_claim_that_comes_twice_names_nobody() {
    let signer = Signer::new(Algorithm::HS256);
    let once = claims(&json!({})).to_string();
    let twice = once.replacen('{', r#"{"sub":"43","#, 1);
    let message = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(twice));
    let token = format!("{message}.{}", encode(signer.sign(message.as_bytes())));
    assert!(!holds(&verifier(&signer), &token));
}

#[test]
fn a_key_that_a_token_brings_or_points_at_is_not_looked_at() {
    let (issuer, attacker) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let tokens = verifier(&issuer);
    for header in [
        json!({"alg": "ES256", "jwk": attacker.jwk("mine")}),
        json!({"alg": "ES256", "jku": "https://evil.example/keys", "kid": "mine"}),
        json!({"alg": "ES256", "x5u": "https://evil.example/chain", "x5c": ["AAAA"]}),
    ] {
        let token =
            |signer: &Signer| signed(&header, &claims(&json!({})), |text| signer.sign(text));
        assert!(!holds(&tokens, &token(&attacker)), "{header}");
        assert!(holds(&tokens, &token(&issuer)), "{header}");
    }
}

#[test]
fn a_token_that_asks_for_an_extension_names_nobody() {
    let signer = Signer::new(Algorithm::ES256);
    for crit in [json!(["b64"]), json!(["exp"]), json!([])] {
        let header = json!({"alg": "ES256", "b64": true, "crit": crit});
        let token = signed(&header, &claims(&json!({})), |text| signer.sign(text));
        assert!(!holds(&verifier(&signer), &token), "{header}");
    }
}

#[test]
fn a_kid_is_looked_up_among_the_keys_of_the_file_and_nowhere_else() {
    let [one, two, other] = [(); 3].map(|()| Signer::new(Algorithm::EdDSA));
    let set = json!({"keys": [one.jwk("one"), two.jwk("two")]}).to_string();
    let keys = TokenKeys::from_set(set.as_bytes(), Algorithm::EdDSA).unwrap();
    let tokens = Tokens::new(&rules(Algorithm::EdDSA), keys);
    let token = |kid: &Value, signer: &Signer| {
        let header = json!({"alg": "EdDSA", "kid": kid});
        signed(&header, &claims(&json!({})), |text| signer.sign(text))
    };
    assert!(holds(&tokens, &token(&json!("one"), &one)));
    assert!(holds(&tokens, &token(&json!("two"), &two)));
    assert!(!holds(&tokens, &token(&json!("one"), &two)));
    assert!(!holds(&tokens, &token(&json!("two"), &other)));
    let long = "x".repeat(8_000);
    for kid in
        ["", "three", "ONE", "../../../etc/passwd", "/dev/null", "one\0", "' OR 1=1 --", &long]
    {
        assert!(!holds(&tokens, &token(&json!(kid), &one)), "{kid:.20}");
    }
    for kid in [json!(null), json!(0), json!(["one"]), json!({"one": 1})] {
        assert!(!holds(&tokens, &token(&kid, &one)), "{kid}");
    }
}
