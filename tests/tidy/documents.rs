//! What documents say, as far as a machine can hold them to it.

use transom_tests::redis_server::repository;

fn read(name: &str) -> String {
    let path = repository().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands in a document between `` ` `` and `` ` ``.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let text = read("SECURITY.md");
    let named: Vec<_> =
        code(&text).into_iter().filter_map(|name| name.split_once(".rs::")).collect();
    assert!(named.len() >= 50, "{} tests are named", named.len());
    for (file, test) in named {
        let source = read(&format!("{file}.rs"));
        let declared = format!("fn {test}(");
        let before = source.split_once(&declared).map(|(before, _)| before);
        let before = before.unwrap_or_else(|| panic!("{file}.rs has no {declared}"));
        let last = before.lines().rev().find(|line| line.trim_start().starts_with('#'));
        assert!(last.is_some_and(|line| line.contains("test")), "{file}.rs: {test} is no test");
    }
}

#[test]
fn the_readme_says_of_every_server_of_the_suite_whether_it_was_run() {
    let list = read("tests/versions.sh");
    let list = list.split('\'').find(|part| part.starts_with('\n')).expect("a list of servers");
    let readme = read("README.md");
    let rows: Vec<_> = readme.lines().filter(|line| line.starts_with('|')).collect();
    let mut servers = 0;
    for line in list.lines().filter(|line| !line.is_empty()) {
        let source = line.split_whitespace().nth(2).expect("where it comes from");
        let rows = rows.iter().filter(|row| row.contains(&format!("`{source}`")));
        assert_eq!(rows.count(), 1, "the README has one row for {source}");
        servers += 1;
    }
    assert!(servers >= 2, "{list}");
}
