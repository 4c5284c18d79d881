//! The bounds that the figures are held against.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::stats::{PerMille, grouped};

/// A figure with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Figure {
    PeerOnRedis,
    PingHandler,
    HotKey,
    Script16,
    ManyKeys,
    LongWindows,
    TailLatency,
    BytesEach,
    OverAdmitted,
}

enum Bound {
    /// A ratio of at least so much.
    AtLeast(PerMille),
    /// A ratio of at most so much.
    AtMost(PerMille),
    /// A number of at most so much.
    Count(u64),
}

/// What is asked, in the order of the table.
const BOUNDS: [(Figure, &str, Bound); 9] = [
    (
        Figure::PeerOnRedis,
        "decide on Redis, 20,000 keys, against limitador on Redis with the same two limits behind \
         the same HTTP load",
        Bound::AtLeast(PerMille(2_500)),
    ),
    (
        Figure::PingHandler,
        "decide on Redis, against the PING handler",
        Bound::AtLeast(PerMille(750)),
    ),
    (
        Figure::HotKey,
        "one hot key, nearly all denied, against the no-op handler",
        Bound::AtLeast(PerMille(900)),
    ),
    (
        Figure::Script16,
        "the script, 16 requests a call, decisions a second of Redis, against a single-value GCRA \
         script called once for each",
        Bound::AtLeast(PerMille(700)),
    ),
    (Figure::ManyKeys, "a million keys against a thousand", Bound::AtLeast(PerMille(900))),
    (
        Figure::LongWindows,
        "a limit of 6,000 a minute against 60, windows half full",
        Bound::AtLeast(PerMille(800)),
    ),
    (
        Figure::TailLatency,
        "p99 at half of the saturation rate, against the PING handler's at the same rate",
        Bound::AtMost(PerMille(1_500)),
    ),
    (
        Figure::BytesEach,
        "bytes in Redis of an identity that has used all 60 + 2",
        Bound::Count(1_600),
    ),
    (Figure::OverAdmitted, "over-admissions in any of it", Bound::Count(0)),
];

impl Figure {
    /// The part that measures it.
    const fn part(self) -> &'static str {
        match self {
            Self::PeerOnRedis => "peers",
            Self::PingHandler => "faces",
            Self::HotKey | Self::ManyKeys | Self::LongWindows => "growth",
            Self::Script16 => "script",
            Self::TailLatency => "latency",
            Self::BytesEach => "bytes",
            Self::OverAdmitted => "each part that decides",
        }
    }

    /// The ratio that is asked for, in thousandths; 0 where a number is.
    pub(crate) fn ratio(self) -> u64 {
        let bound = BOUNDS.iter().find(|(figure, ..)| *figure == self).map(|(_, _, bound)| bound);
        match bound {
            Some(Bound::AtLeast(ratio) | Bound::AtMost(ratio)) => ratio.0,
            Some(Bound::Count(_)) | None => 0,
        }
    }
}

/// What was found for the figures.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Findings(BTreeMap<Figure, u64>);

impl Findings {
    /// A ratio.
    pub(crate) fn ratio(&mut self, figure: Figure, value: PerMille) {
        self.0.insert(figure, value.0);
    }

    /// A number.
    pub(crate) fn count(&mut self, figure: Figure, value: u64) {
        self.0.insert(figure, value);
    }

    /// More of what is counted over several parts.
    pub(crate) fn add(&mut self, figure: Figure, value: u64) {
        *self.0.entry(figure).or_default() += value;
    }

    /// What was found for one.
    pub(crate) fn get(&self, figure: Figure) -> Option<u64> {
        self.0.get(&figure).copied()
    }

    /// The table, in Markdown, of what was `found` for each figure.
    pub(crate) fn table(found: impl Fn(Figure) -> Option<u64>) -> String {
        let mut text =
            "| | bound | measured | | `--only` |\n| --- | ---: | ---: | --- | --- |\n".to_owned();
        for (figure, what, bound) in &BOUNDS {
            let found = found(*figure);
            let shown = found.map_or_else(|| "-".to_owned(), |value| bound.show(value));
            let end = found.map_or_else(|| "not measured".to_owned(), |value| bound.judge(value));
            let part = figure.part();
            let _ = writeln!(text, "| {what} | {bound} | {shown} | {end} | {part} |");
        }
        text
    }
}

impl Bound {
    const fn holds(&self, value: u64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least.0,
            Self::AtMost(most) => value <= most.0,
            Self::Count(most) => value <= *most,
        }
    }

    /// Whether it is reached, and how far off it is.
    fn judge(&self, value: u64) -> String {
        if self.holds(value) {
            return "reached".to_owned();
        }
        let (Self::AtLeast(PerMille(bound)) | Self::AtMost(PerMille(bound)) | Self::Count(bound)) =
            self;
        let percent = value * 100 / (*bound).max(1);
        match self {
            Self::Count(0) => "**not reached**".to_owned(),
            _ => format!("**not reached**: {percent} % of the bound"),
        }
    }

    fn show(&self, value: u64) -> String {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) => PerMille(value).to_string(),
            Self::Count(_) => grouped(value),
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::Count(most) => write!(f, "at most {}", grouped(*most)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(findings: &Findings, figure: Figure) -> String {
        let place = BOUNDS.iter().position(|(bounded, ..)| *bounded == figure).unwrap();
        Findings::table(|figure| findings.get(figure)).lines().nth(place + 2).unwrap().to_owned()
    }

    #[test]
    fn a_bound_is_reached_on_its_own_side() {
        let mut findings = Findings::default();
        findings.ratio(Figure::PingHandler, PerMille(749));
        findings.ratio(Figure::TailLatency, PerMille(1_500));
        findings.count(Figure::OverAdmitted, 1);
        assert!(
            line(&findings, Figure::PingHandler)
                .contains("| 0.74 | **not reached**: 99 % of the bound |")
        );
        assert!(line(&findings, Figure::TailLatency).contains("| 1.50 | reached |"));
        assert!(line(&findings, Figure::OverAdmitted).contains("| 1 | **not reached** |"));
        assert!(line(&findings, Figure::HotKey).contains("| - | not measured |"));
    }
}
