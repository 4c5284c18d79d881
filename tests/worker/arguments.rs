//! What a person types: help, the version, and mistakes.

use std::process::Command;

use transom_tests::fleet::worker_binary;

use crate::configuration::refused;
use crate::process::run;

#[tokio::test]
async fn help_and_version_are_no_mistake() {
    for flag in ["--help", "-h", "help"] {
        let ended = run(&[flag], &[]).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{flag}");
        let words =
            ["serve", "check-config", "explain", "doctor", "--config", "--redis", "--admin"];
        for word in [&words[..], &["Exit codes", "3 Redis"]].concat() {
            let short = flag == "-h" && !words.contains(&word);
            assert!(short || ended.stdout.contains(word), "{flag} names {word}: {}", ended.stdout);
        }
    }
    for flag in ["--version", "-V"] {
        let ended = run(&[flag], &[]).await;
        let expected = format!("transom {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((ended.code, ended.stdout, ended.stderr.as_str()), (Some(0), expected, ""));
    }
}

#[tokio::test]
async fn a_bad_argument_is_refused_in_one_line_that_names_it() {
    for (arguments, part) in [
        (&["sevre"][..], "'sevre'"),
        (&["--confg", "transom.toml"], "'--confg'"),
        (&["serve", "extra"], "'extra'"),
        (&["serve", "--json"], "'--json'"),
        (&["check-config", "--config"], "'--config <FILE>'"),
        (&["echo", "--listen", "3000"], "'3000'"),
        (&["explain"], "<IDENTITY>"),
        (&["override", "user:42"], "'user:42'"),
        (&["key"], "requires a subcommand"),
    ] {
        refused(&run(arguments, &[]).await, &[part]);
    }
}

#[tokio::test]
async fn an_argument_that_cannot_be_used_is_refused_by_its_own_name() {
    refused(&run(&["--redis", "127.0.0.1:6379"], &[]).await, &["--redis", "redis://HOST:PORT"]);
    refused(&run(&["health", "--url", "http://["], &[]).await, &["--url http://["]);
}

#[tokio::test]
async fn health_is_no_where_nobody_answers() {
    let ended = run(&["health", "--url", "http://127.0.0.1:1/healthz"], &[]).await;
    assert_eq!((ended.code, ended.stdout.lines().count()), (Some(1), 1), "{ended:?}");
    assert!(ended.stdout.starts_with("http://127.0.0.1:1/healthz: "), "{ended:?}");
}

/// Goal: `transom check-config | head -1` ends in silence.
/// Method: a pipe that nobody reads from the start.
#[test]
fn a_reader_that_has_gone_is_no_mistake() {
    for arguments in [&["check-config"][..], &["check-config", "--json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(worker_binary());
        let ended = command.args(arguments).env_clear().stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*said), (Some(0), ""), "{arguments:?}");
    }
}
