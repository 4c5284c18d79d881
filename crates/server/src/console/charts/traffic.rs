//! What the fleet has decided in the last quarter of an hour, one bar for each bucket.

use maud::{Markup, html};
use transom_core::Traffic;

use crate::console::words;
use crate::operator::{BucketDoc, TrafficDoc};

/// A kind of decision that is part of a bar.
#[derive(Clone, Copy, Debug)]
pub(in crate::console) struct Series {
    /// The class of its colour.
    pub(in crate::console) name: &'static str,
    /// What it is, in words.
    pub(in crate::console) label: &'static str,
    /// The lines of its pattern, for a tile of 8 by 8; none: plain.
    pub(super) lines: Option<&'static str>,
    /// How many there were.
    pub(in crate::console) count: fn(&BucketDoc) -> u64,
}

/// From the bottom of a bar to its top.
pub(in crate::console) const SERIES: [Series; 5] = [
    Series { name: "admitted", label: "Admitted", lines: None, count: |b| b.admitted },
    Series {
        name: "shadow",
        label: "Passed in shadow mode",
        lines: Some("M0 2H8M0 6H8"),
        count: |b| b.shadow_denied,
    },
    Series {
        name: "minute",
        label: "Denied by the minute",
        lines: Some("M-2 2L2 -2M0 8L8 0M6 10L10 6"),
        count: |b| b.denied_minute,
    },
    Series {
        name: "second",
        label: "Denied by the second",
        lines: Some("M2 0V8M6 0V8"),
        count: |b| b.denied_second,
    },
    Series {
        name: "penalty",
        label: "Denied by a block",
        lines: Some("M0 0L8 8M0 8L8 0"),
        count: |b| b.denied_penalty,
    },
];

/// The width of a bucket with its gap, and of its bar.
const BUCKET: u64 = 10;
const BAR: u64 = 8;
const WIDTH: u64 = BUCKET * Traffic::BUCKETS;
const HEIGHT: u64 = 220;
/// What is there can be seen.
const HEIGHT_MIN: u64 = 2;

impl Series {
    /// The name of its pattern.
    pub(super) fn pattern(&self) -> String {
        format!("pattern-{}", self.name)
    }

    fn fill(&self) -> String {
        format!("url(#{})", self.pattern())
    }
}

/// A piece of a series' pattern, for a legend.
pub(in crate::console) fn swatch(series: &Series) -> Markup {
    html! {
        svg.swatch viewBox="0 0 16 16" aria-hidden="true" {
            rect width="16" height="16" fill=(series.fill()) {}
        }
    }
}

/// The chart of a quarter of an hour, and under it when the store did not decide.
pub(in crate::console) fn traffic(doc: &TrafficDoc) -> Markup {
    let all = |bucket: &BucketDoc| SERIES.iter().map(|series| (series.count)(bucket)).sum::<u64>();
    let top = ceiling(doc.buckets.iter().map(all).max().unwrap_or(0));
    let newest_s = doc.at_us / 1_000_000 / Traffic::BUCKET_S * Traffic::BUCKET_S;
    let lines: String =
        [0, HEIGHT / 2, HEIGHT].map(|y| format!("M0 {y}H{WIDTH}")).into_iter().collect();
    let label = format!("Decisions in the last 15 minutes, in steps of {} s", Traffic::BUCKET_S);
    html! {
        div.plot {
            div.scale aria-hidden="true" {
                span { (words::number(top)) }
                span { (words::number(top / 2)) }
                span { "0" }
            }
            svg.bars viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none"
                role="img" aria-label=(label) {
                path.grid d=(lines) {}
                @for bucket in &doc.buckets {
                    @if let Some(x) = place(bucket.at_s, newest_s) { (bar(bucket, x, top)) }
                }
            }
            svg.strip viewBox={ "0 0 " (WIDTH) " 10" } preserveAspectRatio="none"
                aria-hidden="true" {
                rect.track width=(WIDTH) height="10" {}
                @for bucket in doc.buckets.iter().filter(|bucket| bucket.degraded > 0) {
                    @if let Some(x) = place(bucket.at_s, newest_s) {
                        rect.degraded x=(x) width=(BUCKET) height="10" {}
                    }
                }
            }
            div.axis aria-hidden="true" {
                span { "15 min ago" } span { "10" } span { "5" } span { "now" }
            }
        }
    }
}

fn bar(bucket: &BucketDoc, x: u64, top: u64) -> Markup {
    let parts = SERIES.iter().map(|series| (series, (series.count)(bucket)));
    let parts: Vec<_> = parts.filter(|(_, count)| *count > 0).collect();
    let said: Vec<_> = parts
        .iter()
        .map(|(series, count)| format!("{}: {}", series.label, words::number(*count)))
        .collect();
    let begins_us = bucket.at_s.saturating_mul(1_000_000);
    let mut y = HEIGHT;
    html! {
        g {
            title { (words::moment(begins_us)) ": " (said.join(", ")) }
            @for (series, count) in parts {
                @let height = height(count, top).min(y);
                @let () = y -= height;
                rect x=(x + 1) y=(y) width=(BAR) height=(height) fill=(series.fill()) {}
            }
        }
    }
}

/// Where a bucket begins from the left, if it is on the chart.
fn place(at_s: u64, newest_s: u64) -> Option<u64> {
    let back = newest_s.checked_sub(at_s)? / Traffic::BUCKET_S;
    (Traffic::BUCKETS - 1).checked_sub(back).map(|bucket| bucket * BUCKET)
}

fn height(count: u64, top: u64) -> u64 {
    let height = u128::from(count) * u128::from(HEIGHT) / u128::from(top.max(1));
    u64::try_from(height).unwrap_or(HEIGHT).clamp(HEIGHT_MIN, HEIGHT)
}

/// The lowest of 4, 10, 20, 40, 100, … that is not below `highest`.
pub(super) fn ceiling(highest: u64) -> u64 {
    let mut power = 1u64;
    loop {
        for step in [4, 10, 20] {
            let Some(top) = power.checked_mul(step) else {
                return u64::MAX;
            };
            if top >= highest {
                return top;
            }
        }
        power = power.saturating_mul(10);
    }
}
