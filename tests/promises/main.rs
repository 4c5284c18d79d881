//! Writes `docs/promises.md` from the rows that the tests of faults have left.

use anyhow::{Context, Result};
use transom_tests::promises::{document, render, rows};

fn main() -> Result<()> {
    std::fs::write(document(), render(&rows()?)).context("docs/promises.md cannot be written")
}
