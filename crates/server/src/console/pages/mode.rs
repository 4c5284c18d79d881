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
    let said = match wish.mode {
        Mode::Enforce => "What is denied is refused.",
        Mode::Shadow => "What would be denied passes, and is counted. Nobody is limited.",
        Mode::Off => "Nothing is decided and nothing is counted. Nobody is limited.",
    };
    let asked = Confirmation {
        title: format!("Set the mode of the whole fleet to {}?", wish.mode),
        says: format!("{said} A policy with a milder mode of its own keeps it."),
        changes: vec![("Mode", now.mode.to_string(), wish.mode.to_string())],
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

fn wish(visit: &Visit, fields: &Fields) -> Result<NewMode, OperatorError> {
    let mode = fields.get("mode").parse().map_err(|error| OperatorError::bad("mode", error))?;
    Ok(NewMode { mode, by: visit.by.clone(), reason: fields.get("reason").to_owned() })
}
