//! OpenDSR 2.0: the protocol in which privacy desks ask for erasure (github.com/opengdpr/OpenDSR, specification.md).
//!
//! A request becomes handles, is durable in the intake before it is answered by 201, and is put into the ledger by the clerk. What is wrong is
//! told by 400 alone, and by no word of what was sent (sections 7.5, 7.6).

mod answer;
mod request;

use std::sync::Arc;

use axum::http::{HeaderName, StatusCode};
use serde::Serialize;
use sisa::{
    engine::{DeskConfig, utc_now},
    wire,
};

pub(super) use self::answer::Status;
use self::answer::{Cancelled, Discovery, VERSION, Wrong};
use super::{
    app::App,
    intake::{Received, Record, Stage},
    keys::Caller,
    predict::failed,
    problem::Problem,
    reply::{JSON, Reply},
};

/// The headers of every signed answer (section 8.3).
pub(super) const DOMAIN: HeaderName = HeaderName::from_static("x-opendsr-processor-domain");
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("x-opendsr-signature");

/// The settings of the desk, if there is one here.
fn desk(app: &App) -> Result<DeskConfig, Problem> {
    let none = "OpenDSR is not spoken here: [serve.opendsr] in sisa.toml says how it is to be";
    app.config().opendsr.clone().ok_or_else(|| Problem::unknown(none))
}

/// An answer, signed as it is sent.
fn signed(app: &App, desk: &DeskConfig, status: StatusCode, answer: &impl Serialize) -> Reply {
    let body = wire::line(answer);
    let signature = app.signer().sign(body.as_bytes());
    let reply = Reply::new(status, JSON, body).with(DOMAIN, &desk.domain);
    match signature {
        Some(signature) => reply.with(SIGNATURE, &signature),
        None => reply,
    }
}

/// What is wrong with what was sent, in the protocol's words; other problems are told as they are.
pub(super) fn told(done: Result<Reply, Problem>) -> Result<Reply, Problem> {
    match done {
        Err(problem) if matches!(problem.status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT) => {
            Ok(Reply::json(StatusCode::BAD_REQUEST, &Wrong::of(problem.body.error)))
        }
        done => done,
    }
}

/// `GET /opendsr/v2/discovery`.
pub(super) fn discovery(app: &App) -> Result<Reply, Problem> {
    let desk = desk(app)?;
    let laws = app.config().deadlines.keys().cloned().collect();
    Ok(signed(app, &desk, StatusCode::OK, &Discovery::of(&desk, app.signer().is_there(), laws)))
}

/// `GET /opendsr/v2/certificate.pem`.
pub(super) fn certificate(app: &App) -> Result<Reply, Problem> {
    desk(app)?;
    let none = "answers are not signed: `certificate` and `key` under [serve.opendsr] name what they are to be signed with";
    let certificate = app.signer().certificate().ok_or_else(|| Problem::unknown(none))?;
    Ok(Reply::new(StatusCode::OK, "application/x-pem-file", certificate))
}

/// `POST /opendsr/v2/requests`; waits for the disk.
pub(super) fn receive(app: &Arc<App>, caller: &Caller, body: &[u8]) -> Result<Reply, Problem> {
    let (desk, config) = (desk(app)?, app.config());
    if app.stopping() {
        return Err(Problem::unavailable("the service is stopping; nothing was kept"));
    }
    let asked = request::read(&config, &desk, body)?;
    let handles = app.engine.subject_handles(asked.subjects).map_err(|e| failed(&e))?;
    let mut record = Record::new(asked.request, caller.name.clone(), handles, asked.due).told_to(asked.callbacks);
    record.law = Some(asked.law);
    let name = record.request.clone();
    let before = app.intake.find(&name)?;
    if before.is_none() {
        let taken = app.book.line(&app.engine, &name).map_err(|e| failed(&e))?.is_some();
        if taken {
            return Err(Problem::input(
                "a request of this name was accepted before, by another way; take another subject_request_id",
            ));
        }
    }
    let came = match app.intake.receive(record.clone())? {
        Received::New => {
            app.clerk.wake();
            Arc::new(record)
        }
        Received::Before(before) if before.handles == record.handles => before,
        Received::Before(_) => return Err(Problem::input("this subject_request_id was used for other identities")),
    };
    Ok(signed(app, &desk, StatusCode::CREATED, &answer::Received::of(&desk, &came, body)).about(Some(name)))
}

fn named(app: &App, name: &str) -> Result<Arc<Record>, Problem> {
    let none = || Problem::input("there is no request of this subject_request_id");
    if !request::is_uuid(name) {
        return Err(none());
    }
    app.intake.find(name)?.ok_or_else(none)
}

/// `GET /opendsr/v2/requests/{id}`.
pub(super) fn status(app: &App, name: &str) -> Result<Reply, Problem> {
    let desk = desk(app)?;
    let record = named(app, name)?;
    Ok(signed(app, &desk, StatusCode::OK, &Status::now(&desk, &record)).about(Some(record.request.clone())))
}

/// `DELETE /opendsr/v2/requests/{id}`: while nothing is done of it yet.
pub(super) fn cancel(app: &App, name: &str) -> Result<Reply, Problem> {
    let desk = desk(app)?;
    named(app, name)?;
    let late = || Problem::input("it is too late: the request is in effect, and what was deleted can't be brought back");
    let cancelled = app.intake.change_alone(name, |record| {
        // What a process before put into the ledger may not be known here yet.
        let accepted = app.book.line(&app.engine, name).map_err(|e| failed(&e))?.is_some();
        if record.stage == Stage::Pending && !accepted {
            record.comes_to(Stage::Cancelled, None);
        }
        if record.stage == Stage::Cancelled { Ok(()) } else { Err(late()) }
    })?;
    match cancelled {
        Some(done) => done?,
        // It is closed: cancelled before, or done.
        None if named(app, name)?.stage == Stage::Cancelled => {}
        None => return Err(late()),
    }
    let answer =
        Cancelled { controller_id: &desk.controller, subject_request_id: name, received_time: utc_now(), api_version: VERSION };
    Ok(signed(app, &desk, StatusCode::ACCEPTED, &answer).about(Some(name.to_owned())))
}
