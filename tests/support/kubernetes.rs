//! The manifests in `deploy/kubernetes`, read.

use std::path::PathBuf;

use yaml_rust2::{Yaml, YamlLoader};

use crate::redis_server::repository;

/// What says which of them are applied; it is none itself.
const KUSTOMIZATION: &str = "kustomization.yaml";

/// Where the manifests are.
pub fn folder() -> PathBuf {
    repository().join("deploy").join("kubernetes")
}

/// The names of all manifests.
///
/// # Panics
///
/// If the folder cannot be read.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != KUSTOMIZATION);
    names.sort();
    names
}

/// The one document of a file.
///
/// # Panics
///
/// If there is no such file, or more than one document in it.
pub fn read(name: &str) -> Yaml {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let mut documents = YamlLoader::load_from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(documents.len(), 1, "{name}: one object in a file");
    documents.remove(0)
}

/// The names of the files that are applied, and the whole text, which names those that may be.
///
/// # Panics
///
/// If there is no list of files.
pub fn kustomization() -> (Vec<String>, String) {
    let applied = read(KUSTOMIZATION)["resources"].as_vec().unwrap().iter().map(text).collect();
    (applied, std::fs::read_to_string(folder().join(KUSTOMIZATION)).unwrap())
}

/// What the workers are configured with, in TOML.
pub fn configuration() -> String {
    text(&read("configmap.yaml")["data"]["transom.toml"])
}

/// What the workers get as variables.
///
/// # Panics
///
/// If they are no texts.
pub fn variables() -> Vec<(String, String)> {
    let secret = read("secret.yaml");
    let entries = secret["stringData"].as_hash().unwrap();
    entries.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// The one container of a worker.
///
/// # Panics
///
/// If there is none, or another one.
pub fn container() -> Yaml {
    let mut containers = pod()["containers"].as_vec().unwrap().clone();
    assert_eq!(containers.len(), 1);
    containers.remove(0)
}

/// The pod of a worker.
pub fn pod() -> Yaml {
    read("deployment.yaml")["spec"]["template"]["spec"].clone()
}

/// A value that must be text.
///
/// # Panics
///
/// If it is none.
pub fn text(value: &Yaml) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value:?} is no text")).to_owned()
}
