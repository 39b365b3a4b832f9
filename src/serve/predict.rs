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
use sisa::engine::{Answers, Error, ErrorKind, Input, Observer, Progress, Remedy, Stopwatch};

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

/// Why there is no answer from here.
enum Stop {
    /// There will be none.
    Problem(Problem),
    /// Something is to be waited for, which no thread of the runtime may do.
    Waits,
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Stop {
        Stop::Problem(problem)
    }
}

/// Bytes of a body that may be answered by the thread that read it.
const SMALL: usize = 2048;
/// Microseconds that such an answer may take: about what it costs to change threads, some times over.
const QUICK: u64 = 500;

/// Runs a prediction: a small one at once if what was in service still is, nothing is about to change that and the last one was quick, any other on a thread of its own kind,
/// once there is one. `work` is told whether it may wait.
async fn answered(
    app: &Arc<App>,
    small: bool,
    work: impl Fn(&App, bool) -> Result<Reply, Stop> + Send + 'static,
) -> Result<Reply, Problem> {
    let timed = move |app: &App, may_wait| {
        let clock = Stopwatch::start();
        let reply = work(app, may_wait);
        if small {
            app.last_small.store((clock.seconds() * 1e6) as u64, Ordering::Relaxed);
        }
        reply
    };
    if small && app.last_small.load(Ordering::Relaxed) <= QUICK && !app.keeper.is_moving() && app.is_current() {
        match timed(app, false) {
            Ok(reply) => return Ok(reply),
            Err(Stop::Problem(problem)) => return Err(problem),
            Err(Stop::Waits) => {}
        }
    }
    let permit = app.predictions.enter().await?;
    let app = app.clone();
    let done = tokio::task::spawn_blocking(move || {
        let reply = timed(&app, true);
        drop(permit);
        reply
    });
    match done.await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(Stop::Problem(problem))) => Err(problem),
        Ok(Err(Stop::Waits)) | Err(_) => Err(Problem::internal()),
    }
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
    let (small, unpack) = (body.len() <= SMALL, unpacking(app, headers)?);
    answered(app, small, move |app, may_wait| {
        let body = unpack(&body)?;
        let (input, params) = if csv {
            (Input::new().with_text(cells::NAME, body.as_ref()), Params { proba })
        } else {
            let (input, params) = mlflow::read(app, &body)?;
            (input, Params { proba: proba || params.proba })
        };
        answer(app, &input, may_wait, |answers| mlflow::write(answers, params))
    })
    .await
}

/// `POST /v2/models/{model}/infer`, also of one version.
pub(super) async fn infer(app: &Arc<App>, headers: &HeaderMap, version: Option<String>, body: Bytes) -> Result<Reply, Problem> {
    let json = headers.get(JSON_LENGTH).map(|length| length.to_str().unwrap_or_default().to_owned());
    let (small, unpack) = (body.len() <= SMALL, unpacking(app, headers)?);
    answered(app, small, move |app, may_wait| {
        let body = unpack(&body)?;
        let (input, form) = v2::read(app, &body, json.as_deref())?;
        let mut stale = false;
        let reply = answer(app, &input, may_wait, |answers| {
            stale = version.as_ref().is_some_and(|version| *version != answers.epoch.to_string());
            v2::write(&app.config().model, answers, &form)
        })?;
        // What was in service before is not answered from.
        if stale { Err(no_version().into()) } else { Ok(reply) }
    })
    .await
}

/// There is one version: the one in service.
pub(super) fn no_version() -> Problem {
    Problem::unknown("this version is not in service; `GET /v2/models/NAME` names the one that is, and no other can be asked")
}

/// Unpacks gzip, within the bound on bodies.
fn unpacking(app: &App, headers: &HeaderMap) -> Result<impl Fn(&Bytes) -> Result<Bytes, Problem> + Send + 'static, Problem> {
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
fn answer(app: &App, input: &Input, may_wait: bool, mut write: impl FnMut(&Answers) -> Reply) -> Result<Reply, Stop> {
    let bounds = Bounds {
        rows: app.config().rows.into(),
        seconds: app.config().answer_seconds.into(),
        clock: Stopwatch::start(),
        too_many: AtomicBool::new(false),
    };
    for _ in 0..TRIES {
        let answers = scores(app, input, &bounds, may_wait)?;
        let reply = write(&answers);
        // Taken before the last look: whoever brings something into effect after it waits for this answer to be given.
        let token = app.given.token();
        match app.engine.moved_since(answers.epoch.entry) {
            Ok(false) => {
                let rows = answers.scores.values.len() / answers.scores.outputs.max(1);
                add(&app.metrics.rows, rows as u64);
                let reply = reply.with(EPOCH, &answers.epoch.to_string()).holding(token);
                return Ok(match app.members(&answers.epoch) {
                    Some(members) => reply.with(MEMBERS, &members),
                    None => reply,
                });
            }
            Ok(true) => count(&app.metrics.again),
            Err(e) => return Err(failed(&e).into()),
        }
        if !may_wait {
            return Err(Stop::Waits);
        }
    }
    Err(Problem::unavailable("so much comes into effect that no answer stands still; ask again").into())
}

/// Scores, once what is on its way into effect is there.
fn scores(app: &App, input: &Input, bounds: &Bounds, may_wait: bool) -> Result<Answers, Stop> {
    let waited = Stopwatch::start();
    loop {
        match app.serving.scores(input, bounds) {
            Ok(answers) => return Ok(answers),
            Err(Error::Interrupted) if bounds.too_many.load(Ordering::SeqCst) => {
                let text = format!("more than {} rows; send them in several requests", bounds.rows);
                return Err(Problem::too_large(text).into());
            }
            Err(Error::Interrupted) => {
                return Err(Problem::unavailable("the answer took too long; ask for fewer rows").into());
            }
            Err(e) if !may_wait && matches!(e.kind(), ErrorKind::Retry | ErrorKind::NotReady) => return Err(Stop::Waits),
            Err(e) if passes(app, &e, waited.seconds()) => {
                app.keeper.wake(false);
                std::thread::sleep(PAUSE);
            }
            Err(e) => return Err(failed(&e).into()),
        }
    }
}

/// Seconds in which a repair begins, if there is one to come.
const SOON: f64 = 0.1;

/// Whether it is worth waiting: for a deletion that is on its way, or for a repair that brings a shard back, if one is on or begins now.
fn passes(app: &App, error: &Error, waited: f64) -> bool {
    let passes = match error.kind() {
        ErrorKind::Retry => true,
        ErrorKind::NotReady => {
            error.remedies().contains(&Remedy::Repair) && (waited < SOON || app.keeper.is_moving() || app.keeper.outlook().due)
        }
        _ => false,
    };
    passes && waited < app.config().wait_seconds.into()
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
