//! Legal holds: whose records may not go for now. Requests of theirs stay pending, and count against their day.

use std::sync::Arc;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sisa::engine::{DeleteRequest, Engine, utc_now};

use super::{
    app::App,
    day,
    deletions::id,
    intake::{self, Hold, IntakeError, Stage},
    keys::Caller,
    predict::failed,
    problem::Problem,
    reply::Reply,
};

/// The name of a legal hold that stands against a deletion by somebody who has no service; whether it can't be told whose the records are, so
/// that any hold stands against it.
///
/// # Errors
/// The holds can't be read, or the ids are none.
pub(crate) fn against(engine: &Engine, request: &DeleteRequest) -> Result<Option<(String, bool)>, IntakeError> {
    let (now, all) = (day::now(), intake::holds(engine)?);
    let Some(first) = all.values().find(|hold| hold.is_on(now)) else { return Ok(None) };
    if !request.records.is_empty() || !request.rows.is_empty() || request.older_than.is_some() {
        return Ok(Some((first.name.clone(), true)));
    }
    let mut handles = request.handles.clone();
    if !request.subjects.is_empty() {
        handles.extend(engine.subject_handles(request.subjects.clone())?);
    }
    Ok(all.values().find(|hold| hold.holds(&handles, now)).map(|hold| (hold.name.clone(), false)))
}

/// The body of `PUT /v1/holds/{name}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(default, borrow)]
    subjects: Vec<&'a RawValue>,
    /// Or those of a request that is pending.
    request: Option<String>,
    #[serde(default)]
    reason: String,
    until: Option<String>,
}

/// A hold as it is told.
#[derive(Debug, Serialize)]
struct Told {
    name: String,
    reason: String,
    until: Option<String>,
    made_at: String,
    made_by: String,
    subjects: usize,
    /// Pending requests that it holds.
    requests: Vec<String>,
}

impl Told {
    fn of(app: &App, hold: &Hold) -> Told {
        let (now, open) = (day::now(), app.intake.open());
        let held = open.iter().filter(|r| r.stage == Stage::Pending && hold.holds(&r.handles, now));
        Told {
            requests: held.map(|r| r.request.clone()).collect(),
            name: hold.name.clone(),
            reason: hold.reason.clone(),
            until: hold.until.clone(),
            made_at: hold.made_at.clone(),
            made_by: hold.made_by.clone(),
            subjects: hold.handles.len(),
        }
    }
}

/// Letters of a reason: enough for a file number, and no place for a story about somebody.
fn is_reason(text: &str) -> bool {
    text.len() <= 120 && text.chars().all(|c| c.is_ascii_alphanumeric() || " -_.:,/".contains(c))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// `PUT /v1/holds/{name}`; waits for the disk.
pub(super) fn put(app: &Arc<App>, caller: &Caller, name: String, body: &[u8]) -> Result<Reply, Problem> {
    let wrong = |text: &str| Err(Problem::input(text));
    let place = |e: serde_json::Error| {
        let what = "one object with `subjects` or `request`, and `reason`, `until` if wanted";
        Problem::input(format!("the body can't be read at line {}, column {}: it must be {what}", e.line(), e.column()))
    };
    let body: Body<'_> = serde_json::from_slice(body).map_err(place)?;
    if !is_name(&name) {
        return wrong("a hold is called by 1 to 64 letters, digits, `-`, `_` or `.`");
    }
    if !is_reason(&body.reason) {
        return wrong("a reason has up to 120 letters, digits, spaces and `-_.:,/`; name a file, and no person");
    }
    let until = body.until.as_deref().map(day::seconds);
    if until.is_some_and(|until| until.is_none_or(|until| until <= day::now())) {
        return wrong("`until` must be a time to come, such as 2027-01-31T00:00:00Z");
    }
    if body.subjects.len() > app.config().ids as usize {
        return Err(Problem::too_large(format!("more than {} ids; make several holds", app.config().ids)));
    }
    let handles = match (&body.request, body.subjects.is_empty()) {
        (Some(request), true) => {
            let none = || Problem::unknown("no request of this name is pending; name its `subjects`");
            app.intake.find(request)?.filter(|r| r.stage == Stage::Pending).ok_or_else(none)?.handles.clone()
        }
        (None, false) => {
            let subjects = body.subjects.into_iter().map(id).collect::<Result<_, _>>()?;
            app.engine.subject_handles(subjects).map_err(|e| failed(&e))?
        }
        _ => return wrong("a hold is of `subjects`, or of those of a `request`"),
    };
    let mut handles: Vec<String> = handles.iter().map(ToString::to_string).collect();
    handles.sort();
    let hold = Hold {
        name: name.clone(),
        reason: body.reason,
        until: body.until,
        made_at: utc_now(),
        made_by: caller.name.clone(),
        handles,
    };
    app.intake.hold(hold.clone())?;
    Ok(Reply::json(StatusCode::OK, &Told::of(app, &hold)).about(Some(name)))
}

/// `DELETE /v1/holds/{name}`; waits for the disk.
pub(super) fn release(app: &Arc<App>, name: String) -> Result<Reply, Problem> {
    if !is_name(&name) || !app.intake.release(&name)? {
        return Err(Problem::unknown("there is no hold of this name; `GET /v1/holds` lists them"));
    }
    app.clerk.wake();
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "released": name })).about(Some(name)))
}

/// `GET /v1/holds`; waits for the disk.
pub(super) fn all(app: &Arc<App>) -> Result<Reply, Problem> {
    let holds: Vec<Told> = app.intake.holds()?.iter().map(|hold| Told::of(app, hold)).collect();
    Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "holds": holds })))
}
