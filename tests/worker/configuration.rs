//! The configuration as a person meets it: files, variables and arguments, and what is said of a
//! mistake.

use tempfile::{TempDir, tempdir};
use tokio::net::TcpListener;
use transom_tests::redis_server::repository;

use crate::process::{Ended, FREE_PORTS, Worker, run, text, write};
use crate::upstream::ClosedPort;

const CHECK: [&str; 1] = ["check-config"];
const SERVE: [&str; 1] = ["serve"];

/// Asserts that a command ended with one line on standard error that has these parts.
pub(crate) fn refused(ended: &Ended, parts: &[&str]) {
    let Ended { code, stdout, stderr } = ended;
    assert_eq!((*code, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("transom: ") && stderr.ends_with('\n'), "{stderr}");
    for part in parts {
        assert_eq!(stderr.matches(part).count(), 1, "{part:?} once in: {stderr}");
    }
}

/// A mistake in a file: its name, its content, and what must be said of it beside the name.
struct Mistake(&'static str, &'static str, &'static [&'static str]);

const MISTAKES: &[Mistake] = &[
    Mistake("typo.toml", "[redis]\nlane = 2", &["redis.lane", "did you mean lanes?"]),
    Mistake("section.toml", "[limits]\nminute = 60", &["limits", "unknown key"]),
    Mistake("text.toml", POLICY_OF_TEXT, &["policy[1].minute", "a whole number"]),
    Mistake("unit.toml", "[redis]\ndeadline = 50", &["redis.deadline", "50ms"]),
    Mistake("range.toml", "[redis]\ndeadline = \"1h\"", &["redis.deadline", "1ms to 10s, not 1h"]),
    Mistake("tie.toml", POLICIES_THAT_TIE, &["policy[2]", "policies a and b tie"]),
    Mistake("ports.toml", ONE_PORT_TWICE, &["listen.gateway and listen.check", "127.0.0.1:80"]),
    Mistake("loop.toml", ITS_OWN_UPSTREAM, &["gateway.upstream", "listen.gateway"]),
    Mistake("net.toml", BAD_NETWORK, &["identity.trusted_proxies[1]", "10.0.0.0/33"]),
    Mistake("rls.toml", "[listen]\nrls = \"8082\"", &["listen.rls", "127.0.0.1:8080"]),
    Mistake("nodes.toml", "[redis]\nmode = \"cluster\"", &["redis.mode", "takes redis.nodes"]),
    Mistake("jwt.toml", "[identity]\nmode = \"jwt\"", &["identity.jwt_algorithm", "RS256"]),
    Mistake("header.toml", "[identity]\nmode = \"header\"", &["identity.trusted_proxies"]),
    Mistake("syntax.toml", "[redis]\nurl = \"redis://h", &["line 2"]),
    Mistake("syntax.yaml", "redis:\n  url: [\n", &["line"]),
    Mistake("bad.yml", "redis:\n  lanes: many\n", &["redis.lanes", "a whole number"]),
    Mistake("list.yaml", "- redis\n- policy\n", &["not a table of sections"]),
    Mistake("transom.json", "{}", &["does not end in .toml, .yaml or .yml"]),
    Mistake("latin1.toml", "\u{0}[redis", &["line 1"]),
];

const POLICY_OF_TEXT: &str = r#"
policy = [
    { name = "default", minute = 60, second = 2 },
    { name = "search", minute = "30", second = 1 },
]"#;

const POLICIES_THAT_TIE: &str = r#"
policy = [
    { name = "default", minute = 60, second = 2 },
    { name = "a", path = "/v1/{id}", minute = 60, second = 2 },
    { name = "b", path = "/v1/{name}/", minute = 30, second = 1 },
]"#;

const ONE_PORT_TWICE: &str = "[listen]\ngateway = \"127.0.0.1:80\"\ncheck = \"127.0.0.1:80\"";

const ITS_OWN_UPSTREAM: &str =
    "[listen]\ngateway = \"127.0.0.1:80\"\n[gateway]\nupstream = \"http://localhost:80\"";

const BAD_NETWORK: &str = "[identity]\ntrusted_proxies = [\"10.0.0.0/8\", \"10.0.0.0/33\"]";

#[tokio::test]
async fn a_bad_file_is_refused_in_one_line_with_its_name_the_key_and_the_reason() {
    let folder = tempdir().unwrap();
    for Mistake(name, content, parts) in MISTAKES {
        let path = write(&folder, name, content);
        let parts: Vec<_> = parts.iter().chain([name]).copied().collect();
        let checked = run(&[&CHECK[..], &["--config", text(&path)]].concat(), &[]).await;
        refused(&checked, &parts);
        let served = run(&SERVE, &[("TRANSOM_CONFIG", text(&path))]).await;
        assert_eq!(served.stderr, checked.stderr, "a worker says the same");
        refused(&served, &parts);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused_by_name() {
    let folder = tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    for command in [&CHECK[..], &SERVE[..], &[]] {
        let ended = run(&[&["--config", text(&missing)], command].concat(), &[]).await;
        refused(&ended, &[text(&missing), "no such file"]);
        refused(
            &run(command, &[("TRANSOM_CONFIG", text(&missing))]).await,
            &["missing.toml", "no such file"],
        );
    }
    std::fs::create_dir(folder.path().join("folder.toml")).unwrap();
    let ended = run(&[&CHECK[..], &["--config", "folder.toml"]].concat(), &[]).await;
    refused(&ended, &["folder.toml", "no such file"]);
    let inside = folder.path().join("folder.toml");
    let ended = run(&[&CHECK[..], &["--config", text(&inside)]].concat(), &[]).await;
    refused(&ended, &["folder.toml", "a directory"]);
}

#[tokio::test]
async fn a_bad_variable_is_refused_in_one_line_with_its_name_and_the_reason() {
    for (name, value, parts) in [
        ("TRANSOM__REDIS__DEADLINE", "50", &["redis.deadline", "50ms"][..]),
        ("TRANSOM__REDIS__LANES", "two", &["redis.lanes", "\"two\""]),
        ("TRANSOM__REDIS__DEADLNE", "50ms", &["redis.deadlne", "did you mean deadline?"]),
        ("TRANSOM__RIDES__URL", "redis://h", &["rides", "unknown key"]),
        ("TRANSOM__POLICY__0__MINUTE", "60", &["from a file only"]),
        ("TRANSOM__REDIS", "redis://h", &["TRANSOM__SECTION__KEY"]),
        ("TRANSOM__LISTEN__GATEWAY", "8080", &["listen.gateway", "127.0.0.1:8080"]),
        ("TRANSOM__IDENTITY__TRUSTED_PROXIES", "10.0.0.0/8,lan", &["trusted_proxies[1]", "lan"]),
        ("TRANSOM__LOG__DECISIONS", "yes", &["log.decisions", "true or false"]),
        ("TRANSOM__LIMITER__MODE", "on\nfire", &["limiter.mode", "enforce, shadow, off"]),
    ] {
        for command in [CHECK, SERVE] {
            let ended = run(&command, &[(name, value)]).await;
            let origin = format!("transom: environment variable {name}: ");
            refused(&ended, &[&[origin.as_str()], parts].concat());
        }
    }
}

#[tokio::test]
async fn a_port_in_use_is_refused_with_the_key_and_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, _) in FREE_PORTS {
        let mut variables = FREE_PORTS.to_vec();
        variables.retain(|(name, _)| *name != variable);
        variables.push((variable, &address));
        let key = variable.to_lowercase().replace("transom__listen__", "listen.");
        refused(&run(&[], &variables).await, &[&key, &address, "in use"]);
    }
}

#[tokio::test]
async fn a_file_that_the_configuration_names_must_be_there() {
    let variables = [
        ("TRANSOM__REDIS__URL", "rediss://127.0.0.1:1"),
        ("TRANSOM__REDIS__TLS_CA", "/nowhere/ca.pem"),
    ];
    let ended = run(&SERVE, &[&FREE_PORTS[..], &variables].concat()).await;
    refused(&ended, &["redis.tls_ca", "/nowhere/ca.pem", "No such file"]);
}

/// What `check-config` prints, which must end well.
async fn checked(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let ended = run(&[&CHECK[..], arguments].concat(), variables).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    ended.stdout
}

fn with_upstream(folder: &TempDir, name: &str, port: u16) -> String {
    let (toml, yaml) = (
        format!("[gateway]\nupstream = \"http://127.0.0.1:{port}\"\n"),
        format!("gateway:\n  upstream: http://127.0.0.1:{port}\n"),
    );
    let content = if name.ends_with("toml") { toml } else { yaml };
    text(&write(folder, name, &content)).to_owned()
}

#[tokio::test]
async fn argument_goes_before_variable_before_file_before_default() {
    let folder = tempdir().unwrap();
    let [toml, yaml, yml] = [("a.toml", 1), ("b.yaml", 2), ("c.yml", 3)]
        .map(|(name, port)| with_upstream(&folder, name, port));
    let upstream = "TRANSOM__GATEWAY__UPSTREAM";
    let none = checked(&[], &[]).await;
    assert!(none.contains("a built-in echo") && none.contains("in process"), "{none}");
    for (arguments, variables, port) in [
        (&["--config", toml.as_str()][..], &[][..], 1),
        (&["--config", &yaml], &[], 2),
        (&[], &[("TRANSOM_CONFIG", yml.as_str())], 3),
        (&["--config", &yaml], &[("TRANSOM_CONFIG", toml.as_str())], 2),
        (&["--config", &yaml], &[(upstream, "http://127.0.0.1:4")], 4),
    ] {
        let said = checked(arguments, variables).await;
        assert!(said.contains(&format!("http://127.0.0.1:{port}\n")), "{said}");
    }
    let configured = [("TRANSOM__REDIS__URL", "redis://variable:6379")];
    let said = checked(&["--redis", "redis://argument:6379"], &configured).await;
    assert!(said.contains("redis://argument:6379") && !said.contains("variable"), "{said}");
    let json = checked(&["--json", "--redis", "redis://argument:6379"], &configured).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["store"]["url"], "redis://argument:6379");
    assert_eq!(json["policies"][0]["minute"], 60);
}

#[tokio::test]
async fn the_file_that_documents_every_setting_is_in_force_as_the_defaults_are() {
    let shipped = repository().join("config").join("transom.toml");
    assert_eq!(checked(&["--config", text(&shipped)], &[]).await, checked(&[], &[]).await);
}

/// Goal: what `--redis` names is used, and a worker that does not find it there serves.
#[tokio::test]
async fn a_worker_takes_the_redis_of_its_argument() {
    let closed = ClosedPort::new();
    let url = format!("redis://{}", closed.address);
    let config = "[redis]\nurl = \"redis://127.0.0.1:1\"\n";
    let worker = Worker::with_arguments(&["--redis", &url], config, &[]).await;
    assert!(worker.banner.contains(&url), "{}", worker.banner);
    assert!(!worker.banner.contains("127.0.0.1:1 "), "{}", worker.banner);
}
