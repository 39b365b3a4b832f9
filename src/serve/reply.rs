//! Answers with their whole bodies: what was given in part could not be taken back.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use sisa::wire;
use tokio::sync::{Notify, mpsc::Receiver};

use super::problem::Problem;

/// The header that names what an answer stands on.
pub(super) const EPOCH: HeaderName = HeaderName::from_static("x-sisa-epoch");
/// The header that tells how many shards vote, of how many.
pub(super) const MEMBERS: HeaderName = HeaderName::from_static("x-sisa-members");
/// Where the JSON of a body with binary tensors ends.
pub(super) const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

pub(super) const JSON: &str = "application/json";
pub(super) const BINARY: &str = "application/octet-stream";

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    kind: &'static str,
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
    given: Option<Arc<Token>>,
    /// What comes after the body, as it comes.
    stream: Option<Receiver<Bytes>>,
    /// The name of the deletion request that it is about, for the log.
    pub(super) about: Option<String>,
}

impl Reply {
    pub(super) fn new(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
        Reply { status, kind, body: body.into(), headers: Vec::new(), given: None, stream: None, about: None }
    }

    /// An answer of one line of JSON.
    pub(super) fn json(status: StatusCode, answer: &impl Serialize) -> Reply {
        Reply::new(status, JSON, wire::line(answer))
    }

    /// The same with another header; a value that can't be one is left out.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Reply {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// The same, about a deletion request.
    pub(super) fn about(self, request: Option<String>) -> Reply {
        Reply { about: request, ..self }
    }

    /// The same; the token is let go when the body is with the connection.
    pub(super) fn holding(self, token: Arc<Token>) -> Reply {
        Reply { given: Some(token), ..self }
    }

    /// A body that comes piece by piece, until nobody sends any more. Nothing that a model answered is ever given so.
    pub(super) fn streamed(kind: &'static str, stream: Receiver<Bytes>) -> Reply {
        Reply { stream: Some(stream), ..Reply::new(StatusCode::OK, kind, Bytes::new()) }
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(match self.stream {
            Some(stream) => Body::new(Pieces(stream)),
            None => Body::new(Whole { body: Some(self.body), _given: self.given }),
        });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        // A cache would give an answer again after a deletion is in effect.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Reply {
        let reply = Reply::json(problem.status, &problem.body);
        let reply = match problem.again_after {
            Some(seconds) => reply.with(header::RETRY_AFTER, &seconds.to_string()),
            None => reply,
        };
        match problem.status {
            StatusCode::UNAUTHORIZED => {
                // Browsers look at one scheme a header.
                reply
                    .with(header::WWW_AUTHENTICATE, "Basic realm=\"sisa\", charset=\"UTF-8\"")
                    .with(header::WWW_AUTHENTICATE, "Bearer")
            }
            _ => reply,
        }
    }
}

/// A body in one piece.
struct Whole {
    body: Option<Bytes>,
    _given: Option<Arc<Token>>,
}

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.body.take().filter(|body| !body.is_empty()).map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}

/// A body in pieces.
struct Pieces(Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// Which answers are on their way. An answer takes a token before it looks for the last time whether it still stands; who has
/// brought something into effect waits until the tokens from before are let go.
#[derive(Debug, Default)]
pub(super) struct Given(Mutex<Tokens>);

/// An answer that is on its way, or some from the same time.
#[derive(Debug)]
pub(super) struct Token(Arc<Notify>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

#[derive(Debug)]
struct Tokens {
    now: Arc<Token>,
    before: Vec<Weak<Token>>,
    /// Rings when one of them is let go.
    bell: Arc<Notify>,
}

impl Default for Tokens {
    fn default() -> Tokens {
        let bell = Arc::new(Notify::new());
        Tokens { now: Arc::new(Token(bell.clone())), before: Vec::new(), bell }
    }
}

/// A connection that does not take its answer within this time is waited for no longer.
const PATIENCE: Duration = Duration::from_millis(250);

impl Given {
    pub(super) fn token(&self) -> Arc<Token> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now.clone()
    }

    /// The tokens that were given out until now; from now on there are others.
    fn renew(&self) -> (Vec<Weak<Token>>, Arc<Notify>) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bell = tokens.bell.clone();
        let now = std::mem::replace(&mut tokens.now, Arc::new(Token(bell.clone())));
        tokens.before.push(Arc::downgrade(&now));
        drop(now);
        tokens.before.retain(|token| token.strong_count() > 0);
        (tokens.before.clone(), bell)
    }

    /// Waits until every answer that may have looked before is with its connection.
    pub(super) async fn drained(&self) {
        let (before, bell) = self.renew();
        let gone = async {
            loop {
                // Heard from here on, so none is let go unheard between the look and the wait.
                let mut rung = pin!(bell.notified());
                rung.as_mut().enable();
                if before.iter().all(|token| token.strong_count() == 0) {
                    return;
                }
                rung.await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, gone).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_second_waits_for_the_first_ones_answers_too() {
        let given = Given::default();
        let answer = given.token();
        assert_eq!(given.renew().0.len(), 1);
        assert_eq!(given.renew().0.len(), 1, "it is still on its way");
        drop(answer);
        assert!(given.renew().0.is_empty());
    }
}
