//! The manifests in `deploy/kubernetes` against the schema of Kubernetes, and a worker as they
//! configure it.

use std::process::Command;

use transom_tests::kubernetes::{configuration, container, folder, names, text};
use transom_tests::redis_server::repository;

use crate::client::get;
use crate::process::{Worker, run, text as path_text, write};

/// The newest version of Kubernetes that the validator knows, and one that is out of support.
const VERSIONS: [&str; 2] = ["1.37.0", "1.29.0"];

/// Whether the validator takes these files, and what it says.
fn validate(arguments: &[&str], files: &[String]) -> (bool, String) {
    let validator = repository().join("target/kubernetes-validate/bin/kubernetes-validate");
    let mut command = Command::new(&validator);
    command.arg("--strict").args(arguments).args(files).current_dir(folder());
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; ./test installs it", validator.display()));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn every_manifest_is_valid_in_the_strict_schema() {
    for version in VERSIONS {
        let (valid, said) = validate(&["-k", version], &names());
        assert!(valid, "{said}");
        assert_eq!(said.matches(" passed for ").count(), names().len(), "{said}");
    }
}

#[test]
fn the_validator_sees_a_field_that_does_not_exist() {
    let wrong = tempfile::tempdir().unwrap();
    let service = std::fs::read_to_string(folder().join("service.yaml")).unwrap();
    let path = write(&wrong, "service.yaml", &service.replace("selector:", "selektor:"));
    let (valid, said) = validate(&[], &[path_text(&path).to_owned()]);
    assert!(!valid && said.contains("selektor"), "{said}");
}

#[tokio::test]
async fn the_configuration_of_the_cluster_is_accepted_without_a_warning_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, "transom.toml", &configuration());
    let secrets =
        [("TRANSOM__REDIS__URL", "redis://redis"), ("TRANSOM__ADMIN__TOKEN", "of-a-test-of-it.")];
    let ended = run(&["--config", path_text(&file), "check-config"], &secrets).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stdout.contains("Warnings"), "{}", ended.stdout);
}

#[tokio::test]
async fn probes_ask_for_paths_that_a_worker_answers() {
    let worker = Worker::start(&configuration()).await;
    let container = container();
    for (probe, expected) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["port"].as_str(), Some("admin"), "{probe}");
        let path = text(&asked["path"]);
        assert_eq!(path, expected, "{probe}");
        assert_eq!(get(worker.admin, &path).await.status(), 200, "{probe}");
    }
}
