//! A part of the page.

use std::fmt::{Display, Write as _};

/// What one part of a run has to say.
#[derive(Debug, Default)]
pub(crate) struct Section {
    title: String,
    text: String,
    not_measured: Vec<String>,
}

impl Section {
    /// Begins with a title.
    pub(crate) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), ..Self::default() }
    }

    /// A paragraph.
    pub(crate) fn say(&mut self, text: &str) {
        let _ = write!(self.text, "{text}\n\n");
    }

    /// A table; the first column is text, the others are numbers.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let _ = writeln!(self.text, "| {} |", head.join(" | "));
        let marks = vec!["---:"; head.len().saturating_sub(1)].join(" | ");
        let _ = writeln!(self.text, "| --- | {marks} |");
        for row in rows {
            let _ = writeln!(self.text, "| {} |", row.join(" | "));
        }
        self.text.push('\n');
    }

    /// A plot that lies in the folder beside the page.
    pub(crate) fn plot(&mut self, file: &str, shows: &str) {
        let _ = write!(self.text, "![{shows}](benchmarks/{file})\n\n");
    }

    /// Names what this part could not measure, and why.
    pub(crate) fn not_measured(&mut self, what: &str, reason: impl Display) {
        self.not_measured.push(format!("{what}: {reason:#}"));
    }

    /// Title, text, and what was not measured.
    pub(crate) fn into_parts(self) -> (String, String, Vec<String>) {
        (self.title, self.text, self.not_measured)
    }
}
