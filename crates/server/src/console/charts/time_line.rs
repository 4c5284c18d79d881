//! One window as a time line: each admission a mark at its time, as high as its units.

use std::collections::BTreeMap;

use maud::{Markup, html};
use transom_core::Window;

use crate::console::words;
use crate::operator::{MarkDoc, TimeLine};

/// Marks within one column stand on each other.
const COLUMNS: u64 = 125;
const COLUMN: u64 = 10;
const WIDTH: u64 = COLUMNS * COLUMN;
const MARK: u64 = 8;
const HEIGHT: u64 = 12_000;
/// The most that one unit is high.
const UNIT_MAX: u64 = 2_400;
/// With more marks, those of a column are drawn as one.
const MARKS_MAX: usize = 400;

/// The most that lies between two reads of the store for one page.
const SLOWEST_US: u64 = 20_000_000;

/// What the marks of one chart have in common. Times in microseconds.
#[derive(Clone, Copy)]
struct Scene {
    now_us: u64,
    length_us: u64,
    /// Until the next request fits.
    wait_us: u64,
    /// How high a unit is.
    unit: u64,
}

/// The chart of a window at `now_us`. What lies left of the line has to leave before the next
/// request fits.
pub(in crate::console) fn time_line(window: Window, line: &TimeLine, now_us: u64) -> Markup {
    let length_us = window.length_us();
    let now_us = time_of(line, length_us, now_us);
    let wait_us = line.window.wait_ms.saturating_mul(1_000).min(length_us);
    let columns = columns(&line.marks, now_us, length_us);
    let unit = (HEIGHT / highest(&columns).max(1)).clamp(1, UNIT_MAX);
    let scene = Scene { now_us, length_us, wait_us, unit };
    let edge = WIDTH * wait_us / length_us;
    let quarters = (0..=4).map(|quarter| format!("M{} 0V{HEIGHT}", WIDTH * quarter / 4));
    html! {
        svg.line viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
            aria-label=(says(window, line)) {
            @if edge > 0 { rect.waits width=(edge) height=(HEIGHT) {} }
            path.grid d=(quarters.collect::<String>()) {}
            @if edge > 0 { path.edge d={ "M" (edge) " 0V" (HEIGHT) } {} }
            @for (begins_us, marks) in &columns { (stack(*begins_us, marks, scene)) }
            path.base d={ "M0 " (HEIGHT) "H" (WIDTH) } {}
        }
    }
}

/// When the window was read, a little after `at_us`: the oldest mark and when it leaves tell. A
/// mark may be younger still.
fn time_of(line: &TimeLine, length_us: u64, at_us: u64) -> u64 {
    let oldest = line.marks.first().filter(|_| !line.truncated && line.window.reset_ms > 0);
    let reset_us = line.window.reset_ms.saturating_mul(1_000);
    let told =
        oldest.map_or(0, |mark| mark.at_us.saturating_add(length_us).saturating_sub(reset_us));
    let told = if told.saturating_sub(at_us) < SLOWEST_US { told } else { at_us };
    line.marks.iter().map(|mark| mark.at_us).fold(told.max(at_us), u64::max)
}

/// The marks that count, by when their column begins. Columns are cut in the time of the store, so
/// marks that stand on each other stay together.
fn columns(marks: &[MarkDoc], now_us: u64, length_us: u64) -> BTreeMap<u64, Vec<MarkDoc>> {
    let mut columns: BTreeMap<u64, Vec<MarkDoc>> = BTreeMap::new();
    let column_us = length_us / COLUMNS;
    for mark in marks.iter().filter(|mark| now_us.saturating_sub(mark.at_us) < length_us) {
        let column = columns.entry(mark.at_us - mark.at_us % column_us).or_default();
        match column.last_mut() {
            Some(last) if marks.len() > MARKS_MAX => {
                last.units = last.units.saturating_add(mark.units);
            }
            _ => column.push(*mark),
        }
    }
    columns
}

fn highest(columns: &BTreeMap<u64, Vec<MarkDoc>>) -> u64 {
    let units = |marks: &Vec<MarkDoc>| marks.iter().map(|mark| u64::from(mark.units)).sum();
    columns.values().map(units).max().unwrap_or(0)
}

fn stack(begins_us: u64, marks: &[MarkDoc], scene: Scene) -> Markup {
    let Scene { now_us, length_us, wait_us, unit } = scene;
    let from_start_us = begins_us.saturating_add(length_us).saturating_sub(now_us).min(length_us);
    let x = (WIDTH * from_start_us / length_us).min(WIDTH - COLUMN) + 1;
    let mut y = HEIGHT;
    html! {
        @for mark in marks {
            @let height = u64::from(mark.units).saturating_mul(unit).min(y);
            @let () = y -= height;
            @let age_us = now_us.saturating_sub(mark.at_us);
            @let leaves = wait_us > 0 && age_us + wait_us >= length_us;
            @let gap = height / 10;
            rect.mark.leaves[leaves] x=(x) y=(y + gap) width=(MARK) height=(height - gap) {
                title {
                    (words::units(mark.units.into())) ", " (words::ago(age_us)) ", at "
                    (words::time_of_day(mark.at_us)) " UTC"
                }
            }
        }
    }
}

/// The chart in words.
fn says(window: Window, line: &TimeLine) -> String {
    let used = words::number(line.window.used.into());
    let limit = words::number(line.window.limit.into());
    format!("Admissions in the last {} s: {used} of {limit} units used", window.length_s())
}
