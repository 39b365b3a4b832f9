//! Deletions: asked for by name, durable before they are answered, repaired in the background.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use sisa::{
    engine::{Accepted, DeleteError, DeleteReport, DeleteRequest, Error},
    wire,
};
use tokio::sync::mpsc;

use super::{
    app::App,
    metrics::count,
    predict::failed,
    problem::Problem,
    reply::{JSON, Reply},
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
    Accepted(Box<wire::Deletion>),
    Done(Box<Result<DeleteReport, Error>>),
}

/// How often a request that waits for its repair is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// An id as text: of a number its own digits. What is wrong is told without it.
fn id(value: &RawValue) -> Result<String, Problem> {
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
}

impl Asked {
    /// Whether nothing is to be changed.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }
}

/// Reads a request. No message repeats what is in the body.
pub(super) fn read(app: &App, headers: &HeaderMap, dry_run: bool, body: &[u8]) -> Result<Asked, Problem> {
    let place = |e: serde_json::Error| {
        let what = "one object with `subjects` or `records`, and `request`, `wait` (accepted, effective, repaired), `dry_run`, `no_suppress` if wanted";
        Problem::input(format!("the body can't be read at line {}, column {}: it must be {what}", e.line(), e.column()))
    };
    let body: Body<'_> = serde_json::from_slice(body).map_err(place)?;
    let most = app.config.ids as usize;
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
    Ok(Asked { request, wait: body.wait, dry_run: dry_run || body.dry_run })
}

/// `POST /v1/deletions`.
pub(super) async fn delete(app: &Arc<App>, asked: Asked) -> Result<Reply, Problem> {
    if app.stopping() {
        return Err(Problem::unavailable("the service is stopping; nothing was accepted"));
    }
    let permit = app.deletions.enter().await?;
    let (tell, mut hear) = mpsc::unbounded_channel();
    let Asked { request, wait, dry_run } = asked;
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
    let shared = app.clone();
    // Not dropped with the connection: once begun it goes on.
    tokio::task::spawn_blocking(move || {
        let (metrics, accepted) = (shared.metrics.clone(), tell.clone());
        let heard = move |request: &Accepted, at: &str| {
            count(&metrics.accepted);
            let _ = accepted.send(Told::Accepted(Box::new(wire::Deletion::accepted(request, at))));
        };
        let done = shared.engine.begin_deletion(&request, heard);
        drop(permit);
        if done.as_ref().is_ok_and(|report| !report.repeated) {
            count(&shared.metrics.effective);
        }
        shared.keeper.wake(wait == Wait::Repaired);
        let _ = tell.send(Told::Done(Box::new(done)));
    });
    let patience = tokio::time::Instant::now() + Duration::from_secs(app.config.answer_seconds.into());
    let mut accepted = None;
    loop {
        match tokio::time::timeout_at(patience, hear.recv()).await {
            Ok(Some(Told::Accepted(deletion))) if wait == Wait::Accepted => return Ok(told(StatusCode::ACCEPTED, *deletion)),
            Ok(Some(Told::Accepted(deletion))) => accepted = Some(*deletion),
            Ok(Some(Told::Done(done))) => {
                let report = (*done).map_err(|e| refused(&e))?;
                return in_effect(app, &report, wait, patience).await;
            }
            Ok(None) => return Err(Problem::internal()),
            Err(_) => {
                let late = "another process writes, and the request may be accepted later; repeat it under the same name, or ask how far it is";
                return accepted.map(|deletion| told(StatusCode::ACCEPTED, deletion)).ok_or_else(|| Problem::unavailable(late));
            }
        }
    }
}

/// The answer for a request that is in effect.
async fn in_effect(app: &Arc<App>, report: &DeleteReport, wait: Wait, patience: tokio::time::Instant) -> Result<Reply, Problem> {
    // Answers that looked before are with their connections by now.
    app.given.drained().await;
    let deletion = wire::Deletion::effective(report);
    match wait {
        Wait::Accepted => Ok(told(StatusCode::ACCEPTED, deletion.as_accepted())),
        Wait::Effective => Ok(told(StatusCode::OK, deletion)),
        Wait::Repaired => {
            while tokio::time::Instant::now() < patience && !app.stopping() {
                if let Some(now) = find(app, report.accepted.request.clone()).await?
                    && now.state == "repaired"
                {
                    return Ok(told(StatusCode::OK, now));
                }
                tokio::time::sleep(LOOK).await;
            }
            Ok(told(StatusCode::ACCEPTED, deletion))
        }
    }
}

fn told(status: StatusCode, deletion: wire::Deletion) -> Reply {
    Reply::json(status, &deletion).about(deletion.request)
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
        let found = app.engine.deletion(&name).map_err(|e| failed(&e))?;
        Ok(found.map(|record| wire::Deletion::from(&record)))
    });
    looked.await.unwrap_or_else(|_| Err(Problem::internal()))
}

fn no_such_request() -> Problem {
    Problem::unknown("the ledger has no request of this name; `GET /v1/deletions` lists them")
}

/// `GET /v1/deletions/{request}`.
pub(super) async fn one(app: &Arc<App>, name: String) -> Result<Reply, Problem> {
    let found = find(app, name).await?.ok_or_else(no_such_request)?;
    app.given.drained().await;
    Ok(told(StatusCode::OK, found))
}

/// `GET /v1/deletions`.
pub(super) async fn all(app: &Arc<App>) -> Result<Reply, Problem> {
    let shared = app.clone();
    let listed = tokio::task::spawn_blocking(move || {
        let requests = shared.engine.log().map_err(|e| failed(&e))?;
        let deletions: Vec<wire::Deletion> = requests.iter().map(wire::Deletion::from).collect();
        Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "deletions": deletions })))
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
        let body = match (&app.config.sign, signed) {
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
