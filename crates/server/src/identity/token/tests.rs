//! Tokens that hold, and every way in which one does not.

mod forged;
mod keys;
mod signer;

use serde_json::{Value, json};

use super::*;
use signer::{Signer, signed};

const NOW_S: u64 = 1_800_000_000;
const LEEWAY_S: u64 = 30;

const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

fn rules(algorithm: Algorithm) -> TokenRules {
    TokenRules {
        algorithm,
        issuer: "https://issuer.example".to_owned(),
        audience: "transom".to_owned(),
        leeway: Duration::from_secs(LEEWAY_S),
    }
}

/// Verifies what `signer` signs.
fn verifier(signer: &Signer) -> Tokens {
    Tokens::new(&rules(signer.algorithm), signer.keys())
}

/// Claims that hold, with these in place of their own; null takes one away.
fn claims(changed: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://issuer.example", "aud": "transom", "sub": "42", "exp": NOW_S + 60,
    });
    for (name, value) in changed.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// Who is named at [`NOW_S`] by a token with these claims changed.
fn named(changed: &Value) -> Option<String> {
    let signer = Signer::new(Algorithm::HS256);
    let token = signer.token(&claims(changed));
    verifier(&signer).user_at(token.as_bytes(), NOW_S).map(|user| user.to_string())
}

#[test]
fn a_token_of_every_algorithm_names_its_subject() {
    for algorithm in ALGORITHMS {
        let signer = Signer::new(algorithm);
        let token = signer.token(&claims(&json!({})));
        let user = verifier(&signer).user_at(token.as_bytes(), NOW_S);
        assert_eq!(user.unwrap().as_str(), "user:42", "{algorithm:?}");
    }
}

#[test]
fn any_text_that_is_a_user_id_may_be_the_subject() {
    for sub in ["0", "auth0|5f7c", "CN=Ada Lovelace,O=x", "{a}:{b}", "\u{e4}", &"x".repeat(1_024)] {
        assert_eq!(named(&json!({"sub": sub})), Some(format!("user:{sub}")), "{sub:.30}");
    }
}

#[test]
fn a_subject_that_is_none_names_nobody() {
    for sub in ["", "a\nb", "\u{0}", "42\r\nx-user: 1", "\u{7f}", &"x".repeat(1_025)] {
        assert_eq!(named(&json!({"sub": sub})), None, "{sub:.30?}");
    }
    for sub in [json!(null), json!(42), json!(["42"]), json!({"id": "42"}), json!(true)] {
        assert_eq!(named(&json!({"sub": sub})), None, "{sub}");
    }
}

#[test]
fn issuer_and_audience_must_be_there_and_be_those_of_the_configuration() {
    for (changed, holds) in [
        (json!({"aud": ["other", "transom"]}), true),
        (json!({"aud": ["other"]}), false),
        (json!({"aud": []}), false),
        (json!({"aud": "transom2"}), false),
        (json!({"aud": "Transom"}), false),
        (json!({"aud": 1}), false),
        (json!({"aud": null}), false),
        (json!({"iss": "https://issuer.example/"}), false),
        (json!({"iss": "https://evil.example"}), false),
        (json!({"iss": ""}), false),
        (json!({"iss": 1}), false),
        (json!({"iss": null}), false),
    ] {
        assert_eq!(named(&changed).is_some(), holds, "{changed}");
    }
}

#[test]
fn a_token_holds_from_its_beginning_to_its_end_give_or_take_the_leeway() {
    for (changed, holds) in [
        (json!({"exp": NOW_S - LEEWAY_S + 1}), true),
        (json!({"exp": NOW_S - LEEWAY_S}), false),
        (json!({"exp": 1_800_000_000.5}), true),
        (json!({"exp": 0}), false),
        (json!({"exp": u64::MAX}), true),
        (json!({"exp": -1}), false),
        (json!({"exp": 1e300}), false),
        (json!({"exp": (NOW_S + 60).to_string()}), false),
        (json!({"exp": true}), false),
        (json!({"exp": null}), false),
        (json!({"nbf": NOW_S + LEEWAY_S}), true),
        (json!({"nbf": NOW_S + LEEWAY_S + 1}), false),
        (json!({"nbf": u64::MAX}), false),
        (json!({"nbf": -1}), false),
        (json!({"nbf": "soon"}), false),
        (json!({"nbf": null}), true),
    ] {
        assert_eq!(named(&changed).is_some(), holds, "{changed}");
    }
}

#[test]
fn a_token_that_was_verified_ends_when_it_expires() {
    let signer = Signer::new(Algorithm::ES256);
    let tokens = verifier(&signer);
    let token = signer.token(&claims(&json!({"nbf": NOW_S})));
    let at = |now_s| tokens.user_at(token.as_bytes(), now_s).is_some();
    assert!(at(NOW_S));
    assert!(at(NOW_S + 89));
    assert!(!at(NOW_S + 90));
    assert!(at(NOW_S), "a clock that is put right");
    assert!(!at(NOW_S - 31));
    assert_eq!(tokens.verified.len(), 1);
}

#[test]
fn a_token_is_verified_once_and_a_wrong_one_is_not_remembered() {
    let signer = Signer::new(Algorithm::HS256);
    let tokens = verifier(&signer);
    let (good, wrong) = (signer.token(&claims(&json!({}))), "a.b.c");
    for _ in 0..3 {
        assert!(tokens.user_at(good.as_bytes(), NOW_S).is_some());
        assert!(tokens.user_at(wrong.as_bytes(), NOW_S).is_none());
        assert_eq!(tokens.verified.len(), 1);
    }
    // What is remembered is not verified again, whatever it is.
    let known = tokens.verified.get(&Digest::of(good.as_bytes())).unwrap();
    tokens.verified.insert(Digest::of(wrong.as_bytes()), known);
    assert!(tokens.user_at(wrong.as_bytes(), NOW_S).is_some());
}

#[test]
fn nothing_of_a_token_is_in_debug_output() {
    let signer = Signer::new(Algorithm::HS256);
    let tokens = verifier(&signer);
    tokens.user_at(signer.token(&claims(&json!({}))).as_bytes(), NOW_S);
    assert_eq!(format!("{tokens:?}"), "Tokens { remembered: 1, .. }");
}
