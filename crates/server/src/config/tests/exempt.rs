//! Requests that are not limited, and the optional header fields.

use serde_json::json;

use super::{check, load, load_environment};

#[test]
fn paths_that_are_exempt_are_patterns_as_policies_have_them() {
    let many: Vec<_> = (0..=100).map(|place| format!("'/{place}'")).collect();
    check(&[
        (
            "[limiter]\nexempt_paths = ['/healthz', 'status']",
            r#"limiter.exempt_paths[1]: path pattern "status": it does not start with "/""#,
        ),
        (
            "[limiter]\nexempt_paths = ['/{id}.json']",
            "limiter.exempt_paths[0]: path pattern \"/{id}.json\": in \"{id}.json\" a parameter is \
             not the whole segment",
        ),
        (
            &format!("[limiter]\nexempt_paths = [{}]", many.join(",")),
            "limiter.exempt_paths: 101 paths are more than 100",
        ),
        (
            "[limiter]\nexempt_preflight = 'yes'",
            "limiter.exempt_preflight: true or false is expected, not text",
        ),
        ("[headers]\nalias = true", "headers.alias: unknown key; did you mean aliases?"),
    ]);
}

#[test]
fn what_is_exempt_is_shown_and_a_wide_path_warned_of() {
    let config = load_environment(&[
        ("TRANSOM__LIMITER__EXEMPT_PREFLIGHT", "true"),
        ("TRANSOM__LIMITER__EXEMPT_PATHS", "/healthz, /{*rest}"),
        ("TRANSOM__HEADERS__EXPOSE", "true"),
    ])
    .unwrap();
    assert!(config.headers.expose && !config.headers.aliases);
    let shown = config.describe();
    assert!(
        shown.contains("\nexempt             /healthz, /{*rest}, CORS preflights\n"),
        "{shown}"
    );
    let expected = json!({"preflight": true, "paths": ["/healthz", "/{*rest}"]});
    assert_eq!(config.to_json()["exempt"], expected);
    let says = "limiter.exempt_paths[1] is /{*rest}: nearly every path is unlimited";
    assert_eq!(config.warnings(), [says]);
    assert!(!load("").unwrap().describe().contains("\nexempt"));
}
