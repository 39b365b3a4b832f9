//! Listening, connections, and coming to an end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use sisa::wire;
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, mpsc},
};

use super::{app::App, audit::Act, http, log};

/// Everything has come to its end within this time of the wish to stop.
const END: Duration = Duration::from_secs(9);
/// Headers have to come within this time, and a connection that asks nothing is kept so long.
const HEADERS: Duration = Duration::from_secs(30);
/// Bytes of the headers of a request.
const HEADER_BYTES: usize = 64 << 10;

/// Serves until somebody asks to stop; `told` hears the address.
pub(super) async fn serve(app: Arc<App>, listener: TcpListener, told: impl FnOnce(&wire::Listening)) -> io::Result<()> {
    let address = listener.local_addr()?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (wish, mut wishes) = mpsc::channel::<()>(2);
    let other = wish.clone();
    tokio::spawn(async move { while terminate.recv().await.is_some() && wish.send(()).await.is_ok() {} });
    tokio::spawn(async move { while interrupt.recv().await.is_some() && other.send(()).await.is_ok() {} });
    let keeper = app.keeper.clone();
    let keeping = tokio::task::spawn_blocking(move || keeper.run());
    let graceful = Arc::new(GracefulShutdown::new());
    let accepting = tokio::spawn(accept(app.clone(), listener, graceful.clone()));
    let locked = app.locked().unwrap_or(true);
    told(&wire::Listening::of(format!("http://{address}"), locked));
    write_down(&app, "start").await;

    let _ = wishes.recv().await;
    log::line("stop").write();
    app.stop();
    // Who asks whether it is ready is told that it is not, before connections are no longer taken.
    let drain = Duration::from_secs(app.config.drain_seconds.into());
    let ending = async {
        let _ = tokio::time::timeout(drain, wishes.recv()).await;
        accepting.abort();
        let _ = accepting.await;
        if let Some(graceful) = Arc::into_inner(graceful) {
            graceful.shutdown().await;
        }
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

/// Takes connections, as many as may be open.
async fn accept(app: Arc<App>, listener: TcpListener, graceful: Arc<GracefulShutdown>) {
    let open = Arc::new(Semaphore::new(app.config.connections as usize));
    let router = http::router(app);
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
        let connection = connection(&router, stream);
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off is its own business.
            let _ = watched.await;
            drop(permit);
        });
    }
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<axum::Router>>;

fn connection(router: &axum::Router, stream: TcpStream) -> Connection {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()))
}

/// Whether only this machine can connect to an address.
pub(super) fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
}
