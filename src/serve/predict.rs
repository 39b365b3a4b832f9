//! Predictions: rows in, an answer from what is in service at a moment after it was computed, or a problem.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use sisa::engine::{Answers, Error, ErrorKind, Input, Observer, Progress, Stopwatch};

use super::{
    app::App,
    cells, log,
    metrics::{add, count},
    mlflow::{self, Params},
    problem::Problem,
    reply::{EPOCH, JSON_LENGTH, MEMBERS, Reply},
    v2,
};

/// How often an answer is computed again because something came into effect before it was given.
const TRIES: u32 = 4;
/// Between two looks whether a deletion that is on its way has come into effect.
const PAUSE: Duration = Duration::from_millis(2);

/// Stops the scoring of more rows, or of more time, than is allowed.
#[derive(Debug)]
struct Bounds {
    rows: u64,
    seconds: f64,
    clock: Stopwatch,
    too_many: AtomicBool,
}

impl Observer for Bounds {
    fn progress(&self, progress: Progress) {
        if let Progress::Scoring { rows } = progress
            && rows > self.rows
        {
            self.too_many.store(true, Ordering::SeqCst);
        }
    }

    fn note(&self, _: &str) {}

    fn stopped(&self) -> bool {
        self.too_many.load(Ordering::SeqCst) || self.clock.seconds() > self.seconds
    }
}

/// Runs a prediction on a thread of its own kind, once there is one.
async fn on_a_thread(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<Reply, Problem> + Send + 'static,
) -> Result<Reply, Problem> {
    let permit = app.predictions.enter().await?;
    let app = app.clone();
    let done = tokio::task::spawn_blocking(move || {
        let reply = work(&app);
        drop(permit);
        reply
    });
    done.await.unwrap_or_else(|_| Err(Problem::internal()))
}

/// `POST /invocations`.
pub(super) async fn invocations(app: &Arc<App>, headers: &HeaderMap, proba: bool, body: Bytes) -> Result<Reply, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let csv = match kind.as_str() {
        "text/csv" | "application/csv" => true,
        "application/json" => false,
        _ => return Err(Problem::media("send `text/csv` or `application/json`, and say so in `Content-Type`")),
    };
    let unpack = unpacking(app, headers)?;
    on_a_thread(app, move |app| {
        let body = unpack(&body)?;
        let (input, params) = if csv {
            (Input::new().with_text(cells::NAME, body.as_ref()), Params { proba })
        } else {
            let (input, params) = mlflow::read(app, &body)?;
            (input, Params { proba: proba || params.proba })
        };
        answer(app, &input, |answers| mlflow::write(answers, params))
    })
    .await
}

/// `POST /v2/models/{model}/infer`, also of one version.
pub(super) async fn infer(app: &Arc<App>, headers: &HeaderMap, version: Option<String>, body: Bytes) -> Result<Reply, Problem> {
    let json = headers.get(JSON_LENGTH).map(|length| length.to_str().unwrap_or_default().to_owned());
    let unpack = unpacking(app, headers)?;
    on_a_thread(app, move |app| {
        let body = unpack(&body)?;
        let (input, form) = v2::read(app, &body, json.as_deref())?;
        let mut stale = false;
        let reply = answer(app, &input, |answers| {
            stale = version.as_ref().is_some_and(|version| *version != answers.epoch.to_string());
            v2::write(&app.config().model, answers, &form)
        })?;
        // What was in service before is not answered from.
        if stale { Err(no_version()) } else { Ok(reply) }
    })
    .await
}

/// There is one version: the one in service.
pub(super) fn no_version() -> Problem {
    Problem::unknown("this version is not in service; `GET /v2/models/NAME` names the one that is, and no other can be asked")
}

/// Unpacks gzip, within the bound on bodies.
fn unpacking(app: &App, headers: &HeaderMap) -> Result<impl FnOnce(&Bytes) -> Result<Bytes, Problem> + Send + 'static, Problem> {
    let coding = headers.get(header::CONTENT_ENCODING).map(|coding| coding.to_str().unwrap_or_default().to_ascii_lowercase());
    let gzip = match coding.as_deref() {
        None | Some("" | "identity") => false,
        Some("gzip") => true,
        Some(_) => return Err(Problem::media("of `Content-Encoding` only gzip is known")),
    };
    let most = u64::from(app.config().body_mib) << 20;
    Ok(move |body: &Bytes| {
        if !gzip {
            return Ok(body.clone());
        }
        let (mut unpacked, mut reader) = (Vec::new(), flate2::bufread::MultiGzDecoder::new(body.as_ref()));
        let read = std::io::Read::read_to_end(&mut std::io::Read::take(&mut reader, most + 1), &mut unpacked);
        read.map_err(|_| Problem::input("the body is not gzip, as `Content-Encoding` says it is"))?;
        if unpacked.len() as u64 > most {
            return Err(Problem::too_large(format!("the body is more than {most} bytes, unpacked")));
        }
        Ok(unpacked.into())
    })
}

/// Computes an answer and writes it, again if something came into effect before it could be given.
fn answer(app: &App, input: &Input, mut write: impl FnMut(&Answers) -> Reply) -> Result<Reply, Problem> {
    let bounds = Bounds {
        rows: app.config().rows.into(),
        seconds: app.config().answer_seconds.into(),
        clock: Stopwatch::start(),
        too_many: AtomicBool::new(false),
    };
    for _ in 0..TRIES {
        let answers = scores(app, input, &bounds)?;
        let reply = write(&answers);
        // Taken before the last look: whoever brings something into effect after it waits for this answer to be given.
        let token = app.given.token();
        match app.engine.moved_since(answers.epoch.entry) {
            Ok(false) => {
                let rows = answers.scores.values.len() / answers.scores.outputs.max(1);
                add(&app.metrics.rows, rows as u64);
                let reply = reply.with(EPOCH, &answers.epoch.to_string()).holding(token);
                return Ok(match app.serving.interface() {
                    Ok(i) if i.epoch == answers.epoch => reply.with(MEMBERS, &format!("{}/{}", i.members.1, i.members.2)),
                    _ => reply,
                });
            }
            Ok(true) => count(&app.metrics.again),
            Err(e) => return Err(failed(&e)),
        }
    }
    Err(Problem::unavailable("so much comes into effect that no answer stands still; ask again"))
}

/// Scores, once what is on its way into effect is there.
fn scores(app: &App, input: &Input, bounds: &Bounds) -> Result<Answers, Problem> {
    let waited = Stopwatch::start();
    loop {
        match app.serving.scores(input, bounds) {
            Ok(answers) => return Ok(answers),
            Err(Error::Interrupted) if bounds.too_many.load(Ordering::SeqCst) => {
                return Err(Problem::too_large(format!("more than {} rows; send them in several requests", bounds.rows)));
            }
            Err(Error::Interrupted) => return Err(Problem::unavailable("the answer took too long; ask for fewer rows")),
            Err(e) if e.kind() == ErrorKind::Retry && waited.seconds() < app.config().wait_seconds.into() => {
                app.keeper.wake(false);
                std::thread::sleep(PAUSE);
            }
            Err(e) => return Err(failed(&e)),
        }
    }
}

/// An error of the engine; what concerns the operator goes to the log.
pub(super) fn failed(error: &Error) -> Problem {
    if matches!(error.kind(), ErrorKind::Damage | ErrorKind::Disk) {
        log::alarm(&error.to_string());
    }
    Problem::of(error)
}

/// Whether predictions are answered, with the reason where they are not.
pub(super) async fn ready(app: &Arc<App>) -> Result<Reply, Problem> {
    if app.stopping() {
        return Err(Problem::unavailable("the service is stopping"));
    }
    if app.predictions.is_full() {
        return Err(Problem::unavailable("as many predictions wait as may"));
    }
    let app = app.clone();
    let looked = tokio::task::spawn_blocking(move || app.serving.interface().map_err(|e| Problem::of(&e)));
    let interface = looked.await.unwrap_or_else(|_| Err(Problem::internal()))?;
    let (_, whole, shards) = interface.members;
    let ready = serde_json::json!({ "ready": true });
    Ok(Reply::json(StatusCode::OK, &ready).with(EPOCH, &interface.epoch.to_string()).with(MEMBERS, &format!("{whole}/{shards}")))
}
