//! A window on a line of time: each column a slice of it, as high as its admissions.

use transom_server::operator::TimeLine;

use crate::show::{Paint, counted, wait};

/// From an eighth of a column to all of it.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a window is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    name: &'static str,
    columns: usize,
    /// What a column covers, in microseconds.
    column_us: u64,
    /// What stands below its left end, and below its middle.
    marks: [&'static str; 2],
}

/// The minute window, a column a second.
pub(super) const MINUTE: Axis =
    Axis { name: "minute", columns: 60, column_us: 1_000_000, marks: ["-60s", "-30s"] };
/// The second window, a column every 20 ms.
pub(super) const SECOND: Axis =
    Axis { name: "second", columns: 50, column_us: 20_000, marks: ["-1s", "-0.5s"] };

impl Axis {
    /// The columns, the axis below them, and where the window stands.
    pub(super) fn render(self, line: &TimeLine, now_us: u64, paint: Paint) -> String {
        let Self { name, columns, marks: [left, middle], .. } = self;
        let units = self.units(line, now_us);
        let highest = units.iter().copied().max().unwrap_or(0);
        let bars: String = units.iter().map(|units| bar(*units, highest)).collect();
        let full = line.window.remaining == 0;
        let bars = if full { paint.bad(&bars) } else { paint.good(&bars) };
        let half = columns / 2;
        let axis = format!("{left:<half$}{middle:<rest$}now", rest = columns - half - 3);
        let said = self.said(line, highest);
        format!("{name}  |{bars}|\n{:9}{axis}\n{:9}{said}", "", "")
    }

    /// The units that were admitted within each column, the oldest first. Marks of a time that is
    /// to come, by a clock that has moved since, stand at the end.
    fn units(self, line: &TimeLine, now_us: u64) -> Vec<u64> {
        let mut units = vec![0; self.columns];
        for mark in &line.marks {
            let age = now_us.saturating_sub(mark.at_us) / self.column_us;
            let from_end = usize::try_from(age).unwrap_or(usize::MAX);
            let column = self.columns.checked_sub(1).and_then(|last| last.checked_sub(from_end));
            if let Some(sum) = column.and_then(|column| units.get_mut(column)) {
                *sum += u64::from(mark.units);
            }
        }
        units
    }

    fn said(self, line: &TimeLine, highest: u64) -> String {
        let window = &line.window;
        let mut said = format!("{}/{} used, {} left", window.used, window.limit, window.remaining);
        if window.used > 0 {
            let leaves = wait(window.reset_ms.saturating_mul(1_000));
            said.push_str(&format!("; the oldest leaves in {leaves}"));
        }
        if highest > 0 {
            said.push_str(&format!("; the highest column is {}", counted(highest, "unit")));
        }
        if line.truncated {
            said.push_str("; older ones are not drawn");
        }
        said
    }
}

/// Any unit at all is seen.
fn bar(units: u64, highest: u64) -> char {
    let eighths = units.saturating_mul(8).div_ceil(highest.max(1));
    let height = usize::try_from(eighths).ok().and_then(|eighths| eighths.checked_sub(1));
    height.map_or(' ', |height| HEIGHTS[height.min(HEIGHTS.len() - 1)])
}

#[cfg(test)]
mod tests {
    use transom_server::operator::{MarkDoc, WindowDoc};

    use super::*;

    const NOW_US: u64 = 1_800_000_000_000_000;

    fn line(marks: &[(u64, u32)]) -> TimeLine {
        let mark = |(ago_us, units): &(u64, u32)| MarkDoc { at_us: NOW_US - ago_us, units: *units };
        let used = marks.iter().map(|(_, units)| units).sum();
        let window = WindowDoc { limit: 60, used, remaining: 60 - used, reset_ms: 900, wait_ms: 0 };
        TimeLine { window, marks: marks.iter().map(mark).collect(), truncated: false }
    }

    #[test]
    fn a_minute_has_a_column_for_each_second() {
        let marks = [(59_999_999, 8), (30_000_000, 1), (2_500_000, 2), (2_100_000, 2), (0, 5)];
        let expected = "\
minute  |█                            ▁                           ▄ ▅|
         -60s                          -30s                       now
         18/60 used, 42 left; the oldest leaves in 0.9 s; the highest column is 8 units";
        assert_eq!(MINUTE.render(&line(&marks), NOW_US, Paint::NONE), expected);
    }

    #[test]
    fn a_second_has_a_column_for_each_20_ms() {
        let expected = "\
second  |█                        █                       █|
         -1s                      -0.5s                 now
         3/60 used, 57 left; the oldest leaves in 0.9 s; the highest column is 1 unit";
        let marks = [(999_999, 1), (490_000, 1), (19_999, 1)];
        assert_eq!(SECOND.render(&line(&marks), NOW_US, Paint::NONE), expected);
    }

    #[test]
    fn an_empty_window_is_an_empty_line() {
        let shown = SECOND.render(&line(&[]), NOW_US, Paint::NONE);
        assert!(shown.starts_with(&format!("second  |{}|\n", " ".repeat(50))), "{shown}");
        assert!(shown.ends_with("\n         0/60 used, 60 left"), "{shown}");
    }

    #[test]
    fn what_has_left_or_is_to_come_breaks_nothing() {
        let mut odd = line(&[(61_000_000, 1), (NOW_US, 1)]);
        odd.marks.push(MarkDoc { at_us: u64::MAX, units: u32::MAX });
        odd.truncated = true;
        let units = MINUTE.units(&odd, NOW_US);
        assert_eq!((units[..59].iter().sum::<u64>(), units[59]), (0, u64::from(u32::MAX)));
        let shown = MINUTE.render(&odd, NOW_US, Paint::NONE);
        assert!(shown.ends_with("; older ones are not drawn"), "{shown}");
    }

    #[test]
    fn any_unit_is_seen_and_the_most_are_the_highest() {
        let bars: String = (0..=16).map(|units| bar(units, 16)).collect();
        assert_eq!(bars, " ▁▁▂▂▃▃▄▄▅▅▆▆▇▇██");
        assert_eq!((bar(1, 1_000_000), bar(0, 0)), ('▁', ' '));
    }
}
