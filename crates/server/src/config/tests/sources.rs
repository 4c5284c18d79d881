//! Files and variables that cannot be read, and the origin of a fault.

use proptest::prelude::*;

use super::super::Config;
use super::{load, load_environment, load_file};

#[test]
fn a_syntax_error_is_one_line_with_its_place_and_no_excerpt() {
    let error = load("[redis]\nurl = 'redis://:hunter2@h' oops\n").unwrap_err();
    assert!(error.starts_with("transom.toml: line 2, column "), "{error}");
    assert!(!error.contains('\n') && !error.contains("hunter2"), "{error}");
    let twice = load("[log]\nlevel = 'info'\nlevel = 'warn'\n").unwrap_err();
    assert_eq!(twice, "transom.toml: line 3, column 1: duplicate key");
    let yaml = load_file("t.yaml", "redis:\n  url: [oops\n", &[]).unwrap_err();
    assert!(yaml.starts_with("t.yaml: ") && yaml.contains("line 3"), "{yaml}");
    let list = load_file("t.yaml", "- redis\n", &[]).unwrap_err();
    assert_eq!(list, "t.yaml: not a table of sections");
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let load = |name: &str| {
        let error = Config::load(Some(&folder.path().join(name)), []).unwrap_err();
        error.to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(load("missing.toml"), "missing.toml: no such file");
    std::fs::create_dir(folder.path().join("folder.toml")).unwrap();
    assert_eq!(load("folder.toml"), "folder.toml: a directory, not a file");
    std::fs::write(folder.path().join("latin.toml"), b"# caf\xe9\n").unwrap();
    assert_eq!(load("latin.toml"), "latin.toml: not UTF-8 text");
    let no_format = "transom.json: its name does not end in .toml, .yaml or .yml";
    assert_eq!(load("transom.json"), no_format);
}

#[test]
fn a_fault_in_a_variable_names_the_variable() {
    for (name, text, says) in [
        (
            "REDIS__DEADLINE",
            "50",
            "redis.deadline: a duration carries a unit; write 50ms or 50s, not 50",
        ),
        ("REDIS__LANES", "two", r#"redis.lanes: a whole number is expected, not "two""#),
        ("REDIS__DEADLIN", "5ms", "redis.deadlin: unknown key; did you mean deadline?"),
        ("LOG__DECISIONS", "yes", r#"log.decisions: true or false is expected, not "yes""#),
        (
            "IDENTITY__TRUSTED_PROXIES",
            "10.0.0.0/8, proxy",
            r#"identity.trusted_proxies[1]: "proxy" is no network; write 10.0.0.0/8 or 192.0.2.1"#,
        ),
        (
            "LISTEN__GATEWAY",
            "127.0.0.1:8081",
            "listen.gateway and listen.check: both take 127.0.0.1:8081",
        ),
        ("POLICY__0__MINUTE", "1", "policies and API keys come from a file only"),
        ("API_KEY__0__USER", "1", "policies and API keys come from a file only"),
        ("REDIS", "x", "no setting; the form is TRANSOM__SECTION__KEY"),
        ("REDIS__TLS__CA", "x", "no setting; the form is TRANSOM__SECTION__KEY"),
        ("LIST[9]__X", "x", "no setting; the form is TRANSOM__SECTION__KEY"),
    ] {
        let name = format!("TRANSOM__{name}");
        let error = load_environment(&[(&name, text)]).unwrap_err();
        assert_eq!(error, format!("environment variable {name}: {says}"));
    }
}

#[test]
fn a_fault_of_a_section_in_variables_names_a_variable() {
    let off = ["GATEWAY", "CHECK", "RLS", "ADMIN"].map(|name| format!("TRANSOM__LISTEN__{name}"));
    let error = load_environment(&off.each_ref().map(|name| (name.as_str(), ""))).unwrap_err();
    let says = "listen: every listener is off, a worker would do nothing";
    assert_eq!(error, format!("environment variable TRANSOM__LISTEN__ADMIN: {says}"));
}

proptest! {
    #[test]
    fn whatever_a_file_holds_is_taken_or_refused_in_one_line(
        cut in 0..6_000usize,
        len in 0..40usize,
        insert in "[\\[\\]\"'=#.,{}\\n a-f0-9\\x00-\\x1f-]{0,12}",
        yaml: bool,
    ) {
        let mut text: Vec<char> = super::example::example().chars().collect();
        let from = cut.min(text.len());
        let to = (cut + len).min(text.len());
        text.splice(from..to, insert.chars());
        let text: String = text.into_iter().collect();
        let name = if yaml { "t.yaml" } else { "t.toml" };
        if let Err(line) = load_file(name, &text, &[]) {
            prop_assert!(line.starts_with(name) && !line.contains('\n'), "{}", line);
        }
    }
}
