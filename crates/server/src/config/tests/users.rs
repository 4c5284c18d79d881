//! How users are named: the modes and what each takes.

use std::time::Duration;

use serde_json::json;

use super::super::IdentityMode;
use super::{check, load, load_environment};
use crate::identity::Algorithm;

/// Settings of `[identity]`, and what is said about them.
fn refused(cases: &[(&str, &str)]) {
    let cases: Vec<_> =
        cases.iter().map(|(text, says)| (format!("[identity]\n{text}"), *says)).collect();
    check(&cases.iter().map(|(text, says)| (text.as_str(), *says)).collect::<Vec<_>>());
}

#[test]
fn a_header_names_users_only_from_a_trusted_proxy() {
    let proxies = "mode = 'header'\ntrusted_proxies = ['10.0.0.0/8']\n";
    let of = |header: &str| format!("{proxies}header = '{header}'");
    let own = |header: &str| {
        format!("identity.header: {header} has a meaning of its own and names no user")
    };
    refused(&[
        (
            "mode = 'header'",
            "identity.mode and identity.trusted_proxies: a header names users only where it comes \
             from a trusted proxy; name one",
        ),
        (&of("x y"), r#"identity.header: "x y" is no name of a header"#),
        (
            &of("X-Forwarded-For"),
            "identity.header and identity.client_ip_header: x-forwarded-for cannot hold both the \
             user and the address",
        ),
        (&of("Authorization"), &own("authorization")),
        (&of("Connection"), &own("connection")),
        (&of("Host"), &own("host")),
        (&of("X-Request-Id"), &own("x-request-id")),
        (&of("Traceparent"), &own("traceparent")),
    ]);
    let config = load(&format!("[identity]\n{}", of("X-Forwarded-User"))).unwrap();
    assert_eq!(config.identity.header, "x-forwarded-user");
}

#[test]
fn tokens_take_an_algorithm_its_key_an_issuer_and_an_audience() {
    let secret = "s".repeat(32);
    let with = |more: &str| format!("mode = 'jwt'\n{more}");
    let rs = |more: &str| with(&format!("jwt_algorithm = 'RS256'\n{more}"));
    let hs = |more: &str| with(&format!("jwt_algorithm = 'HS256'\n{more}"));
    let algorithms = "is not one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, \
                      ES256, ES384, EdDSA";
    refused(&[
        (
            "mode = 'jwt'",
            "identity.mode and identity.jwt_algorithm: jwt takes the algorithm of its tokens, such \
             as RS256",
        ),
        (
            &with("jwt_algorithm = 'none'"),
            &format!("identity.jwt_algorithm: \"none\" {algorithms}"),
        ),
        (
            &with("jwt_algorithm = 'ES512'"),
            &format!("identity.jwt_algorithm: \"ES512\" {algorithms}"),
        ),
        (
            &rs(""),
            "identity.jwt_algorithm and identity.jwt_key_file: RS256 takes a public key, from this \
             file or identity.jwt_keys_file",
        ),
        (
            &rs(&format!("jwt_secret = '{secret}'\njwt_key_file = 'k.pem'")),
            "identity.jwt_algorithm and identity.jwt_secret: RS256 takes a public key, and no secret",
        ),
        (
            &rs("jwt_key_file = 'k.pem'\njwt_keys_file = 'k.json'"),
            "identity.jwt_key_file and identity.jwt_keys_file: a key comes from one of them, not \
             from both",
        ),
        (&hs(""), "identity.jwt_algorithm and identity.jwt_secret: HS256 takes a secret"),
        (
            &hs(&format!("jwt_secret = '{}'", &secret[1..])),
            "identity.jwt_algorithm and identity.jwt_secret: HS256 takes a secret of at least 32 \
             bytes",
        ),
        (
            &with(&format!("jwt_algorithm = 'HS512'\njwt_secret = '{secret}'")),
            "identity.jwt_algorithm and identity.jwt_secret: HS512 takes a secret of at least 64 \
             bytes",
        ),
        (
            &hs(&format!("jwt_secret = '{secret}'\njwt_key_file = 'k.pem'")),
            "identity.jwt_algorithm and identity.jwt_key_file: HS256 takes identity.jwt_secret, and \
             no public key",
        ),
        (
            &hs("jwt_keys_file = 'k.json'"),
            "identity.jwt_algorithm and identity.jwt_keys_file: HS256 takes identity.jwt_secret, \
             and no public key",
        ),
        (
            &rs("jwt_key_file = 'k.pem'\njwt_audience = 'transom'"),
            "identity.mode and identity.jwt_issuer: jwt takes the issuer of its tokens, their claim \
             iss",
        ),
        (
            &rs("jwt_key_file = 'k.pem'\njwt_issuer = 'i'\njwt_audience = ' '"),
            "identity.mode and identity.jwt_audience: jwt takes the audience of its tokens, their \
             claim aud",
        ),
        (
            &rs("jwt_leeway = 30"),
            "identity.jwt_leeway: a duration carries a unit; write 30ms or 30s, not 30",
        ),
        (&rs("jwt_leeway = '1h'"), "identity.jwt_leeway: must be 0s to 10m, not 1h"),
    ]);
}

#[test]
fn tokens_can_be_set_up_by_variables_alone() {
    let config = load_environment(&[
        ("TRANSOM__IDENTITY__MODE", "jwt"),
        ("TRANSOM__IDENTITY__JWT_ALGORITHM", "HS256"),
        ("TRANSOM__IDENTITY__JWT_SECRET", "hunter2-hunter2-hunter2-hunter2-"),
        ("TRANSOM__IDENTITY__JWT_ISSUER", "https://issuer.example"),
        ("TRANSOM__IDENTITY__JWT_AUDIENCE", "transom"),
        ("TRANSOM__IDENTITY__JWT_LEEWAY", "1m"),
    ])
    .unwrap();
    let identity = &config.identity;
    assert_eq!(
        (identity.mode, identity.jwt_algorithm),
        (IdentityMode::Jwt, Some(Algorithm::HS256))
    );
    assert_eq!(identity.jwt_leeway, Duration::from_secs(60));
    let shown = config.describe();
    let users = "jwt HS256 from https://issuer.example for transom, else the address, IPv6 by /64";
    assert!(
        shown.contains(&format!("identity           {users}; no proxy is trusted\n")),
        "{shown}"
    );
    assert_eq!(
        config.to_json()["identity"]["jwt"],
        json!({
            "algorithm": "HS256", "key_file": null, "keys_file": null, "leeway": "1m",
            "issuer": "https://issuer.example", "audience": "transom",
        })
    );
    for shown in [format!("{config:?}"), shown, config.to_json().to_string()] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_secret_is_not_in_what_is_said_of_it() {
    for secret in ["hunter2", "hunter2 with blanks, and more than thirty-two bytes"] {
        let config =
            format!("[identity]\nmode = 'jwt'\njwt_algorithm = 'HS256'\njwt_secret = '{secret}'");
        let error = load(&config).unwrap_err();
        assert!(error.contains("identity.jwt_secret") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_another_mode_would_read_is_warned_of() {
    let key = format!("[[api_key]]\nuser = 'a'\nsha256 = '{}'", "0123456789abcdef".repeat(4));
    let header = "[identity]\nmode = 'header'\ntrusted_proxies = ['0.0.0.0/0']\n\
                  jwt_issuer = 'i'\njwt_keys_file = 'k.json'\n";
    let config = load(&format!("{header}{key}")).unwrap();
    assert_eq!(
        config.warnings(),
        [
            "identity.trusted_proxies[0] is 0.0.0.0/0: any client in it can name any user and any \
             address",
            "api_key: API keys have no effect, identity.mode is header",
            "identity.jwt_keys_file has no effect, identity.mode is header",
            "identity.jwt_issuer has no effect, identity.mode is header",
        ]
    );
    let shown = config.describe();
    assert!(
        shown.contains("header x-user-id, else the address, IPv6 by /64; x-forwarded-for from")
    );
    assert_eq!(config.to_json()["identity"]["header"], "x-user-id");
    assert_eq!(load(&key).unwrap().warnings(), Vec::<String>::new());
}
