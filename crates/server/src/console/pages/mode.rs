//! Setting the mode of the fleet.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use transom_core::Mode;

use super::confirmation::{Confirmation, confirmation};
use crate::console::Console;
use crate::console::guard::{Fields, Visit};
use crate::console::layout::{Content, Failure, answer, redirect};
use crate::operator::{NewMode, Operator, OperatorError};

/// In a form: no mode of the fleet.
pub(super) const AS_CONFIGURED: &str = "configured";

/// `POST /mode/confirm`.
pub(in crate::console) async fn confirm(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Extension(fields): Extension<Fields>,
) -> Response {
    answer(&visit, asked(&console.admin.operator, &visit, &fields).await)
}

/// `POST /mode`.
pub(in crate::console) async fn set(
    State(console): State<Console>,
    Extension(visit): Extension<Visit>,
    Extension(fields): Extension<Fields>,
) -> Response {
    match done(&console.admin.operator, &visit, &fields).await {
        Ok(()) => redirect("/", "mode"),
        Err(failure) => answer(&visit, Err(failure)),
    }
}

async fn asked(operator: &Operator, visit: &Visit, fields: &Fields) -> Result<Content, Failure> {
    let wish = wish(visit, fields)?;
    let now = operator.mode().await?;
    let then = wish.mode.unwrap_or(now.configured);
    let said = match then {
        Mode::Enforce => "What is denied is refused.",
        Mode::Shadow => "What would be denied passes, and is counted. Nobody is limited.",
        Mode::Off => "Nothing is decided and nothing is counted. Nobody is limited.",
    };
    let title = match wish.mode {
        Some(mode) => format!("Set the mode of the whole fleet to {mode}?"),
        None => "Take the mode of the fleet back?".to_owned(),
    };
    let asked = Confirmation {
        title,
        says: format!("{said} A policy with a milder mode of its own keeps it."),
        changes: vec![("Mode", source(now.mode, now.fleet), source(then, wish.mode))],
        action: "/mode".to_owned(),
        back: "/".to_owned(),
        button: "Set the mode",
    };
    let markup = confirmation(visit, fields, &asked);
    Ok(Content { title: "Set the mode".to_owned(), place: "/", done: None, markup })
}

async fn done(operator: &Operator, visit: &Visit, fields: &Fields) -> Result<(), Failure> {
    operator.set_mode(&wish(visit, fields)?).await?;
    Ok(())
}

/// A mode, and who says so.
fn source(mode: Mode, fleet: Option<Mode>) -> String {
    format!("{mode}, {}", if fleet.is_some() { "set for the fleet" } else { "as configured" })
}

fn wish(visit: &Visit, fields: &Fields) -> Result<NewMode, OperatorError> {
    let mode = match fields.get("mode") {
        AS_CONFIGURED => None,
        text => Some(text.parse().map_err(|error| OperatorError::bad("mode", error))?),
    };
    Ok(NewMode { mode, by: visit.by.clone(), reason: fields.get("reason").to_owned() })
}
