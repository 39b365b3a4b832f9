//! `sisa serve`: predictions and deletions from one process, over HTTP. The only part with an asynchronous runtime; it knows the engine and
//! the wire alone.
//!
//! Nothing here decides what may be answered: `engine::Serving` looks before and after each answer. What is added is a last look right
//! before an answer is given, and that a deletion by this process is told to be in effect only when older answers are given.

mod app;
mod audit;
mod book;
mod callback;
mod cells;
mod clerk;
mod day;
mod deletions;
mod desk;
mod door;
mod events;
mod gate;
mod holds;
mod http;
mod intake;
mod judge;
mod keeper;
mod keys;
mod log;
mod metrics;
mod mlflow;
mod opendsr;
mod page;
mod predict;
mod problem;
mod quota;
mod reply;
mod role;
mod route;
mod sent;
mod server;
mod signer;
mod tensor;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod until;
mod v2;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use sisa::{
    engine::{Engine, Error, ServeConfig},
    wire,
};
use tokio::net::TcpListener;

pub(crate) use self::{
    audit::{Act, Audit},
    holds::against,
    keys::{KeyError, Keys},
    role::Role,
};

/// Why the service does not start, or came to an end that nobody asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The address is none.
    #[error("`{0}` is no address to listen on; write one such as 127.0.0.1:8080")]
    Address(String),
    /// The address can't be listened on.
    #[error("{address} can't be listened on: {cause}")]
    Listen { address: SocketAddr, cause: io::Error },
    /// Other machines could connect, and there is no key.
    #[error(
        "{0} can be reached from other machines, and no key is there to tell who asks: make one by `sisa key add NAME --role ROLE`, or listen on \
         127.0.0.1"
    )]
    Open(SocketAddr),
    /// TLS is asked for, and this build has none.
    #[cfg(not(feature = "tls"))]
    #[error(
        "[serve.tls] asks for TLS, and this program was built without it: build it with `cargo build --release --features tls`"
    )]
    NoTls,
    /// A certificate or a key can't be used.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// Answers can't be signed as they are to be.
    #[error(transparent)]
    Signer(#[from] signer::SignerError),
    /// The runtime can't be started.
    #[error("the runtime can't be started: {0}")]
    Runtime(io::Error),
    /// The keys can't be read.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Nothing can be served.
    #[error(transparent)]
    Engine(#[from] Error),
}

/// Threads of the runtime at least: they move bytes, and answer what is small.
const RUNTIME_THREADS: usize = 2;
/// Threads for everything that waits for a disk or computes; gates keep each kind of it below.
const BLOCKING_THREADS: usize = 256;

/// Serves the workspace until somebody asks to stop. `told` hears the address as soon as it is listened on.
pub(crate) fn serve(engine: Engine, config: ServeConfig, told: impl FnOnce(&wire::Listening)) -> Result<(), ServeError> {
    let address: SocketAddr = config.listen.parse().map_err(|_| ServeError::Address(config.listen.clone()))?;
    let loopback = server::is_loopback(&address);
    if !loopback && !Keys(&engine).any()? {
        return Err(ServeError::Open(address));
    }
    if let Err(e) = engine.serving()
        && !http::passes(&e)
    {
        return Err(e.into());
    }
    log::panics_tell_their_place();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(engine.threads().max(RUNTIME_THREADS))
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let app = Arc::new(app::App::new(Arc::new(engine), config, loopback)?);
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(address).await.map_err(|cause| ServeError::Listen { address, cause })?;
        server::serve(app, listener, told).await
    });
    // What waits for a lock does not keep the process: what it had accepted is in the ledger.
    runtime.shutdown_timeout(Duration::from_millis(200));
    served
}
