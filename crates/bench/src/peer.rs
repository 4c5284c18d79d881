//! The program in `crates/bench/peer`, which is no member of the workspace: built when it is first
//! needed, and named as not measured where it does not build.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use transom_tests::redis_server::repository;

use crate::timed::Ran;

/// Lines of the compiler that are passed on.
const SHOWN_LINES: usize = 3;
/// What the compiler says where OpenSSL cannot be found.
const WITHOUT_OPENSSL: [&str; 2] = ["openssl-sys", "pkg-config"];

/// The program, built with as much optimisation as this one.
///
/// # Errors
///
/// What is missing to build it, the same at every call.
pub(crate) fn binary() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow!(error.clone()))
}

fn build() -> Result<PathBuf> {
    let (manifest, target) = ("crates/bench/peer/Cargo.toml", repository().join("target"));
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--profile", profile, "--manifest-path", manifest])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(repository())
        .stdin(Stdio::null())
        .output()
        .context("cargo cannot be started")?;
    let said = String::from_utf8_lossy(&built.stderr);
    ensure!(built.status.success(), "{}", why(&said));
    let folder = if cfg!(debug_assertions) { "debug" } else { "release" };
    Ok(target.join(folder).join("transom-bench-peer"))
}

/// Why it does not build, given what the compiler says.
fn why(said: &str) -> String {
    if WITHOUT_OPENSSL.iter().any(|name| said.contains(name)) {
        return "crates/bench/peer does not build without OpenSSL: install pkg-config and \
                libssl-dev (./test does)"
            .to_owned();
    }
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let first: Vec<_> = lines.take(SHOWN_LINES).collect();
    format!("crates/bench/peer does not build: {}", first.join(" "))
}

/// Lets so many callers ask limitador in memory, see [`crate::timed::run`].
///
/// # Errors
///
/// A program that does not build or does not end well.
pub(crate) fn time(callers: usize, lasts: Duration, threads: usize) -> Result<Ran> {
    let lasts_ms = lasts.as_millis();
    let ran = Command::new(binary()?)
        .args(["time", &callers.to_string(), &lasts_ms.to_string(), &threads.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "{}", said.trim());
    read(&String::from_utf8_lossy(&ran.stdout)).context("crates/bench/peer prints no times")
}

/// What the program prints; `None` if it is something else.
fn read(text: &str) -> Option<Ran> {
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let (decisions, admitted) = (next()?, next()?);
    Some(Ran { decisions, admitted, took: Duration::from_nanos(next()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let ran = Ran { decisions: 40, admitted: 2, took: Duration::from_nanos(1_234) };
        assert_eq!(read(&format!("{ran}\n")), Some(ran));
        assert_eq!(read("40 2\n"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = "error: failed to run custom build command for `openssl-sys v0.9.118`\n\n  It \
                    looks like you're compiling on Linux and also targeting Linux.";
        assert!(why(said).contains("install pkg-config and libssl-dev"), "{}", why(said));
        let other = why("error: no space left\n\n  on the device\n");
        assert_eq!(other, "crates/bench/peer does not build: error: no space left on the device");
    }
}
