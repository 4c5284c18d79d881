//! The binary `transom`, built for the test that runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::redis_server::repository;

/// The worker's binary in the profile of the running test. It is built at the first call, so that
/// it is never older than the test.
///
/// # Panics
///
/// If it cannot be built; the compiler has said why.
pub fn worker_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

/// What the names of variables begin with that describe one package.
const OF_A_PACKAGE: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"];

fn build() -> PathBuf {
    // TARGET/PROFILE/deps/TEST-HASH; a program that uses this is at TARGET/PROFILE/PROGRAM.
    let test = std::env::current_exe().expect("the path of the running test");
    let mut folders = test.ancestors().skip(1).filter(|folder| !folder.ends_with("deps"));
    let folder = folders.next().expect("the folder of a profile");
    let profile = folder.file_name().and_then(|name| name.to_str()).expect("a profile's name");
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo has told this test about its own package would be taken for a change by build
    // scripts that look at it, and everything above them would be compiled again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OF_A_PACKAGE.iter().any(|of| name.starts_with(of))) {
            cargo.env_remove(&name);
        }
    }
    let built = cargo
        // The whole workspace, so that libraries have the features that the tests were built with.
        .args(["build", "--workspace", "--bin", "transom"])
        .args(["--profile", if profile == "debug" { "dev" } else { profile }])
        .args(["--message-format", "json-render-diagnostics", "--quiet", "--target-dir"])
        .arg(folder.parent().expect("the folder of all profiles"))
        .current_dir(repository())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo, which built this test");
    assert!(built.status.success(), "transom-cli does not build");
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.expect("the name of the binary, as cargo prints it")
}
