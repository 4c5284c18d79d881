//! Both windows of an identity, drawn.

use maud::{Markup, html};
use transom_core::{LimitsFrom, Window};

use crate::console::charts::{time_line, usage};
use crate::console::words;
use crate::operator::{Explanation, Inspection, TimeLine, WindowDoc, WindowsDoc};

/// How many marks are listed in words, the newest ones.
const LISTED: usize = 20;

/// The windows of the policy in question, then those of every other that was used.
pub(super) fn windows(said: &Explanation, kept: &Inspection) -> Markup {
    let asked = said.policy.name.as_str();
    let (first, others): (Vec<_>, Vec<_>) =
        kept.windows.iter().partition(|windows| windows.policy == asked);
    let others: Vec<_> = others.into_iter().filter(|windows| is_used(windows)).collect();
    html! {
        @match first.first() {
            Some(windows) => { (of_policy(windows, kept.at_us)) }
            None => { @if let Some(windows) = unused(said) { (of_policy(&windows, kept.at_us)) } }
        }
        @for windows in others { (of_policy(windows, kept.at_us)) }
    }
}

fn is_used(windows: &WindowsDoc) -> bool {
    windows.minute.window.used > 0 || windows.second.window.used > 0
}

/// The windows of a policy under which nothing was admitted lately; none where it does not limit.
fn unused(said: &Explanation) -> Option<WindowsDoc> {
    let line = |window: WindowDoc| TimeLine { window, ..TimeLine::default() };
    Some(WindowsDoc {
        policy: said.policy.name.clone(),
        limits_from: said.limits_from.unwrap_or(LimitsFrom::Policy),
        minute: line(said.minute?),
        second: line(said.second?),
    })
}

fn of_policy(windows: &WindowsDoc, now_us: u64) -> Markup {
    html! {
        article.card.windows aria-label={ "Windows under the policy " (windows.policy) } {
            header {
                h2 { "Policy " (windows.policy) }
                p.note { "limits from " (words::source_of(windows.limits_from)) }
            }
            (of_window(Window::Minute, windows, &windows.minute, now_us))
            (of_window(Window::Second, windows, &windows.second, now_us))
        }
    }
}

fn of_window(window: Window, windows: &WindowsDoc, line: &TimeLine, now_us: u64) -> Markup {
    let state = &line.window;
    let name = match window {
        Window::Minute => "Minute",
        Window::Second => "Second",
    };
    html! {
        section.window data-window=(window.as_str()) {
            h3 { (name) }
            p.numbers {
                strong {
                    (words::number(state.used.into())) " of " (words::number(state.limit.into()))
                }
                " used, " strong { (words::number(state.remaining.into())) " left" }
                @if state.used > state.limit { ", the limit was lowered" }
            }
            (usage(state.used, state.limit))
            (time_line(window, line, now_us))
            div.axis aria-hidden="true" { @for label in labels(window) { span { (label) } } }
            p.leaves { (leaves(window, state)) }
            (in_words(window, windows, line, now_us))
        }
    }
}

const fn labels(window: Window) -> [&'static str; 5] {
    match window {
        Window::Minute => ["60 s ago", "45", "30", "15", "now"],
        Window::Second => ["1 s ago", "0.75", "0.5", "0.25", "now"],
    }
}

/// What leaves next, and what has to leave before the next request fits.
fn leaves(window: Window, state: &WindowDoc) -> Markup {
    let (reset_us, wait_us) = (state.reset_ms * 1_000, state.wait_ms * 1_000);
    html! {
        @if state.limit == 0 {
            "The limit is 0: nothing fits."
        } @else if state.used == 0 {
            "Nothing was admitted in the last " (window.length_s()) " s."
        } @else {
            "The oldest unit leaves in "
            strong data-countdown-ms=(state.reset_ms) { (words::wait(reset_us)) } "."
            @if wait_us > 0 {
                " The next request fits when what lies left of the line has left, in "
                strong data-countdown-ms=(state.wait_ms) { (words::wait(wait_us)) } "."
            }
        }
    }
}

/// The newest marks as a table, for whoever does not see the chart.
fn in_words(window: Window, windows: &WindowsDoc, line: &TimeLine, now_us: u64) -> Markup {
    let id = format!("marks-{}-{}", windows.policy, window.as_str());
    let newest = line.marks.iter().rev().take(LISTED);
    html! {
        @if !line.marks.is_empty() {
            details id=(id) {
                summary { "Admissions in words" }
                table {
                    thead {
                        tr {
                            th scope="col" {
                                "At"
                            }
                            th scope="col" { "Age" } th.number scope="col" { "Units" }
                        }
                    }
                    tbody {
                        @for mark in newest {
                            tr {
                                td { (words::time_of_day(mark.at_us)) }
                                td { (words::ago(now_us.saturating_sub(mark.at_us))) }
                                td.number { (mark.units) }
                            }
                        }
                    }
                }
                @if line.marks.len() > LISTED {
                    p.note { "The newest " (LISTED) " of " (line.marks.len()) "." }
                }
                @if line.truncated { p.note { "Older ones are not shown." } }
            }
        }
    }
}
