//! The fleet of `docker-compose.yml`.

use std::process::Command;

use transom_tests::redis_server::repository;

#[test]
fn the_compose_file_is_accepted() {
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    let mut compose = if plugin.is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("docker");
        command.arg("compose");
        command
    } else {
        Command::new("docker-compose")
    };
    let output = compose.args(["config", "-q"]).current_dir(repository()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
