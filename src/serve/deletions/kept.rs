//! What is looked at and kept of a request before it is accepted: legal holds, and the day on which it is due.

use sisa::engine::{DeleteRequest, checked_name};

use super::{
    super::{
        app::App,
        day,
        intake::{Received, Record, Stage},
        keys::Caller,
        problem::Problem,
    },
    refused,
};

/// Refuses a request that a legal hold stands against. Whoever asks has [`Intake::accepting`].
pub(super) fn held(app: &App, request: &DeleteRequest) -> Result<(), Problem> {
    let now = day::now();
    if !app.intake.holds()?.iter().any(|hold| hold.is_on(now)) {
        return Ok(());
    }
    if !request.records.is_empty() {
        return Err(Problem::conflict(
            "there are legal holds, which are of subjects: name ids under `subjects`; nothing was accepted",
        ));
    }
    let handles = app.engine.subject_handles(request.subjects.clone()).map_err(|e| refused(&e))?;
    match app.intake.held_by(&handles)? {
        None => Ok(()),
        Some(hold) => Err(Problem::conflict(format!("the legal hold `{hold}` stands against it; nothing was accepted"))),
    }
}

/// Keeps the day on which a request is due, before it is accepted.
pub(super) fn keep_day(app: &App, request: &DeleteRequest, due: f64, law: Option<String>, by: &Caller) -> Result<(), Problem> {
    let Some(name) = &request.request_id else { return Ok(()) };
    // One that the engine refuses is to leave nothing behind.
    checked_name(name).map_err(|e| refused(&e.into()))?;
    if app.book.line(&app.engine, name).map_err(|e| refused(&e))?.is_some() {
        return Ok(());
    }
    let handles = app.engine.subject_handles(request.subjects.clone()).map_err(|e| refused(&e))?;
    let mut record = Record::new(name.clone(), by.name.clone(), handles, due);
    (record.law, record.no_suppress) = (law, request.no_suppress);
    match app.intake.receive(record.clone())? {
        Received::Before(before) if before.handles != record.handles => {
            Err(Problem::conflict("this name was used for other ids"))
        }
        // The clerk would ask for what the first said.
        Received::Before(before) if before.no_suppress != record.no_suppress => {
            Err(Problem::conflict("this name was used for the same ids with another `no_suppress`"))
        }
        Received::Before(before) if before.stage == Stage::Cancelled => {
            Err(Problem::conflict("a request of this name was cancelled"))
        }
        _ => Ok(()),
    }
}
