//! Listening, connections, and coming to an end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use sisa::engine::ServeConfig;
use sisa::wire;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Semaphore, mpsc},
};

use super::{ServeError, app::App, audit::Act, callback, http, log};

/// Everything has come to its end within this time of the wish to stop.
const END: Duration = Duration::from_secs(9);
/// The greeting of TLS has to be done within this time.
#[cfg(feature = "tls")]
const GREETING: Duration = Duration::from_secs(10);
/// Bytes of the headers of a request.
const HEADER_BYTES: usize = 64 << 10;

/// Serves until somebody asks to stop; `told` hears the address.
pub(super) async fn serve(app: Arc<App>, listener: TcpListener, told: impl FnOnce(&wire::Listening)) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Runtime)?;
    let hears = |kind| signal(kind).map_err(ServeError::Runtime);
    let (mut terminate, mut interrupt) = (hears(SignalKind::terminate())?, hears(SignalKind::interrupt())?);
    let hangup = hears(SignalKind::hangup())?;
    let secure = Secure::of(&app)?;
    let scheme = if app.config().tls.is_some() { "https" } else { "http" };
    let (wish, mut wishes) = mpsc::channel::<()>(2);
    let other = wish.clone();
    tokio::spawn(async move { while terminate.recv().await.is_some() && wish.send(()).await.is_ok() {} });
    tokio::spawn(async move { while interrupt.recv().await.is_some() && other.send(()).await.is_ok() {} });
    let keeper = app.keeper.clone();
    let keeping = tokio::task::spawn_blocking(move || keeper.run());
    let clerk = app.clerk.clone();
    let clerking = tokio::task::spawn_blocking(move || clerk.run());
    let shared = app.clone();
    // It writes nothing that is waited for.
    tokio::task::spawn_blocking(move || {
        shared.judge.run(&shared.engine, &shared.audit, || shared.config().quality.clone());
    });
    let calling = tokio::spawn(callback::run(app.clone()));
    let graceful = Arc::new(GracefulShutdown::new());
    let accepting = tokio::spawn(accept(app.clone(), listener, secure.clone(), graceful.clone()));
    let hearing = tokio::spawn(configure(app.clone(), secure, hangup));
    let locked = app.locked().unwrap_or(true);
    told(&wire::Listening::of(format!("{scheme}://{address}"), locked));
    write_down(&app, "start").await;

    let _ = wishes.recv().await;
    log::line("stop").write();
    app.stop();
    // Who asks whether it is ready is told that it is not, before connections are no longer taken.
    let drain = Duration::from_secs(app.config().drain_seconds.into());
    let ending = async {
        let _ = tokio::time::timeout(drain, wishes.recv()).await;
        accepting.abort();
        calling.abort();
        hearing.abort();
        let _ = accepting.await;
        if let Some(graceful) = Arc::into_inner(graceful) {
            graceful.shutdown().await;
        }
        let _ = clerking.await;
        let _ = keeping.await;
    };
    let _ = tokio::time::timeout(END, ending).await;
    write_down(&app, "stop").await;
    Ok(())
}

async fn write_down(app: &Arc<App>, what: &'static str) {
    let app = app.clone();
    let act = Act { who: "service".into(), what: what.into(), about: None, result: "done".into() };
    let _ = tokio::time::timeout(Duration::from_secs(1), tokio::task::spawn_blocking(move || app.write_down(act))).await;
}

/// Reads the settings again at every SIGHUP.
async fn configure(app: Arc<App>, secure: Secure, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        let (shared, secure) = (app.clone(), secure.clone());
        let read = tokio::task::spawn_blocking(move || {
            // Of settings that are wrong, in whatever part, nothing is taken.
            let prepared = Secure::prepared(&shared, &shared.engine.serve_config()?)?;
            shared.configure()?;
            secure.set(prepared);
            Ok::<_, ServeError>(())
        });
        let result = match read.await {
            Ok(Ok(())) => "done",
            Ok(Err(e)) => {
                log::alarm(&format!("[serve] was read again and is wrong, so everything stays as it was: {e}"));
                "refused"
            }
            Err(_) => "failed",
        };
        let act = Act { who: "service".into(), what: "configure".into(), about: None, result: result.into() };
        let app = app.clone();
        let _ = tokio::task::spawn_blocking(move || app.write_down(act)).await;
    }
}

/// Takes connections, as many as may be open.
async fn accept(app: Arc<App>, listener: TcpListener, secure: Secure, graceful: Arc<GracefulShutdown>) {
    let open = Arc::new(Semaphore::new(app.config().connections as usize));
    let router = http::router(app.clone());
    loop {
        let Ok(permit) = open.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Too many open files, or a connection that is gone already: neither is a reason to end.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (router, watcher, secure) = (router.clone(), graceful.watcher(), secure.clone());
        // Headers have to come within this time, and a connection that asks nothing is kept so long.
        let patience = Duration::from_secs(app.config().answer_seconds.into());
        tokio::spawn(async move {
            // A client that breaks off, or that is not to be trusted, is its own business.
            #[cfg(feature = "tls")]
            if let Some(acceptor) = secure.acceptor() {
                if let Ok(Ok(stream)) = tokio::time::timeout(GREETING, acceptor.accept(stream)).await {
                    let _ = watcher.watch(connection(router, stream, patience)).await;
                }
                drop(permit);
                return;
            }
            #[cfg(not(feature = "tls"))]
            let Secure = secure;
            let _ = watcher.watch(connection(router, stream, patience)).await;
            drop(permit);
        });
    }
}

/// How connections are made secret; read again with the settings.
#[cfg(feature = "tls")]
#[derive(Clone)]
struct Secure(Arc<std::sync::RwLock<Option<tokio_rustls::TlsAcceptor>>>);

#[cfg(feature = "tls")]
impl Secure {
    fn of(app: &App) -> Result<Secure, ServeError> {
        Ok(Secure(Arc::new(std::sync::RwLock::new(Secure::prepared(app, &app.config())?))))
    }

    fn prepared(app: &App, config: &ServeConfig) -> Result<Option<tokio_rustls::TlsAcceptor>, ServeError> {
        Ok(config.tls.as_ref().map(|tls| super::tls::acceptor(&app.engine, tls)).transpose()?)
    }

    /// For connections that come from now on.
    fn set(&self, prepared: Option<tokio_rustls::TlsAcceptor>) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = prepared;
    }

    fn acceptor(&self) -> Option<tokio_rustls::TlsAcceptor> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// This build has no TLS.
#[cfg(not(feature = "tls"))]
#[derive(Clone)]
struct Secure;

#[cfg(not(feature = "tls"))]
impl Secure {
    fn of(app: &App) -> Result<Secure, ServeError> {
        Secure::prepared(app, &app.config())
    }

    fn prepared(_: &App, config: &ServeConfig) -> Result<Secure, ServeError> {
        if config.tls.is_some() { Err(ServeError::NoTls) } else { Ok(Secure) }
    }

    fn set(&self, _: Secure) {}
}

type Connection<S> = http1::Connection<TokioIo<S>, TowerToHyperService<axum::Router>>;

fn connection<S: AsyncRead + AsyncWrite + Unpin + 'static>(router: axum::Router, stream: S, patience: Duration) -> Connection<S> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}

/// Whether only this machine can connect to an address.
pub(super) fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
}
