//! The arrows between the crates: who may know whom, and which library belongs to one crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};
use transom_tests::redis_server::repository;

/// What each member may depend on inside the workspace. A new arrow is a deliberate edit here.
const ARROWS: [(&str, &[&str]); 8] = [
    ("transom-core", &[]),
    ("transom-redis", &["transom-core"]),
    ("transom-local", &["transom-core"]),
    ("transom-tower", &["transom-core"]),
    ("transom-server", &["transom-core", "transom-redis", "transom-local"]),
    ("transom-cli", &["transom-core", "transom-redis", "transom-server"]),
    (
        "transom-tests",
        &["transom-core", "transom-redis", "transom-local", "transom-tower", "transom-server"],
    ),
    (
        "transom-bench",
        &["transom-core", "transom-redis", "transom-local", "transom-tower", "transom-tests"],
    ),
];

/// Libraries that `core` may use: it has no runtime, no socket and no clock.
const CORE_MAY_USE: [&str; 5] = ["bytes", "http", "serde", "serde_json", "thiserror"];

/// Libraries that one crate alone knows.
const KEPT: [(&str, &[&str]); 3] = [
    ("redis", &["transom-redis", "transom-tests", "transom-bench"]),
    ("deadpool-redis", &["transom-redis", "transom-bench"]),
    ("config", &["transom-server"]),
];

fn manifest(path: &Path) -> Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every member's manifest, by the name of its package.
fn members() -> BTreeMap<String, Table> {
    let root = repository();
    let mut folders = vec![root.join("tests")];
    for entry in std::fs::read_dir(root.join("crates")).unwrap() {
        folders.push(entry.unwrap().path());
    }
    folders
        .iter()
        .map(|folder| {
            let table = manifest(&folder.join("Cargo.toml"));
            let name = table["package"]["name"].as_str().unwrap().to_owned();
            (name, table)
        })
        .collect()
}

fn names(table: &Table, section: &str) -> BTreeSet<String> {
    let section = table.get(section).and_then(Value::as_table);
    section.map(|entries| entries.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn arrows_point_from_the_edge_to_the_core() {
    let allowed = BTreeMap::from(ARROWS);
    for (name, table) in members() {
        let Some(allowed) = allowed.get(name.as_str()) else {
            panic!("{name} has no line in ARROWS");
        };
        for dependency in names(&table, "dependencies") {
            let inside = dependency.starts_with("transom-");
            let known = allowed.contains(&dependency.as_str());
            assert!(!inside || known, "{name} may not depend on {dependency}");
        }
    }
}

#[test]
fn core_uses_no_runtime_no_socket_and_no_clock() {
    let used = names(&members()["transom-core"], "dependencies");
    for library in used {
        assert!(CORE_MAY_USE.contains(&library.as_str()), "transom-core may not use {library}");
    }
}

#[test]
fn a_library_that_belongs_to_one_crate_is_used_by_no_other() {
    for (name, table) in members() {
        for (library, owners) in KEPT {
            let used = names(&table, "dependencies").contains(library);
            assert!(!used || owners.contains(&name.as_str()), "{name} may not use {library}");
        }
    }
}

#[test]
fn every_member_takes_lints_and_versions_from_the_workspace() {
    for (name, table) in members() {
        let inherits = |section: &str, key: &str| {
            table.get(section).and_then(|s| s.get(key)).is_some_and(|value| {
                value.as_bool() == Some(true) || value.get("workspace").is_some()
            })
        };
        assert!(inherits("lints", "workspace"), "{name} does not inherit the lints");
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            assert!(inherits("package", key), "{name}: package.{key} is not the workspace's");
        }
        for section in ["dependencies", "dev-dependencies"] {
            for (library, value) in
                table.get(section).and_then(Value::as_table).into_iter().flatten()
            {
                let inherited = value.get("workspace").is_some();
                assert!(inherited, "{name}: the version of {library} is not the workspace's");
            }
        }
    }
}
