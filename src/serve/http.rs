//! From a request to its answer: who asks, whether it may, how large it is, what it is, and what is written down of it.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{RawPathParams, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::Response,
    routing::{MethodFilter, on},
};
use sisa::{
    engine::{ErrorKind, Stopwatch},
    wire,
};

use super::{
    app::App,
    audit::{self, Act},
    deletions, events, holds,
    keys::Caller,
    log::{self, trace_id},
    opendsr, page, predict,
    problem::Problem,
    reply::{EPOCH, JSON, Reply},
    role::Role,
    route::{Endpoint, ROUTES},
    sent::{asked_for, asked_page, is_local, key_of, read_body},
    v2,
};

/// The router of all endpoints.
pub(super) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for route in &ROUTES {
        let (endpoint, roles) = (route.endpoint, route.roles);
        let handler = move |State(app): State<Arc<App>>, params: RawPathParams, request: Request| async move {
            Asking { app, endpoint, roles, params: params.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect() }
                .serve(request)
                .await
        };
        // Whatever is asked for by another method than the table's is nothing that is there.
        let Ok(method) = MethodFilter::try_from(route.method.clone()) else { continue };
        router = router.route(route.path, on(method, handler));
    }
    let unknown = |State(app): State<Arc<App>>, request: Request| async move {
        Asking { app, endpoint: Endpoint::Unknown, roles: &[], params: Vec::new() }.serve(request).await
    };
    let other = |State(app): State<Arc<App>>, request: Request| async move {
        Asking { app, endpoint: Endpoint::Method, roles: &[], params: Vec::new() }.serve(request).await
    };
    router.fallback(unknown).method_not_allowed_fallback(other).with_state(app)
}

/// One request on its way.
struct Asking {
    app: Arc<App>,
    endpoint: Endpoint,
    roles: &'static [Role],
    params: Vec<(String, String)>,
}

impl Asking {
    async fn serve(self, request: Request) -> Response {
        let clock = Stopwatch::start();
        let (parts, body) = request.into_parts();
        let trace = parts.headers.get("traceparent").cloned();
        let mut unread = !body.is_end_stream();
        let (caller, reply) = match self.admitted(&parts) {
            Ok(caller) => {
                let done = self.answer(&caller, &parts, body, &mut unread).await;
                (caller, done.unwrap_or_else(Reply::from))
            }
            Err((caller, problem)) => (caller, problem.into()),
        };
        let seconds = clock.seconds();
        self.app.metrics.answered(self.endpoint, reply.status, seconds);
        let line = log::Line {
            endpoint: Some(self.endpoint.name()),
            status: Some(reply.status.as_u16()),
            seconds: Some(seconds),
            key: Some(&caller.name),
            trace: trace.as_ref().and_then(|t| t.to_str().ok()).and_then(trace_id),
            request: reply.about.as_deref(),
            ..log::line("request")
        };
        // An answer that went well is told by the metrics.
        if reply.about.is_some() || !reply.status.is_success() || line.trace.is_some() {
            line.write();
        }
        let mut response = reply.into_response();
        if let Some(trace) = trace.filter(|t| t.to_str().is_ok_and(|t| trace_id(t).is_some())) {
            response.headers_mut().insert("traceparent", trace);
        }
        if unread {
            // What is left of the body can't be told from a next request, so the connection ends, and whoever keeps it is told so.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Who asks, if that is someone who may.
    fn admitted(&self, parts: &Parts) -> Result<Caller, (Caller, Problem)> {
        let refuse = |problem| (Caller::anyone(), problem);
        if self.roles.is_empty() {
            return Ok(Caller::anyone());
        }
        let key = key_of(&parts.headers);
        let caller = self.app.caller(key.as_deref()).map_err(refuse)?.ok_or_else(|| refuse(Problem::no_key()))?;
        if self.app.is_open() && !is_local(&parts.headers) {
            return Err((
                caller,
                Problem::forbidden(
                    "without keys only this machine is answered, by its own name; make a key by `sisa key add NAME --role ROLE`",
                ),
            ));
        }
        if !caller.may(self.roles) {
            let roles: Vec<&str> = self.roles.iter().map(|role| role.name()).collect();
            return Err((caller, Problem::forbidden(format!("the key does not have the role {}", roles.join(" or ")))));
        }
        Ok(caller)
    }

    fn param(&self, name: &str) -> String {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// Answers; `unread` becomes false once all of the body was read.
    async fn answer(&self, caller: &Caller, parts: &Parts, body: Body, unread: &mut bool) -> Result<Reply, Problem> {
        let (app, headers) = (&self.app, &parts.headers);
        if self.params.iter().any(|(key, value)| key == "model" && *value != app.config().model) {
            return Err(Problem::unknown(
                "there is no model of this name; `GET /v2/models/NAME` tells of the one there is, whose name is in the configuration",
            ));
        }
        match self.endpoint {
            Endpoint::Invocations => {
                let (body, _room) = read_body(app, headers, body).await?;
                *unread = false;
                predict::invocations(app, headers, asked_for(parts, "proba"), body).await
            }
            Endpoint::Infer => {
                let (body, _room) = read_body(app, headers, body).await?;
                *unread = false;
                let version = self.params.iter().find(|(key, _)| key == "version").map(|(_, version)| version.clone());
                predict::infer(app, headers, version, body).await
            }
            Endpoint::Delete => {
                self.within_quota(caller)?;
                let (body, _room) = read_body(app, headers, body).await?;
                *unread = false;
                let asked = deletions::read(app, caller, headers, asked_for(parts, "dry_run"), &body)?;
                drop(body);
                // Once begun it goes on and is written down, also when nobody listens any more.
                let done = tokio::spawn(delete(app.clone(), caller.clone(), asked));
                done.await.unwrap_or_else(|_| Err(Problem::internal()))
            }
            Endpoint::Deletion => deletions::one(app, caller, self.param("request")).await,
            Endpoint::Deletions => deletions::all(app, &asked_page(parts)?).await,
            Endpoint::Receipt => {
                let reply = deletions::receipt(app, self.param("request"), asked_for(parts, "signed")).await?;
                write_down(app, caller, self.endpoint.name(), reply.about.clone(), reply.status).await;
                Ok(reply)
            }
            Endpoint::Repair => {
                app.keeper.wake(true);
                write_down(app, caller, self.endpoint.name(), None, StatusCode::ACCEPTED).await;
                let waiting = self.look(|app| app.engine.waiting().map_err(|e| predict::failed(&e))).await?;
                let names: Vec<String> = waiting.unrepaired.into_iter().map(|(name, _)| name).collect();
                Ok(Reply::json(StatusCode::ACCEPTED, &serde_json::json!({ "unrepaired": names })))
            }
            Endpoint::Holds => self.look_at(holds::all).await,
            Endpoint::Hold => {
                let (body, _room) = read_body(app, headers, body).await?;
                *unread = false;
                let (by, name) = (caller.clone(), self.param("hold"));
                let reply = self.look_at(move |app| holds::put(app, &by, name, &body)).await?;
                write_down(app, caller, self.endpoint.name(), reply.about.clone(), reply.status).await;
                Ok(reply)
            }
            Endpoint::Release => {
                let name = self.param("hold");
                let reply = self.look_at(move |app| holds::release(app, name)).await?;
                write_down(app, caller, self.endpoint.name(), reply.about.clone(), reply.status).await;
                Ok(reply)
            }
            Endpoint::Discovery => opendsr::discovery(app),
            Endpoint::Certificate => opendsr::certificate(app),
            Endpoint::Receive => {
                self.within_quota(caller)?;
                let (body, _room) = read_body(app, headers, body).await?;
                *unread = false;
                let permit = app.deletions.enter().await?;
                let by = caller.clone();
                let received = self.look_at(move |app| {
                    let received = opendsr::receive(app, &by, &body);
                    drop(permit);
                    received
                });
                let reply = opendsr::told(received.await)?;
                write_down(app, caller, self.endpoint.name(), reply.about.clone(), reply.status).await;
                Ok(reply)
            }
            Endpoint::Asked => {
                let name = self.param("request");
                let told = self.look_at(move |app| opendsr::status(app, &name)).await;
                app.given.drained().await;
                opendsr::told(told)
            }
            Endpoint::Cancel => {
                let name = self.param("request");
                let reply = opendsr::told(self.look_at(move |app| opendsr::cancel(app, &name)).await)?;
                write_down(app, caller, self.endpoint.name(), reply.about.clone(), reply.status).await;
                Ok(reply)
            }
            Endpoint::Status => {
                let watched = self.look(|app| {
                    let due = || app.book.rekey_due(&app.engine, app.config().rekey_after);
                    let watched = app.engine.status().and_then(|status| Ok(wire::Watched::of(&status, due()?.as_ref())));
                    watched.map_err(|e| predict::failed(&e))
                });
                Ok(Reply::json(StatusCode::OK, &watched.await?))
            }
            Endpoint::Audit => {
                let text = self
                    .look(|app| {
                        audit::read(&app.engine).map_err(|e| {
                            log::alarm(&e.to_string());
                            Problem::unavailable("the audit log is damaged; whoever runs the service is told by its log where")
                        })
                    })
                    .await?;
                Ok(Reply::new(StatusCode::OK, "application/jsonl", text))
            }
            Endpoint::Metrics => {
                let text = self.look(|app| Ok(app.metrics.text(&app.gauges()))).await?;
                Ok(Reply::new(StatusCode::OK, "text/plain; version=0.0.4", text))
            }
            Endpoint::Page => {
                let page = self.look(page::page).await?;
                app.given.drained().await;
                Ok(page)
            }
            Endpoint::Script => Ok(Reply::new(StatusCode::OK, "text/javascript; charset=utf-8", page::SCRIPT)),
            Endpoint::Style => Ok(Reply::new(StatusCode::OK, "text/css; charset=utf-8", page::STYLE)),
            Endpoint::Events => events::watch(app),
            Endpoint::Live => Ok(Reply::json(StatusCode::OK, &serde_json::json!({ "live": true }))),
            Endpoint::Ping => Ok(Reply::new(StatusCode::OK, JSON, "\n")),
            Endpoint::Version => Ok(Reply::new(StatusCode::OK, "text/plain", env!("CARGO_PKG_VERSION"))),
            Endpoint::Server => Ok(Reply::json(StatusCode::OK, &v2::server())),
            Endpoint::Ready => predict::ready(app).await,
            Endpoint::Model | Endpoint::ModelReady => {
                let interface = self.look(|app| app.serving.interface().map_err(|e| predict::failed(&e))).await?;
                let epoch = interface.epoch.to_string();
                if self.params.iter().any(|(key, version)| key == "version" && *version != epoch) {
                    return Err(predict::no_version());
                }
                if self.endpoint == Endpoint::ModelReady {
                    return predict::ready(app).await;
                }
                Ok(Reply::json(StatusCode::OK, &v2::model(&app.config().model, &interface)).with(EPOCH, &epoch))
            }
            Endpoint::Document => Ok(Reply::new(StatusCode::OK, JSON, include_str!("../../docs/openapi.json"))),
            Endpoint::Unknown => Err(Problem::unknown("there is nothing here; `GET /openapi.json` tells what there is")),
            Endpoint::Method => Err(Problem::method()),
        }
    }

    /// Refuses a deletion that is one more than its key may ask for; whoever asks on this machine without keys may ask for any number.
    fn within_quota(&self, caller: &Caller) -> Result<(), Problem> {
        let config = self.app.config();
        if caller.is_local() {
            return Ok(());
        }
        let most = (config.deletions_per_minute, config.deletions_per_day);
        self.app.quota.take(&caller.name, most).map_err(Problem::quota)
    }

    /// As [`Asking::look`], of an answer.
    async fn look_at(&self, look: impl FnOnce(&Arc<App>) -> Result<Reply, Problem> + Send + 'static) -> Result<Reply, Problem> {
        let app = self.app.clone();
        tokio::task::spawn_blocking(move || look(&app)).await.unwrap_or_else(|_| Err(Problem::internal()))
    }

    /// Reads something off the runtime's threads.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = self.app.clone();
        tokio::task::spawn_blocking(move || look(&app)).await.unwrap_or_else(|_| Err(Problem::internal()))
    }
}

/// Deletes, and writes down who asked for it.
async fn delete(app: Arc<App>, caller: Caller, asked: deletions::Asked) -> Result<Reply, Problem> {
    let what = if asked.is_dry_run() { "dry_run" } else { Endpoint::Delete.name() };
    let reply = deletions::delete(&app, asked).await;
    // What is refused may have any name; what is accepted has one that can be told.
    let (about, status) = match &reply {
        Ok(reply) => (reply.about.clone(), reply.status),
        Err(problem) => (None, problem.status),
    };
    write_down(&app, &caller, what, about, status).await;
    reply
}

/// Writes an act into the audit log; durable on return.
async fn write_down(app: &Arc<App>, caller: &Caller, what: &str, about: Option<String>, status: StatusCode) {
    let act = Act { who: caller.name.clone(), what: what.into(), about, result: status.as_u16().to_string() };
    let app = app.clone();
    let _ = tokio::task::spawn_blocking(move || app.write_down(act)).await;
}

/// Whether an error at the start is one that passes: the service then starts and answers when it can.
pub(super) fn passes(error: &sisa::engine::Error) -> bool {
    let repairs = error.remedies().contains(&sisa::engine::Remedy::Repair);
    error.kind() == ErrorKind::Retry || (error.kind() == ErrorKind::NotReady && repairs)
}
