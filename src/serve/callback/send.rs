//! One callback: a POST to one machine, within one time, of which only the status is read.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    super::opendsr::{DOMAIN, SIGNATURE},
    address::{Address, is_public},
};

/// Everything of a callback happens within this time: the name, the connection, the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is sent, and how.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) address: Address,
    pub(super) domain: String,
    pub(super) body: Bytes,
    pub(super) signature: Option<String>,
    /// Whether it may go to this machine and to private networks.
    pub(super) private: bool,
}

/// How servers are trusted.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Trust {
    #[cfg(feature = "tls")]
    pub(in super::super) client: Option<super::super::tls::Client>,
}

/// Why a callback was not delivered. It names neither path nor query.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the name can't be resolved")]
    Name,
    #[error("the name leads to this machine or into a private network; `private_callbacks` under [serve.opendsr] allows that")]
    Private,
    #[error("nobody answers there")]
    Connect,
    #[error("TLS: {0}")]
    Tls(String),
    #[error("it did not come to an end within {} seconds", PATIENCE.as_secs())]
    Slow,
    #[error("the connection broke")]
    Broken,
    #[error("it was answered by {0}, and only 2xx is a delivery")]
    Refused(u16),
}

/// Calls; delivered if this is fine.
pub(super) async fn send(call: Call, trust: &Trust) -> Result<(), CallError> {
    tokio::time::timeout(PATIENCE, deliver(call, trust)).await.unwrap_or(Err(CallError::Slow))
}

async fn deliver(call: Call, trust: &Trust) -> Result<(), CallError> {
    let found = tokio::net::lookup_host((call.address.host.as_str(), call.address.port)).await.map_err(|_| CallError::Name)?;
    let all: Vec<SocketAddr> = found.collect();
    // What was looked at is what is connected to: a name that leads elsewhere in a moment leads nowhere.
    let allowed: Vec<SocketAddr> = all.iter().copied().filter(|to| call.private || is_public(to.ip())).collect();
    if allowed.is_empty() {
        return Err(if all.is_empty() { CallError::Name } else { CallError::Private });
    }
    let mut stream = None;
    for to in &allowed {
        if let Ok(connected) = TcpStream::connect(to).await {
            stream = Some(connected);
            break;
        }
    }
    let stream = stream.ok_or(CallError::Connect)?;
    if call.address.https { over_tls(stream, call, trust).await } else { post(stream, call).await }
}

#[cfg(feature = "tls")]
async fn over_tls(stream: TcpStream, call: Call, trust: &Trust) -> Result<(), CallError> {
    let client = trust.client.as_ref().ok_or_else(|| CallError::Tls("there are no certificates to trust a server by".into()))?;
    let stream = client.connect(&call.address.host, stream).await.map_err(CallError::Tls)?;
    post(stream, call).await
}

#[cfg(not(feature = "tls"))]
async fn over_tls(_: TcpStream, _: Call, _: &Trust) -> Result<(), CallError> {
    Err(CallError::Tls("this program was built without it: build it with `cargo build --release --features tls`".into()))
}

async fn post(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, call: Call) -> Result<(), CallError> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(64 << 10)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| CallError::Broken)?;
    let driven = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&call.address.path)
        .header(header::HOST, call.address.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("sisa/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .header(DOMAIN, &call.domain);
    if let Some(signature) = &call.signature {
        request = request.header(SIGNATURE, signature);
    }
    let request = request.body(Body::from(call.body)).map_err(|_| CallError::Broken)?;
    let answered = sender.send_request(request).await;
    // Whatever else it says is not read.
    driven.abort();
    match answered.map_err(|_| CallError::Broken)?.status() {
        status if status.is_success() => Ok(()),
        status => Err(CallError::Refused(StatusCode::as_u16(&status))),
    }
}
