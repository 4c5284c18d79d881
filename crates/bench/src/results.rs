//! What was measured, part by part, kept in a file: so a part can be measured again, and the page
//! is written from all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::must::{Figure, Findings, Found};
use crate::parts::Part;

/// All parts that were measured, by the name of the part.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Results(BTreeMap<String, Measured>);

/// What a run of one part found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// When it began, UTC.
    pub(crate) at: String,
    pub(crate) took_s: u64,
    /// Of the time of all cores, in thousandths, what the host of a virtual machine gave to others
    /// meanwhile; `None` where the system does not tell.
    pub(crate) stolen_per_mille: Option<u64>,
    /// The source that it was built from.
    pub(crate) revision: String,
    /// Cores, and the system.
    pub(crate) machine: String,
    /// The version of Redis.
    pub(crate) redis: String,
    /// Rounds, and how long a load lasted in each.
    pub(crate) rounds: usize,
    pub(crate) lasts_ms: u128,
    /// Whether it was only shown that it runs.
    pub(crate) quick: bool,
    /// Whether the program was built as it is used.
    pub(crate) optimised: bool,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) findings: Findings,
    pub(crate) not_measured: Vec<String>,
}

impl Measured {
    /// How much the host took, behind what else is said of a run.
    fn stolen(&self) -> String {
        self.stolen_per_mille.map_or_else(String::new, |per_mille| {
            let (percent, tenths) = (per_mille / 10, per_mille % 10);
            format!(", {percent}.{tenths} % of the cores' time taken by the host")
        })
    }
}

impl Results {
    /// What the file has; nothing if there is none yet.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or is another's.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read(file);
        let parsed = text
            .map_err(Into::into)
            .and_then(|text| serde_json::from_slice(&text).map_err(anyhow::Error::from));
        parsed.with_context(|| format!("{}: remove it, or mend it", file.display()))
    }

    /// Writes the file, and makes its folder.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        folder
            .and_then(|()| std::fs::write(file, text))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// In place of what was found for this part before.
    pub(crate) fn put(&mut self, part: &str, measured: Measured) {
        self.0.insert(part.to_owned(), measured);
    }

    /// The page. `failed` has the parts that could not be measured in this run, each with its
    /// reason.
    pub(crate) fn page(&self, failed: &[String]) -> String {
        let mut text = INTRODUCTION.to_owned();
        text.push_str(&self.runs());
        let _ =
            write!(text, "## Bounds\n\n{}\n{BOUNDS}", Findings::table(|figure| self.found(figure)));
        let order = Part::all().map(|part| (part.name(), self.0.get(part.name())));
        for (name, measured) in order.clone() {
            let Some(own) = measured else { continue };
            let _ = write!(
                text,
                "## {}\n\n`{COMMAND} -- --only {name}`, {}, {}{}.\n\n{}",
                own.title,
                own.at,
                own.revision,
                own.stolen(),
                own.text
            );
        }
        text.push_str("## Not measured\n\n- A network: everything talks over loopback.\n");
        let left_out: Vec<_> =
            order.clone().filter(|(_, own)| own.is_none()).map(|(name, _)| name).collect();
        if !left_out.is_empty() {
            let _ = writeln!(text, "- Not yet: {}.", left_out.join(", "));
        }
        let lacking = order.filter_map(|(_, own)| own).flat_map(|own| &own.not_measured);
        for reason in lacking.chain(failed) {
            let _ = writeln!(text, "- {reason}");
        }
        text
    }

    /// How the parts were measured, and what must be known of it.
    fn runs(&self) -> String {
        let mut ways: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, own) in Part::all().filter_map(|part| self.0.get_key_value(part.name())) {
            let way = format!(
                "{}, Redis {}, {} rounds of {}.{} s{}{}",
                own.machine,
                own.redis,
                own.rounds,
                own.lasts_ms / 1_000,
                own.lasts_ms % 1_000 / 100,
                if own.quick {
                    "; **a quick run: it shows that it runs, not how fast**"
                } else {
                    ""
                },
                if own.optimised {
                    ""
                } else {
                    "; **built without optimisation: no figure of time means anything**"
                },
            );
            ways.entry(way).or_default().push(name);
        }
        let mut text = String::new();
        let only = ways.len() == 1;
        for (way, names) in ways {
            let of = if only { "All of it".to_owned() } else { names.join(", ") };
            let _ = writeln!(text, "- {of}: {way}.");
        }
        text.push('\n');
        text
    }

    /// What its part found for a figure; where it has none, all of them together that decide, if
    /// none of these is missing.
    fn found(&self, figure: Figure) -> Option<Found> {
        if let Some(part) = figure.part() {
            return self.0.get(part)?.findings.get(figure);
        }
        let deciding = Part::all().filter(|part| part.decides());
        let found: Option<Vec<_>> =
            deciding.map(|part| self.0.get(part.name())?.findings.get(figure)).collect();
        found?.into_iter().reduce(Found::and)
    }
}

/// Whole, with all parts.
const COMMAND: &str = "cargo run --release -p transom-bench";

const BOUNDS: &str = "What stands in the way: of the rates, the time of the cores for an answer, \
and how much of it is left without a limiter, under *Profile*; of the ratio to limitador, what the \
handler reaches with no limiter at all, under *On Redis*; of the script, its Lua, as the row of its \
commands alone shows, under *The script*, and without the noise of the machine under *Instructions*; \
of a million keys, what a command takes there, under *Growth*; of p99, cores that are busier than with \
PING, whose p99 where it keeps them as busy stands there too, under *Latency at a constant rate*. An \
over-admission is an admission that was, with others of its caller, \
sent and answered within less than a window, and is one more than the window holds; it is looked for \
in every load on Transom, warm-up included, in each round by itself, and in one load that is longer \
than a minute, under *On Redis*. A bound is not reached where \
more than 0.1 % of the requests of a load behind it failed or were decided without Redis.\n\n";

const INTRODUCTION: &str = "# Benchmarks\n\nWritten by `cargo run --release -p transom-bench`, \
which measures all of it, or by the command under a title, which measures that part again; do not \
edit.\n\nThe load generator, the workers or handlers, and Redis run on one machine and share its \
cores, none of them pinned to one; it is so for all that is compared. Figures of two systems are \
compared within one run only, as the median of the ratios of the rounds where nothing else is said. \
In each round the systems take turns, each round begins with another one, and Redis is emptied before \
each turn where nothing else is said. The host of a virtual machine may give its cores to others: where \
it does, rates are lower and tails longer, of the busiest above all. The warm-up is left out of rates \
and latencies; it is in what an answer took of the cores. An \
absolute figure says little about another machine.\n\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Lapses;

    #[test]
    fn what_was_measured_is_written_where_no_folder_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b/results.json");
        let mut results = Results::default();
        results.put("faces", measured(750, 0));
        results.write(&file).unwrap();
        assert_eq!(Results::read(&file).unwrap().page(&[]), results.page(&[]));
    }

    fn measured(ratio: u64, above: u64) -> Measured {
        let (mut findings, lapses) = (Findings::default(), Lapses::default());
        findings.ratio(Figure::PingHandler, Some([ratio].into_iter().collect()), lapses);
        findings.add(Figure::OverAdmitted, above, lapses);
        Measured {
            at: String::new(),
            took_s: 0,
            stolen_per_mille: Some(12),
            revision: String::new(),
            machine: String::new(),
            redis: String::new(),
            rounds: 1,
            lasts_ms: 0,
            quick: true,
            optimised: false,
            title: String::new(),
            text: String::new(),
            findings,
            not_measured: vec![],
        }
    }

    #[test]
    fn a_figure_is_its_parts_and_only_over_admissions_are_summed() {
        let mut results = Results::default();
        let found = |value, rounds| {
            let lapses = Lapses::default();
            Some(Found::Value { value, lapses, rounds })
        };
        let ratio = |value| found(value, Some((value, value)));
        let mut all = Part::all().filter(|part| part.decides()).map(Part::name);
        results.put("faces", measured(800, 2));
        assert_eq!(results.found(Figure::PingHandler), ratio(800));
        assert_eq!(results.found(Figure::OverAdmitted), None, "others may have some");
        for part in all.by_ref().filter(|part| *part != "faces") {
            results.put(part, measured(300, u64::from(part == "growth") * 3));
        }
        assert_eq!(results.found(Figure::OverAdmitted), found(5, None));
        results.put("faces", measured(700, 1));
        assert_eq!(results.found(Figure::PingHandler), ratio(700));
        assert_eq!(results.found(Figure::OverAdmitted), found(4, None));
    }
}
