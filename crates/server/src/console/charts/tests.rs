use transom_core::{Traffic, Window};

use super::traffic::ceiling;
use super::*;
use crate::operator::{BucketDoc, MarkDoc, TimeLine, TrafficDoc, WindowDoc};

const NOW_US: u64 = 1_800_000_000_000_000;

fn line(marks: &[(u64, u32)], limit: u32, wait_ms: u64) -> TimeLine {
    let used = marks.iter().map(|(_, units)| units).sum();
    let window = WindowDoc { limit, used, wait_ms, ..WindowDoc::default() };
    let mark = |(age_us, units): &(u64, u32)| MarkDoc { at_us: NOW_US - age_us, units: *units };
    TimeLine { window, marks: marks.iter().map(mark).collect(), truncated: false }
}

/// The value of an attribute of each element that begins like this.
fn values(svg: &str, element: &str, attribute: &str) -> Vec<u64> {
    let begin = format!("{attribute}=\"");
    svg.split('<')
        .filter(|part| part.starts_with(element))
        .filter_map(|part| part.split_once(&begin)?.1.split_once('"')?.0.parse().ok())
        .collect()
}

fn drawn(window: Window, line: &TimeLine) -> String {
    time_line(window, line, NOW_US).into_string()
}

const MARKS: &str = "rect class=\"mark";

#[test]
fn each_admission_is_a_mark_at_its_time() {
    let svg = drawn(Window::Minute, &line(&[(48_000_000, 1), (24_000_000, 1), (0, 1)], 60, 0));
    assert_eq!(values(&svg, MARKS, "x"), [251, 751, 1_241]);
    let svg = drawn(Window::Second, &line(&[(800_000, 1), (400_000, 1)], 2, 0));
    assert_eq!(values(&svg, MARKS, "x"), [251, 751]);
}

#[test]
fn a_mark_is_as_high_as_its_units_and_two_of_one_time_stand_on_each_other() {
    let svg =
        drawn(Window::Minute, &line(&[(30_000_000, 4), (10_000_000, 1), (10_000_000, 1)], 60, 0));
    assert_eq!(values(&svg, MARKS, "height"), [8_640, 2_160, 2_160]);
    assert_eq!(values(&svg, MARKS, "y"), [3_360, 9_840, 7_440]);
}

#[test]
fn what_has_left_the_window_is_not_drawn() {
    let svg = drawn(Window::Second, &line(&[(1_000_000, 1), (999_999, 1)], 2, 0));
    assert_eq!(values(&svg, MARKS, "x").len(), 1);
}

#[test]
fn what_has_to_leave_before_the_next_request_fits_lies_left_of_a_line() {
    let svg = drawn(Window::Minute, &line(&[(59_000_000, 1), (20_000_000, 1)], 2, 6_000));
    assert_eq!(values(&svg, "rect class=\"waits\"", "width"), [125]);
    assert_eq!(values(&svg, "rect class=\"mark leaves\"", "x").len(), 1);
    assert_eq!(values(&svg, "rect class=\"mark\"", "x").len(), 1);
    let free = drawn(Window::Minute, &line(&[(59_000_000, 1)], 2, 0));
    assert!(!free.contains("waits") && !free.contains("leaves"), "{free}");
}

#[test]
fn the_oldest_mark_lies_left_of_the_line_though_the_window_was_read_later_than_the_page() {
    let mut full = line(&[(57_000_000, 1), (20_000_000, 1)], 2, 2_990);
    full.window.reset_ms = 2_990;
    let svg = drawn(Window::Minute, &full);
    assert_eq!(values(&svg, "rect class=\"mark leaves\"", "x").len(), 1, "{svg}");
}

#[test]
fn many_marks_are_drawn_as_one_for_each_column() {
    let marks: Vec<_> = (0..2_000).map(|mark| (59_000_000 - mark * 29_000, 1)).collect();
    let svg = drawn(Window::Minute, &line(&marks, 9_999, 0));
    assert!(values(&svg, MARKS, "x").len() <= 126);
}

#[test]
fn marks_and_limits_that_cannot_be_are_drawn_all_the_same() {
    let window = WindowDoc { limit: 0, used: u32::MAX, wait_ms: u64::MAX, ..WindowDoc::default() };
    let mark = |at_us| MarkDoc { at_us, units: u32::MAX };
    let marks = vec![mark(0), mark(NOW_US), mark(u64::MAX)];
    drawn(Window::Second, &TimeLine { window, marks, truncated: true });
    usage(u32::MAX, 0);
}

#[test]
fn the_bar_of_a_limit_is_full_at_the_limit_and_not_before() {
    let part =
        |used, limit| values(&usage(used, limit).into_string(), "rect class=\"fill", "width");
    assert_eq!(part(0, 60), [0]);
    assert_eq!(part(15, 60), [250]);
    assert_eq!(part(60, 60), [1_000]);
    assert_eq!(part(90, 60), [1_000]);
    assert_eq!(part(0, 0), [1_000]);
    assert!(usage(60, 60).into_string().contains("full"));
    assert!(!usage(59, 60).into_string().contains("full"));
}

fn bucket(at_s: u64, admitted: u64, denied_minute: u64) -> BucketDoc {
    BucketDoc {
        at_s,
        admitted,
        denied_minute,
        denied_second: 0,
        denied_penalty: 0,
        shadow_denied: 0,
        degraded: 0,
    }
}

fn bars(buckets: Vec<BucketDoc>) -> String {
    traffic(&TrafficDoc { at_us: NOW_US, bucket_s: Traffic::BUCKET_S, buckets }).into_string()
}

#[test]
fn the_newest_bucket_is_at_the_right_and_one_that_is_too_old_is_left_out() {
    let now_s = NOW_US / 1_000_000;
    let svg = bars(vec![bucket(now_s - 900, 1, 0), bucket(now_s - 890, 1, 0), bucket(now_s, 1, 0)]);
    assert_eq!(values(&svg, "rect x", "x"), [1, 891]);
}

#[test]
fn the_parts_of_a_bar_stand_on_each_other_and_are_as_high_as_they_count() {
    let svg = bars(vec![bucket(NOW_US / 1_000_000, 50, 50)]);
    assert_eq!(values(&svg, "rect x", "height"), [110, 110]);
    assert_eq!(values(&svg, "rect x", "y"), [110, 0]);
    assert!(svg.contains("Admitted: 50, Denied by the minute: 50"), "{svg}");
}

#[test]
fn a_single_denial_among_many_admissions_can_be_seen() {
    let svg = bars(vec![bucket(NOW_US / 1_000_000, 100_000, 1)]);
    let heights = values(&svg, "rect x", "height");
    assert!(heights.len() == 2 && heights[1] > 0, "{heights:?}");
}

#[test]
fn numbers_that_cannot_be_are_drawn_all_the_same() {
    bars(vec![bucket(u64::MAX, 1, 1), bucket(NOW_US / 1_000_000, u64::MAX / 2, 9)]);
}

#[test]
fn a_scale_ends_at_a_round_number() {
    let tops = [0, 4, 5, 10, 11, 21, 41, 1_000_000, 1_000_001].map(ceiling);
    assert_eq!(tops, [4, 4, 10, 10, 20, 40, 100, 1_000_000, 2_000_000]);
    assert_eq!(ceiling(u64::MAX), u64::MAX);
}
