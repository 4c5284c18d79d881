//! What identities, keys and policies cannot be.

use std::fmt::Write;

use super::{check, load};

#[test]
fn identities_and_keys_that_cannot_be_are_refused() {
    let key = "[[api_key]]\nuser = 'a'\nsha256 = '";
    let digest = "0123456789abcdef".repeat(4);
    let no_digest = "api_key[0].sha256: not 64 hexadecimal digits; it is the SHA-256 of the key";
    check(&[
        ("[identity]\nmode = 'key'", r#"identity.mode: "key" is not one of api_key, header, jwt"#),
        (
            "[identity]\ntrusted_proxies = ['10.0.0.0/8', 'proxy']",
            r#"identity.trusted_proxies[1]: "proxy" is no network; write 10.0.0.0/8 or 192.0.2.1"#,
        ),
        (
            "[identity]\nclient_ip_header = 'x y'",
            r#"identity.client_ip_header: "x y" is no name of a header"#,
        ),
        ("[identity]\nipv6_prefix = 0", "identity.ipv6_prefix: must be 1 to 128, not 0"),
        ("[identity]\nipv6_prefix = 129", "identity.ipv6_prefix: must be 1 to 128, not 129"),
        (
            "[identity]\nexempt = ['monitor']",
            r#"identity.exempt[0]: "monitor" is neither ip:NETWORK nor user:ID"#,
        ),
        (
            "[identity]\nexempt = ['ip:monitor']",
            r#"identity.exempt[0]: "monitor" is no network; write 10.0.0.0/8 or 192.0.2.1"#,
        ),
        ("[identity]\nexempt = ['user:']", "identity.exempt[0]: a user id is not empty"),
        (
            "[identity]\nexempt = ['ip:2001:db8::1']",
            "identity.exempt[0]: 2001:db8::1/128 is a part of one caller, which is a /64; write a \
             /64 or wider",
        ),
        (&format!("{key}abc'"), no_digest),
        (&format!("{key}{}'", "g".repeat(64)), no_digest),
        (&format!("{key}{}'", "+f".repeat(32)), no_digest),
        ("[[api_key]]\nuser = 'a'", "api_key[0].sha256: missing"),
        (
            &format!("[[api_key]]\nsha256 = '{digest}'\nuser = ''"),
            "api_key[0].user: a user id is not empty",
        ),
        (
            &format!("{key}{digest}'\n{key}{}'", digest.to_uppercase()),
            "api_key[1].sha256: the same as api_key[0].sha256",
        ),
    ]);
}

#[test]
fn policies_that_cannot_be_are_refused() {
    let policy = "[[policy]]\nname = 'default'\nminute = 60\nsecond = 2\n[[policy]]\n";
    let limits = "minute = 1\nsecond = 1";
    for (text, says) in [
        ("minute = 1\nsecond = 1", "policy[1].name: missing"),
        (
            "name = 'a'\nsecond = 1",
            "policy[1].minute: missing; a policy gives both minute and second",
        ),
        (
            "name = 'a'\nminute = 1",
            "policy[1].second: missing; a policy gives both minute and second",
        ),
        ("name = 'a'\nminute = 1\nsecond = -1", "policy[1].second: must be 0 to 1000000, not -1"),
        (
            "name = 'a'\nminute = 1000001\nsecond = 1",
            "policy[1].minute: must be 0 to 1000000, not 1000001",
        ),
        (
            &format!("name = 'a'\ncost = 1001\n{limits}"),
            "policy[1].cost: must be 0 to 1000, not 1001",
        ),
        (
            &format!("name = 'a b'\n{limits}"),
            r#"policy[1].name: policy name "a b": ' ' is not one of A-Z a-z 0-9 . _ -"#,
        ),
        (
            &format!("name = 'a'\npath = 'v1'\n{limits}"),
            r#"policy[1].path: path pattern "v1": it does not start with "/""#,
        ),
        (
            &format!("name = 'a'\nmethods = ['GET', 'GE T']\n{limits}"),
            r#"policy[1].methods[1]: "GE T" is no method"#,
        ),
        (
            &format!("name = 'a'\nmethods = ['get']\n{limits}"),
            "policy[1].methods: get: methods are compared by case, write GET",
        ),
        (
            &format!("name = 'a'\nhost = '*.example'\n{limits}"),
            r#"policy[1].host: "*.example": a host is matched as a whole, without wildcards"#,
        ),
        (&format!("name = 'default'\n{limits}"), r#"policy[1].name: "default" is used twice"#),
        (
            &format!("name = 'a'\nmode = 'dry'\n{limits}"),
            r#"policy[1].mode: "dry" is not one of enforce, shadow, off"#,
        ),
    ] {
        check(&[(&format!("{policy}{text}"), says)]);
    }
    check(&[(
        &format!("[[policy]]\nname = 'default'\npath = '/v1'\n{limits}"),
        "policy[0].path: the policy default matches every request and takes no condition",
    )]);
}

#[test]
fn two_policies_that_tie_are_refused_by_the_later_one() {
    let of = |name, path| {
        format!("[[policy]]\nname = '{name}'\npath = '{path}'\nminute = 1\nsecond = 1\n")
    };
    let error = load(&format!("{}{}", of("one", "/v1/{id}"), of("two", "/v1/{name}"))).unwrap_err();
    let begins = "transom.toml: policy[1]: policies one and two tie: neither is more specific";
    assert!(error.starts_with(begins), "{error}");
}

#[test]
fn more_than_ten_thousand_policies_are_refused() {
    let mut text = String::new();
    for place in 0..=10_000 {
        writeln!(text, "[[policy]]\nname='p{place}'\npath='/{place}'\nminute=1\nsecond=1").unwrap();
    }
    check(&[(&text, "policy: 10001 policies are more than 10000")]);
}
