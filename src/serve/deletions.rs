//! Deletions: asked for by name, durable before they are answered, repaired in the background.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use sisa::{
    engine::{Accepted, DeleteError, DeleteReport, DeleteRequest, Error, ServeConfig},
    wire,
};
use tokio::sync::mpsc;

use super::{
    app::App,
    day,
    intake::{Received, Record, Stage},
    keys::Caller,
    metrics::count,
    predict::failed,
    problem::Problem,
    reply::{JSON, Reply},
    role::Role,
};

/// The body of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    request: Option<String>,
    #[serde(default, borrow)]
    subjects: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    records: Vec<&'a RawValue>,
    #[serde(default)]
    wait: Wait,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    no_suppress: bool,
    /// When the request is to be repaired at the latest; or the law that says so.
    deadline: Option<String>,
    regulation: Option<String>,
}

/// What is waited for before the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wait {
    Accepted,
    #[default]
    Effective,
    Repaired,
}

/// What the thread of a deletion tells.
enum Told {
    Refused(Problem),
    Accepted(Box<wire::Deletion>),
    Done(Box<Result<DeleteReport, Error>>),
}

/// How often a request that waits for its repair is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// An id as text: of a number its own digits. What is wrong is told without it.
pub(super) fn id(value: &RawValue) -> Result<String, Problem> {
    let text = value.get();
    let wrong = || Problem::input("an id is a text or a whole number");
    match text.bytes().next() {
        Some(b'"') => serde_json::from_str(text).map_err(|_| wrong()),
        Some(b'0'..=b'9' | b'-') if !text.contains(['.', 'e', 'E']) => Ok(text.to_owned()),
        _ => Err(wrong()),
    }
}

/// A record's id: a list of one text for each record column, or a text where there is one column.
fn record(value: &RawValue) -> Result<Vec<String>, Problem> {
    if value.get().starts_with('[') {
        let parts: Vec<&RawValue> =
            serde_json::from_str(value.get()).map_err(|_| Problem::input("a record's id is a list of texts"))?;
        return parts.into_iter().map(id).collect();
    }
    Ok(vec![id(value)?])
}

/// A request as it was sent.
#[derive(Debug)]
pub(super) struct Asked {
    request: DeleteRequest,
    wait: Wait,
    dry_run: bool,
    /// When it is due, in seconds since 1970, and by which law.
    due: Option<(f64, Option<String>)>,
    by: Caller,
}

impl Asked {
    /// Whether nothing is to be changed.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }
}

/// Reads a request. No message repeats what is in the body.
pub(super) fn read(app: &App, caller: &Caller, headers: &HeaderMap, dry_run: bool, body: &[u8]) -> Result<Asked, Problem> {
    let place = |e: serde_json::Error| {
        let what = "one object with `subjects` or `records`, and `request`, `wait` (accepted, effective, repaired), `dry_run`, `no_suppress`, `deadline`, `regulation` if wanted";
        Problem::input(format!("the body can't be read at line {}, column {}: it must be {what}", e.line(), e.column()))
    };
    let body: Body<'_> = serde_json::from_slice(body).map_err(place)?;
    let config = app.config();
    let most = config.ids as usize;
    if body.subjects.len() + body.records.len() > most {
        return Err(Problem::too_large(format!("more than {most} ids; send them in several requests")));
    }
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap_or_default().to_owned());
    let request_id = match (body.request, key) {
        (Some(name), Some(key)) if name != key => {
            return Err(Problem::input("`request` and `Idempotency-Key` name different requests"));
        }
        (name, key) => name.or(key),
    };
    let request = DeleteRequest {
        subjects: body.subjects.into_iter().map(id).collect::<Result<_, _>>()?,
        records: body.records.into_iter().map(record).collect::<Result<_, _>>()?,
        request_id,
        defer: true,
        no_suppress: body.no_suppress,
        ..DeleteRequest::default()
    };
    let due = due(&config, body.deadline.as_deref(), body.regulation)?;
    if due.is_some() && (request.request_id.is_none() || !request.records.is_empty()) {
        return Err(Problem::input(
            "a request with a day on which it is due has a name (`request`), and names its ids under `subjects`",
        ));
    }
    // The time of a repair tells in which slice somebody's records were.
    if body.wait == Wait::Repaired && !caller.may(&[Role::Audit, Role::Admin]) {
        return Err(Problem::forbidden(
            "only a key with the role audit or admin may wait for the repair; `effective` is what counts",
        ));
    }
    Ok(Asked { request, wait: body.wait, dry_run: dry_run || body.dry_run, due, by: caller.clone() })
}

/// When a request is due, in seconds since 1970.
fn due(config: &ServeConfig, deadline: Option<&str>, law: Option<String>) -> Result<Option<(f64, Option<String>)>, Problem> {
    let days = match &law {
        None => None,
        Some(law) => Some(config.deadlines.get(law).ok_or_else(|| {
            let laws: Vec<&str> = config.deadlines.keys().map(String::as_str).collect();
            Problem::input(format!("`regulation` must be one of {}", laws.join(", ")))
        })?),
    };
    let now = day::now();
    match (deadline, days) {
        (None, None) => Ok(None),
        (None, Some(days)) => Ok(Some((now + f64::from(*days) * day::DAY, law))),
        (Some(text), _) => match day::seconds(text) {
            Some(at) if at > now => Ok(Some((at, law))),
            _ => Err(Problem::input("`deadline` must be a time to come, such as 2026-12-24T00:00:00Z")),
        },
    }
}

/// Refuses a request that a legal hold stands against. Whoever asks has [`Intake::accepting`].
fn held(app: &App, request: &DeleteRequest) -> Result<(), Problem> {
    if app.intake.holds()?.is_empty() {
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
fn keep_day(app: &App, request: &DeleteRequest, due: f64, law: Option<String>, by: &Caller) -> Result<(), Problem> {
    let Some(name) = &request.request_id else { return Ok(()) };
    // One that the engine refuses is to leave nothing behind.
    app.engine.forecast(request).map_err(|e| refused(&e))?;
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
        Received::Before(before) if before.stage == Stage::Cancelled => {
            Err(Problem::conflict("a request of this name was cancelled"))
        }
        _ => Ok(()),
    }
}

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
    let fine = by.may(&[Role::Audit]);
    let shared = app.clone();
    // Not dropped with the connection: once begun it goes on.
    tokio::task::spawn_blocking(move || {
        let (metrics, accepted) = (shared.metrics.clone(), tell.clone());
        let heard = move |request: &Accepted, at: &str| {
            count(&metrics.accepted);
            let _ = accepted.send(Told::Accepted(Box::new(wire::Deletion::accepted(request, at))));
        };
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
        drop((permit, accepting));
        shared.clerk.wake();
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
        Error::Delete(e @ DeleteError::OtherIds { .. }) => Problem::conflict(e.to_string()),
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
