//! Rules about the text of the sources.

use std::path::{Path, PathBuf};

use transom_tests::redis_server::repository;

/// A file is reviewed at 300 lines and split here.
const LINES_MAX: usize = 500;

/// Every file of the repository with one of these endings, build output left out.
pub(crate) fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![repository()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no file ends in {endings:?}");
    found
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn no_file_has_grown_past_its_bound() {
    for path in files(&[".rs"]) {
        let lines = read(&path).lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines", path.display());
    }
}

#[test]
fn a_silenced_lint_says_why() {
    let bare = [concat!("#[", "allow("), concat!("#![", "allow(")];
    for path in files(&[".rs"]) {
        let text = read(&path);
        for attribute in bare {
            assert!(!text.contains(attribute), "{}: use expect with a reason", path.display());
        }
    }
}

#[test]
fn only_the_redis_crate_takes_the_scripts_in() {
    let owner = repository().join("crates").join("redis");
    for path in files(&[".rs"]).iter().filter(|path| !path.starts_with(&owner)) {
        let takes =
            read(path).lines().any(|line| line.contains("include_str!") && line.contains("lua"));
        assert!(!takes || path.ends_with("source.rs"), "{}", path.display());
    }
}

/// Else `TRANSOM_REDIS_SERVER` would not be what a test is run on.
#[test]
fn a_server_of_redis_is_started_in_one_place() {
    let by_name = concat!("Command::new(", "\"redis-server\")");
    for path in files(&[".rs"]) {
        let found = read(&path).contains(by_name);
        assert!(!found, "{}: use redis_server::binary", path.display());
    }
}

#[test]
fn nothing_is_left_undone_or_skipped() {
    let marks = [concat!("todo", "!("), concat!("unimpl", "emented!("), concat!("#[", "ignore")];
    for path in files(&[".rs"]) {
        let text = read(&path);
        for mark in marks {
            assert!(!text.contains(mark), "{}: {mark}", path.display());
        }
    }
}
