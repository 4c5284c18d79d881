//! The fleet: what it decides, whom it denies, and what this worker is.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use transom_core::Mode;

use super::mode::AS_CONFIGURED;
use crate::admin::StatusDoc;
use crate::console::charts::{SERIES, swatch, traffic};
use crate::console::guard::{Fields, Visit};
use crate::console::layout::{Content, answer, form_token};
use crate::console::{Console, words};
use crate::operator::{BucketDoc, DeniedDoc, List, ModeDoc, OperatorError, TrafficDoc};

/// How many of the most denied are shown.
const TOP: usize = 10;

/// `GET /`.
pub(in crate::console) async fn page(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Extension(fields): Extension<Fields>,
) -> Response {
    let operator = &console.admin.operator;
    let (mode, decisions, top) =
        tokio::join!(operator.mode(), operator.traffic(), operator.top(TOP));
    let status = StatusDoc::of(&console.admin);
    let workers = console.admin.front.load().gate.limiter().workers();
    let markup = html! {
        h1 { "Overview" }
        section #state data-live="" aria-label="State" { (state(&status, mode.as_ref(), workers)) }
        section aria-labelledby="decisions" {
            h2 #decisions { "Decisions of the fleet, last 15 minutes" }
            div #traffic data-live="" { (or_problem(decisions.as_ref(), shown)) }
        }
        section aria-labelledby="top-title" {
            h2 #top-title { "Denied most, last 5 to 10 minutes" }
            div #top data-live="" { (or_problem(top.as_ref(), most_denied)) }
        }
        section aria-labelledby="mode-title" {
            h2 #mode-title { "Mode of the fleet" }
            (mode_form(&visit, mode.as_ref().ok().and_then(|mode| mode.fleet)))
        }
    };
    let content = Content { title: "Overview".to_owned(), place: "/", done: fields.done(), markup };
    answer(&visit, Ok(content))
}

/// A part that needs the store, or why it is not there.
fn or_problem<T>(got: Result<&T, &OperatorError>, show: impl Fn(&T) -> Markup) -> Markup {
    match got {
        Ok(got) => show(got),
        Err(error) => html! { p.problem { (error) } },
    }
}

fn state(status: &StatusDoc, mode: Result<&ModeDoc, &OperatorError>, workers: u32) -> Markup {
    let configuration = &status.configuration;
    html! {
        dl.facts {
            div { dt { "Mode" } dd {
                (status.mode)
                @if let Ok(mode) = mode {
                    small {
                        @if mode.fleet.is_some() { "set for the fleet" } @else { "as configured" }
                    }
                }
            } }
            div { dt { "Store" } dd {
                @if status.store == "redis" { "Redis" } @else { "in process" }
                @match &status.degraded {
                    Some(reason) => { small.bad { "does not decide: " (reason) } }
                    None if status.store == "redis" => { small { "decides" } }
                    None => { small { "this worker alone" } }
                }
            } }
            div { dt { "Workers" } dd {
                (workers) small {
                    @if status.store == "redis" {
                        "that share a limit in an outage"
                    } @else { "this one" }
                }
            } }
            div { dt { "Configuration" } dd {
                "version " (configuration.version)
                small { "since " (words::plain(&configuration.applied_at)) }
            } }
        }
        @if status.draining { p.problem { "This worker is about to stop." } }
        @if let Some(refusal) = &configuration.last_error {
            p.problem {
                "The configuration file was refused at " (words::plain(&refusal.at)) ": "
                (refusal.message)
            }
        }
        @if !configuration.needs_restart.is_empty() {
            p.warning { "Wait for a restart: " (configuration.needs_restart.join(", ")) "." }
        }
    }
}

fn shown(doc: &TrafficDoc) -> Markup {
    let sum = |count: fn(&BucketDoc) -> u64| {
        words::number(doc.buckets.iter().map(count).fold(0, u64::saturating_add))
    };
    html! {
        (traffic(doc))
        table.legend {
            caption.hidden { "Decisions in the last 15 minutes" }
            thead.hidden { tr { th scope="col" { "What" } th scope="col" { "How many" } } }
            tbody {
                @for series in &SERIES {
                    tr {
                        th scope="row" {
                            (swatch(series)) (series.label)
                        }
                        td { (sum(series.count)) }
                    }
                }
                tr {
                    th scope="row" {
                        svg.swatch viewBox="0 0 16 16" aria-hidden="true" {
                            rect.degraded y="5" width="16" height="6" {}
                        }
                        "Decided without the store"
                    }
                    td { (sum(|bucket| bucket.degraded)) }
                }
            }
        }
    }
}

fn most_denied(top: &List<DeniedDoc>) -> Markup {
    if top.items.is_empty() {
        return html! { p.empty { "Nobody was denied." } };
    }
    html! {
        div.scroll {
            table {
                thead { tr { th scope="col" { "Identity" } th.number scope="col" { "Denials" } } }
                tbody {
                    @for denied in &top.items {
                        tr {
                            td {
                                a href=(words::identity_page(&denied.identity)) {
                                    (denied.identity)
                                }
                            }
                            td.number { (words::number(denied.denials)) }
                        }
                    }
                }
            }
        }
    }
}

fn mode_form(visit: &Visit, fleet: Option<Mode>) -> Markup {
    let modes = [
        (Mode::Enforce, "enforce"),
        (Mode::Shadow, "shadow (nobody is refused)"),
        (Mode::Off, "off (nothing is limited)"),
    ];
    html! {
        form.card.row action="/mode/confirm" method="post" {
            (form_token(visit))
            div.field {
                label for="mode" { "Mode" }
                select #mode name="mode" {
                    option value=(AS_CONFIGURED) selected[fleet.is_none()] { "as configured" }
                    @for (mode, label) in modes {
                        option value=(mode) selected[fleet == Some(mode)] { (label) }
                    }
                }
            }
            div.field.wide {
                label for="mode-reason" { "Reason" }
                input #mode-reason name="reason" maxlength="1000";
            }
            button { "Set the mode…" }
        }
    }
}
