//! The page that is written, whole, at the end of a run.

use std::fmt::Write as _;

/// A part of the page.
#[derive(Debug, Default)]
pub(crate) struct Section {
    text: String,
}

impl Section {
    /// Begins with a title.
    pub(crate) fn new(title: &str) -> Self {
        Self { text: format!("## {title}\n\n") }
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

    /// The text of this part.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}
