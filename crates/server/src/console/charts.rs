//! Charts as SVG, drawn by hand: what goes in are documents, what comes out is markup.
//!
//! A chart holds shapes alone and is stretched to its place; what is to be read stands beside it
//! in HTML, so that it keeps its size on a phone. Colours are classes of the style sheet, and
//! every series has a pattern of its own too.

mod time_line;
mod traffic;

use maud::{Markup, html};

pub(super) use time_line::time_line;
pub(super) use traffic::{SERIES, swatch, traffic};

/// How much of a limit is used, as a bar.
pub(super) fn usage(used: u32, limit: u32) -> Markup {
    let (used, limit) = (u64::from(used), u64::from(limit));
    // A limit of 0 is used up from the start.
    let part = (used * 1_000).checked_div(limit).unwrap_or(1_000).min(1_000);
    let full = used >= limit;
    html! {
        svg.usage viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.track width="1000" height="10" {}
            rect.fill.full[full] width=(part) height="10" {}
        }
    }
}

/// The patterns that charts refer to. Once on a page.
pub(super) fn patterns() -> Markup {
    html! {
        svg.patterns width="0" height="0" aria-hidden="true" focusable="false" {
            defs {
                @for series in SERIES {
                    pattern id=(series.pattern()) width="8" height="8"
                        patternUnits="userSpaceOnUse" {
                        rect.(series.name) width="8" height="8" {}
                        @if let Some(lines) = series.lines { path.line d=(lines) {} }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
