//! The bounds that the figures are held against.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::load::Lapses;
use crate::stats::{PerMille, Series, grouped};

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
         script that says yes or no, called once for each",
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
    /// The part that measures it; `None` of what is counted over all of them.
    pub(crate) const fn part(self) -> Option<&'static str> {
        match self {
            Self::PeerOnRedis => Some("peers"),
            Self::PingHandler => Some("faces"),
            Self::HotKey | Self::ManyKeys | Self::LongWindows => Some("growth"),
            Self::Script16 => Some("script"),
            Self::TailLatency => Some("latency"),
            Self::BytesEach => Some("bytes"),
            Self::OverAdmitted => None,
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
pub(crate) struct Findings(BTreeMap<Figure, Found>);

/// What was found for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Found {
    /// With what was not as it should be in the worst of the loads that it is made of, and, of a
    /// median, the lowest and the highest round.
    Value { value: u64, lapses: Lapses, rounds: Option<(u64, u64)> },
    /// The machine does not tell what it is made of.
    CannotBeMeasured,
}

impl Found {
    /// Both together, of what is counted over several loads or parts.
    pub(crate) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Value { value, lapses, .. },
                Self::Value { value: more, lapses: others, .. },
            ) => Self::Value { value: value + more, lapses: lapses.or_worse(others), rounds: None },
            _ => Self::CannotBeMeasured,
        }
    }
}

impl Findings {
    /// The median of the rounds' ratios, with the lapses of the worse of both loads; `None` where
    /// the machine does not tell.
    pub(crate) fn ratio(&mut self, figure: Figure, ratios: Option<Series>, lapses: Lapses) {
        let found = ratios.map(|ratios| {
            let (value, rounds) = (ratios.median(), Some(ratios.range()));
            Found::Value { value, lapses, rounds }
        });
        self.0.insert(figure, found.unwrap_or(Found::CannotBeMeasured));
    }

    /// A number that no load is behind.
    pub(crate) fn count(&mut self, figure: Figure, value: u64) {
        let lapses = Lapses::default();
        self.0.insert(figure, Found::Value { value, lapses, rounds: None });
    }

    /// More of what is counted over several loads.
    pub(crate) fn add(&mut self, figure: Figure, value: u64, lapses: Lapses) {
        let more = Found::Value { value, lapses, rounds: None };
        self.0.entry(figure).and_modify(|found| *found = found.and(more)).or_insert(more);
    }

    /// What was found for one.
    pub(crate) fn get(&self, figure: Figure) -> Option<Found> {
        self.0.get(&figure).copied()
    }

    /// The table, in Markdown, of what was `found` for each figure.
    pub(crate) fn table(found: impl Fn(Figure) -> Option<Found>) -> String {
        let mut text = "| | bound | measured | lowest to highest round | | `--only` |\n\
                        | --- | ---: | ---: | ---: | --- | --- |\n"
            .to_owned();
        for (figure, what, bound) in &BOUNDS {
            let none = || "-".to_owned();
            let (shown, range, end) = match found(*figure) {
                Some(Found::Value { value, lapses, rounds }) => {
                    let range = rounds.map_or_else(none, |(lowest, highest)| {
                        format!("{} to {}", bound.show(lowest), bound.show(highest))
                    });
                    (bound.show(value), range, bound.judge(value, lapses))
                }
                Some(Found::CannotBeMeasured) => {
                    (none(), none(), "cannot be measured here".to_owned())
                }
                None => (none(), none(), "not measured".to_owned()),
            };
            let part = figure.part().unwrap_or("each part that decides");
            let _ = writeln!(text, "| {what} | {bound} | {shown} | {range} | {end} | {part} |");
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

    /// Whether it is reached, and how far off it is. With too many lapses it is not.
    fn judge(&self, value: u64, lapses: Lapses) -> String {
        match (self.holds(value), lapses.matter()) {
            (true, false) => "reached".to_owned(),
            (true, true) => format!("**not shown**: {lapses}"),
            (false, false) => self.miss(value),
            (false, true) => format!("{}; {lapses}", self.miss(value)),
        }
    }

    /// How far off it is.
    fn miss(&self, value: u64) -> String {
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

    const CLEAN: Lapses = Lapses { failed: 0, degraded: 0, of: 1_000 };

    fn rounds(values: &[u64]) -> Option<Series> {
        Some(values.iter().copied().collect())
    }

    fn line(findings: &Findings, figure: Figure) -> String {
        let place = BOUNDS.iter().position(|(bounded, ..)| *bounded == figure).unwrap();
        Findings::table(|figure| findings.get(figure)).lines().nth(place + 2).unwrap().to_owned()
    }

    #[test]
    fn a_bound_is_reached_on_its_own_side() {
        let mut findings = Findings::default();
        findings.ratio(Figure::PingHandler, rounds(&[700, 800, 749]), CLEAN);
        findings.ratio(Figure::TailLatency, rounds(&[1_500]), CLEAN);
        findings.count(Figure::OverAdmitted, 1);
        assert!(
            line(&findings, Figure::PingHandler)
                .contains("| 0.74 | 0.70 to 0.80 | **not reached**: 99 % of the bound |")
        );
        let tail = line(&findings, Figure::TailLatency);
        assert!(tail.contains("| 1.50 | 1.50 to 1.50 | reached |"), "{tail}");
        assert!(line(&findings, Figure::OverAdmitted).contains("| 1 | - | **not reached** |"));
        assert!(line(&findings, Figure::HotKey).contains("| - | - | not measured |"));
    }

    #[test]
    fn a_bound_is_not_reached_by_failing() {
        let mut findings = Findings::default();
        // One in a thousand is as it may be; one more is not.
        let lapses = |degraded| Lapses { failed: 5, degraded, of: 10_000 };
        findings.ratio(Figure::PingHandler, rounds(&[800]), lapses(5));
        findings.ratio(Figure::TailLatency, rounds(&[900]), lapses(6));
        findings.ratio(Figure::HotKey, rounds(&[450]), lapses(6));
        assert!(line(&findings, Figure::PingHandler).contains("| reached |"));
        let said = "5 of 10,000 failed, 6 decided without Redis |";
        let (tail, hot) = (line(&findings, Figure::TailLatency), line(&findings, Figure::HotKey));
        assert!(tail.contains(&format!("| **not shown**: {said}")), "{tail}");
        assert!(hot.contains(&format!("**not reached**: 50 % of the bound; {said}")), "{hot}");
    }

    #[test]
    fn a_load_that_fails_is_not_hidden_by_others() {
        let mut findings = Findings::default();
        findings.add(Figure::OverAdmitted, 0, Lapses::default());
        findings.add(Figure::OverAdmitted, 0, Lapses { failed: 0, degraded: 1, of: 9_000 });
        assert!(line(&findings, Figure::OverAdmitted).contains("| 0 | - | reached |"));
        findings.add(Figure::OverAdmitted, 0, Lapses { failed: 9, degraded: 0, of: 1_000 });
        findings.add(Figure::OverAdmitted, 0, Lapses { failed: 0, degraded: 0, of: 90_000 });
        assert!(line(&findings, Figure::OverAdmitted).contains("**not shown**: 9 of 1,000 failed"));
        let mut others = Findings::default();
        others.add(Figure::OverAdmitted, 0, Lapses::default());
        others.add(Figure::OverAdmitted, 0, Lapses { failed: 9, degraded: 0, of: 1_000 });
        assert!(line(&others, Figure::OverAdmitted).contains("**not shown**: 9 of 1,000 failed"));
    }

    #[test]
    fn what_the_machine_does_not_tell_is_not_reached() {
        let mut findings = Findings::default();
        findings.ratio(Figure::Script16, None, CLEAN);
        assert!(line(&findings, Figure::Script16).contains("| - | - | cannot be measured here |"));
    }
}
