//! A clock of a server's own that a test steps while the server runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::redis_server::repository;

/// What stands between a server and the system's clock. It must outlive the server.
#[derive(Debug)]
pub struct SteppedClock {
    folder: TempDir,
}

impl SteppedClock {
    /// Compiles what is loaded into the server; the step is none.
    ///
    /// # Panics
    ///
    /// If there is no C compiler.
    pub fn new() -> Self {
        let clock = Self { folder: tempfile::tempdir().expect("a folder for a library") };
        clock.step(0);
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .arg(clock.library())
            .arg(repository().join("tests/support/stepped_clock.c"))
            .arg("-ldl")
            .status();
        let compiled = compiled.expect("a C compiler is missing (cc): install gcc or clang");
        assert!(compiled.success(), "stepped_clock.c does not compile");
        clock
    }

    /// Puts the clock ahead of the system's by so many microseconds, behind it if negative.
    ///
    /// # Panics
    ///
    /// If the file of the step cannot be written.
    pub fn step(&self, us: i64) {
        use std::io::Write as _;
        // In place: the server has this very file in its memory.
        let file =
            fs::OpenOptions::new().write(true).create(true).truncate(false).open(self.file());
        let written = file.and_then(|mut file| file.write_all(&us.to_ne_bytes()));
        written.expect("the file of the step");
    }

    /// The variables by which a server takes it.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        [("LD_PRELOAD", text(self.library())), ("STEPPED_CLOCK", text(self.file()))]
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("stepped_clock.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("step")
    }
}

impl Default for SteppedClock {
    fn default() -> Self {
        Self::new()
    }
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("a path in UTF-8")
}
