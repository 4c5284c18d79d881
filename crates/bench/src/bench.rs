//! One run: how long, how often, and what is shown meanwhile.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};

use crate::must::Findings;

/// The run that is under way.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Whether only to show that it runs.
    pub(crate) quick: bool,
    /// Where plots are written.
    pub(crate) plots: PathBuf,
    /// What the table of bounds is made of.
    pub(crate) findings: Findings,
    progress: ProgressBar,
    part: String,
}

impl Bench {
    /// A run that writes its plots into `plots`.
    ///
    /// # Errors
    ///
    /// A folder that cannot be made.
    pub(crate) fn new(quick: bool, plots: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&plots)
            .with_context(|| format!("cannot make {}", plots.display()))?;
        let progress = ProgressBar::no_length();
        let style = "{spinner} {elapsed_precise}  {msg}";
        progress.set_style(ProgressStyle::with_template(style)?);
        Ok(Self { quick, plots, findings: Findings::default(), progress, part: String::new() })
    }

    /// Rounds that a median is taken of.
    pub(crate) const fn rounds(&self) -> usize {
        if self.quick { 1 } else { 5 }
    }

    /// How long a load lasts in one round, the warm-up left out.
    pub(crate) const fn lasts(&self) -> Duration {
        Duration::from_millis(if self.quick { 300 } else { 2_500 })
    }

    /// How long a load is warmed up.
    pub(crate) const fn warm_up(&self) -> Duration {
        Duration::from_millis(if self.quick { 100 } else { 500 })
    }

    /// The first number in a whole run, the second in a quick one.
    pub(crate) const fn either<T: Copy>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }

    /// The part that is measured from here on.
    pub(crate) fn begin(&mut self, part: String) {
        self.part = part;
        // What a part found that has failed is not the next one's.
        self.findings = Findings::default();
    }

    /// Shows what is measured now: a line that moves, or lines where nobody watches.
    pub(crate) fn step(&self, round: usize, what: &str) {
        let message = format!("{}: {what}, round {} of {}", self.part, round + 1, self.rounds());
        if std::io::stderr().is_terminal() {
            self.progress.set_message(message);
            self.progress.tick();
        } else {
            let _ = writeln!(std::io::stderr(), "{message}");
        }
    }

    /// Takes the moving line away.
    pub(crate) fn end(&self) {
        self.progress.finish_and_clear();
    }
}
