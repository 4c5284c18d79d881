//! How things are shown to people: times, tables, colour.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, SystemTime};

use comfy_table::{CellAlignment, Table, presets};
use transom_core::delay;

/// The first microsecond of the year 10000, which has no written form.
const YEAR_10000_US: u64 = 253_402_300_800_000_000;
const SECOND_US: u64 = 1_000_000;

/// Colour, where it is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    /// None.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self(false);

    /// On a terminal, unless `NO_COLOR` is set to anything.
    pub(crate) fn for_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(std::io::stdout().is_terminal() && !unwanted)
    }

    /// What is as it should be.
    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What deserves a look.
    pub(crate) fn odd(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What is wrong, or denied.
    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// A title.
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A text without its power over a terminal.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            plain.extend(character.escape_debug());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// The time of this machine, in microseconds since 1970, to say how long ago something was.
#[expect(clippy::disallowed_methods, reason = "shown to people; no limit moves by it")]
pub(crate) fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// A time, such as `2026-11-24 08:29:00 UTC`.
pub(crate) fn utc(at_us: u64) -> String {
    if at_us >= YEAR_10000_US {
        return "after the year 9999".to_owned();
    }
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(at_us);
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

/// A time both ways, such as `2026-11-24 08:29:00 UTC (in 1 h 59 min)`.
pub(crate) fn both(at_us: u64, now_us: u64) -> String {
    format!("{} ({})", utc(at_us), relative(at_us, now_us))
}

/// When something ends: a time both ways, or `for good`.
pub(crate) fn end(until_us: Option<u64>, now_us: u64) -> String {
    until_us.map_or_else(|| "for good".to_owned(), |until_us| both(until_us, now_us))
}

/// A time as seen from now, such as `in 1 h 59 min` or `12 s ago`.
pub(crate) fn relative(at_us: u64, now_us: u64) -> String {
    if at_us > now_us {
        format!("in {}", wait(at_us - now_us))
    } else {
        format!("{} ago", span((now_us - at_us) / SECOND_US))
    }
}

/// A wait, rounded up to what is shown: tenths of a second below ten.
pub(crate) fn wait(us: u64) -> String {
    let tenths = delay::tenths(us);
    if tenths < 100 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    span(delay::seconds(us))
}

/// Seconds in the two largest units that they fill.
fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let largest = units.iter().position(|(_, length)| seconds >= *length).unwrap_or(3);
    let mut text = String::new();
    let mut left = seconds;
    for (unit, length) in units.iter().skip(largest).take(2) {
        let count = left / length;
        left %= length;
        if count > 0 || text.is_empty() {
            let space = if text.is_empty() { "" } else { " " };
            // Writing to a String does not fail.
            let _ = write!(text, "{space}{count} {unit}");
        }
    }
    text
}

/// `1 unit`, `2 units`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// A table with a header. Columns whose places are in `numbers` stand to the right.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    numbers: &[usize],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| plain(&cell)));
    }
    for column in table.column_iter_mut() {
        if numbers.contains(&column.index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Lines of a title and what is to be said of it.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let lines = facts.iter().map(|(title, said)| format!("{title:<12} {}", plain(said)));
    lines.collect::<Vec<_>>().join("\n")
}

/// A listing: the table, or that there is nothing, and whether it was cut.
pub(crate) fn listing(table: &str, shown: usize, more: bool, nothing: &str) -> String {
    match (shown, more) {
        (0, _) => nothing.to_owned(),
        (_, false) => table.to_owned(),
        (shown, true) => format!("{table}\n\nThere are more; these are {shown}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = 1_800_000_000_000_000;

    #[test]
    fn a_time_is_told_in_the_two_largest_units() {
        for (after_us, text) in [
            (1, "in 0.1 s"),
            (890_250, "in 0.9 s"),
            (9_900_001, "in 10 s"),
            (59_000_001, "in 1 min"),
            (7_199_000_000, "in 1 h 59 min"),
            (7_200_000_000, "in 2 h"),
            (90_061_000_000, "in 1 d 1 h"),
        ] {
            assert_eq!(relative(NOW_US + after_us, NOW_US), text);
        }
        for (before_us, text) in [
            (0, "0 s ago"),
            (12_999_999, "12 s ago"),
            (61_000_000, "1 min 1 s ago"),
            (400 * 86_400 * SECOND_US, "400 d ago"),
        ] {
            assert_eq!(relative(NOW_US - before_us, NOW_US), text);
        }
        assert_eq!(relative(0, u64::MAX), "213503982 d 8 h ago");
        assert_eq!(both(NOW_US, NOW_US - 500_000), "2027-01-15 08:00:00 UTC (in 0.5 s)");
        assert_eq!(end(None, NOW_US), "for good");
    }

    #[test]
    fn a_time_that_cannot_be_written_is_said_to_be_far() {
        assert_eq!(utc(YEAR_10000_US - 1), "9999-12-31 23:59:59 UTC");
        for far in [YEAR_10000_US, u64::MAX] {
            assert_eq!(utc(far), "after the year 9999");
        }
    }

    #[test]
    fn what_is_shown_has_no_power_over_a_terminal() {
        assert_eq!(plain("user:\u{1b}[2Ja\nb"), r"user:\u{1b}[2Ja\nb");
        let table = table(["who"], &[], [["a\u{1b}]0;b\u{7}".to_owned()]]);
        assert!(!table.contains(['\u{1b}', '\u{7}']), "{table:?}");
    }

    #[test]
    fn colour_is_there_only_where_it_is_wanted() {
        assert_eq!(Paint(true).bad("denied"), "\u{1b}[31mdenied\u{1b}[0m");
        assert_eq!(Paint::NONE.bad("denied"), "denied");
    }
}
