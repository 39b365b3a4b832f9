//! Deletions: asked for by name, durable before they are answered, repaired in the background.

mod asked;
mod kept;

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use bytes::Bytes;
use sisa::{
    engine::{Accepted, DeleteError, DeleteReport, Error},
    wire,
};
use tokio::sync::mpsc;

pub(super) use self::asked::{Asked, id, read};
use self::{
    asked::Wait,
    kept::{held, keep_day},
};
use super::{
    app::App,
    day,
    intake::Stage,
    keys::Caller,
    metrics::count,
    predict::failed,
    problem::Problem,
    reply::{JSON, Reply},
    role::Role,
};

/// What the thread of a deletion tells.
enum Told {
    Refused(Problem),
    Accepted(Box<wire::Deletion>),
    Done(Box<Result<DeleteReport, Error>>),
}

/// How often a request that waits for its repair is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// `POST /v1/deletions`.
pub(super) async fn delete(app: &Arc<App>, asked: Asked) -> Result<Reply, Problem> {
    if app.stopping() {
        return Err(Problem::unavailable("the service is stopping; nothing was accepted"));
    }
    let permit = app.deletions.enter().await?;
    let (tell, mut hear) = mpsc::unbounded_channel();
    let Asked { request, wait, dry_run, due, by } = asked;
    if dry_run {
        let app = app.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let forecast = app.engine.forecast(&request);
            drop(permit);
            forecast.map(|f| wire::Deletion::from(&f)).map_err(|e| refused(&e))
        });
        let forecast = looked.await.unwrap_or_else(|_| Err(Problem::internal()))?;
        return Ok(Reply::json(StatusCode::OK, &forecast));
    }
    let (fine, dated) = (by.may(&[Role::Audit]), due.is_some());
    let shared = app.clone();
    // Not dropped with the connection: once begun it goes on.
    tokio::task::spawn_blocking(move || {
        let (metrics, accepted) = (shared.metrics.clone(), tell.clone());
        let heard = move |request: &Accepted, at: &str| {
            count(&metrics.accepted);
            let _ = accepted.send(Told::Accepted(Box::new(wire::Deletion::accepted(request, at))));
        };
        let begun = shared.keeper.begin(request.subjects.len() + request.records.len());
        // From here on nothing is held that is not seen.
        let accepting = shared.intake.accepting();
        let ready = held(&shared, &request).and_then(|()| match due {
            Some((due, law)) => keep_day(&shared, &request, due, law, &by),
            None => Ok(()),
        });
        if let Err(problem) = ready {
            let _ = tell.send(Told::Refused(problem));
            return;
        }
        let done = shared.engine.begin_deletion(&request, heard);
        if dated && done.is_ok() {
            accepted_now(&shared, request.request_id.as_deref().unwrap_or_default());
        }
        drop((permit, accepting, begun));
        if done.as_ref().is_ok_and(|report| !report.repeated) {
            count(&shared.metrics.effective);
        }
        shared.keeper.wake(wait == Wait::Repaired);
        let _ = tell.send(Told::Done(Box::new(done)));
    });
    let patience = tokio::time::Instant::now() + Duration::from_secs(app.config().answer_seconds.into());
    let mut accepted = None;
    loop {
        match tokio::time::timeout_at(patience, hear.recv()).await {
            Ok(Some(Told::Refused(problem))) => return Err(problem),
            Ok(Some(Told::Accepted(deletion))) if wait == Wait::Accepted => {
                return Ok(told(fine, StatusCode::ACCEPTED, *deletion));
            }
            Ok(Some(Told::Accepted(deletion))) => accepted = Some(*deletion),
            Ok(Some(Told::Done(done))) => {
                let report = (*done).map_err(|e| refused(&e))?;
                return in_effect(app, &report, wait, fine, patience).await;
            }
            Ok(None) => return Err(Problem::internal()),
            Err(_) => {
                let late = "another process writes, and the request may be accepted later; repeat it under the same name, or ask how far it is";
                return accepted
                    .map(|deletion| told(fine, StatusCode::ACCEPTED, deletion))
                    .ok_or_else(|| Problem::unavailable(late));
            }
        }
    }
}

/// A request whose day is kept is in the ledger from now on; if that can't be kept, the clerk finds out by itself.
fn accepted_now(app: &App, name: &str) {
    let Ok(Some(line)) = app.book.line(&app.engine, name) else { return };
    let _ = app.intake.change(name, |record| {
        if record.stage == Stage::Pending {
            record.comes_to(Stage::Accepted, Some((line.records, line.unknown)));
        }
    });
}

/// The answer for a request that is in effect.
async fn in_effect(
    app: &Arc<App>,
    report: &DeleteReport,
    wait: Wait,
    fine: bool,
    patience: tokio::time::Instant,
) -> Result<Reply, Problem> {
    // Answers that looked before are with their connections by now.
    app.given.drained().await;
    let deletion = wire::Deletion::effective(report);
    match wait {
        Wait::Accepted => Ok(told(fine, StatusCode::ACCEPTED, deletion.as_accepted())),
        Wait::Effective => Ok(told(fine, StatusCode::OK, deletion)),
        Wait::Repaired => {
            while tokio::time::Instant::now() < patience && !app.stopping() {
                if let Some(now) = find(app, report.accepted.request.clone()).await?
                    && now.state == "repaired"
                {
                    return Ok(told(fine, StatusCode::OK, now));
                }
                tokio::time::sleep(LOOK).await;
            }
            Ok(told(fine, StatusCode::ACCEPTED, deletion))
        }
    }
}

/// What is told of a request: to the second, and not when it was repaired, unless it is told to an auditor.
fn told(fine: bool, status: StatusCode, deletion: wire::Deletion) -> Reply {
    let deletion = if fine { deletion } else { coarse(deletion) };
    Reply::json(status, &deletion).about(deletion.request)
}

/// Without what tells of the place of a record: how long its effect took, when it was repaired, fractions of seconds.
fn coarse(mut deletion: wire::Deletion) -> wire::Deletion {
    (deletion.effective_seconds, deletion.repaired_at) = (None, None);
    for at in [&mut deletion.accepted_at, &mut deletion.effective_at].into_iter().flatten() {
        *at = day::coarse(at);
    }
    deletion
}

/// What is wrong with a request, which names no id.
fn refused(error: &Error) -> Problem {
    match error {
        Error::Delete(e @ (DeleteError::OtherIds { .. } | DeleteError::OtherSuppression { .. })) => {
            Problem::conflict(e.to_string())
        }
        error => failed(error),
    }
}

async fn find(app: &Arc<App>, name: String) -> Result<Option<wire::Deletion>, Problem> {
    let app = app.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let line = app.book.line(&app.engine, &name).map_err(|e| failed(&e))?;
        if let Some(line) = line {
            return Ok(Some(wire::Deletion::from(&line)));
        }
        // It may not be in the ledger yet.
        let kept = app.intake.find(&name)?;
        Ok(kept.map(|record| wire::Deletion::kept(&record.request, record.status())))
    });
    looked.await.unwrap_or_else(|_| Err(Problem::internal()))
}

fn no_such_request() -> Problem {
    Problem::unknown("there is no request of this name; `GET /v1/deletions` lists those of the ledger")
}

/// `GET /v1/deletions/{request}`.
pub(super) async fn one(app: &Arc<App>, caller: &Caller, name: String) -> Result<Reply, Problem> {
    let found = find(app, name).await?.ok_or_else(no_such_request)?;
    app.given.drained().await;
    Ok(told(caller.may(&[Role::Audit]), StatusCode::OK, found))
}

/// Which requests are listed: so many, the newest first, of those before an entry of the ledger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    before: u64,
    limit: usize,
}

/// Requests of a page: if none are asked for, and at most.
const LISTED: (u64, u64) = (200, 1_000);

impl Page {
    pub(super) fn new(before: Option<u64>, limit: Option<u64>) -> Page {
        Page { before: before.unwrap_or(u64::MAX), limit: limit.unwrap_or(LISTED.0).clamp(1, LISTED.1) as usize }
    }
}

/// `GET /v1/deletions`.
pub(super) async fn all(app: &Arc<App>, page: &Page) -> Result<Reply, Problem> {
    let (shared, Page { before, limit }) = (app.clone(), *page);
    let listed = tokio::task::spawn_blocking(move || {
        let read = shared.book.read(&shared.engine, |requests| {
            let mut found = requests.before(before);
            let page: Vec<(u64, wire::Deletion)> = found.by_ref().take(limit).map(|line| (line.sequence, line.into())).collect();
            (page, found.next().is_some())
        });
        let (page, more) = read.map_err(|e| failed(&e))?;
        let next = page.last().filter(|_| more).map(|(sequence, _)| *sequence);
        let deletions: Vec<wire::Deletion> = page.into_iter().map(|(_, deletion)| deletion).collect();
        Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "deletions": deletions, "before": next })))
    });
    let listed = listed.await.unwrap_or_else(|_| Err(Problem::internal()));
    app.given.drained().await;
    listed
}

/// `GET /v1/deletions/{request}/receipt`, signed if that is asked for.
pub(super) async fn receipt(app: &Arc<App>, name: String, signed: bool) -> Result<Reply, Problem> {
    let app = app.clone();
    let made = tokio::task::spawn_blocking(move || {
        let unknown = |e: &Error| if matches!(e, Error::NoSuchRequest { .. }) { no_such_request() } else { failed(e) };
        let body = match (&app.config().sign, signed) {
            (Some(key), true) => wire::line(&app.engine.sign_receipt(Some(&name), key).map_err(|e| unknown(&e))?).into_bytes(),
            (None, true) => {
                return Err(Problem::conflict("no key to sign with is named; `sign = \"FILE\"` under [serve] names one"));
            }
            (_, false) => app.engine.receipt(Some(&name)).map_err(|e| unknown(&e))?.encode(),
        };
        Ok(Reply::new(StatusCode::OK, JSON, Bytes::from(body)).about(Some(name)))
    });
    made.await.unwrap_or_else(|_| Err(Problem::internal()))
}
