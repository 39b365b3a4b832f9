//! Why there is no answer, as a status and a text.

use axum::http::StatusCode;
use sisa::engine::{Error, ErrorKind, Remedy};
use sisa::wire;

use super::{intake::IntakeError, log, predict::failed};

/// What is told in place of an answer.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) body: wire::Problem,
    /// Seconds after which to ask again.
    pub(super) again_after: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, text: impl Into<String>) -> Problem {
        Problem { status, body: wire::Problem::of(text.into(), None), again_after: None }
    }

    /// What was sent is wrong.
    pub(super) fn input(text: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn unknown(text: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, text)
    }

    pub(super) fn conflict(text: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, text)
    }

    pub(super) fn forbidden(text: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, text)
    }

    pub(super) fn no_key() -> Problem {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "a key is needed: `Authorization: Bearer KEY`, or Basic with the key as the password",
        )
    }

    pub(super) fn too_large(text: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    }

    pub(super) fn media(text: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)
    }

    pub(super) fn method() -> Problem {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this is not asked for by this method; `GET /openapi.json` tells by which")
    }

    pub(super) fn slow(text: impl Into<String>) -> Problem {
        Problem::new(StatusCode::REQUEST_TIMEOUT, text)
    }

    /// More is asked for than can be done now. It says nothing of the service's health, so it is no 503, for which balancers take a server out.
    pub(super) fn busy(text: impl Into<String>) -> Problem {
        Problem { again_after: Some(1), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, text) }
    }

    /// A key has asked for as much as it may, and may go on after so many seconds.
    pub(super) fn quota(seconds: u32) -> Problem {
        let text = "this key has asked for as many deletions as it may for now; nothing was kept of this one, ask again later";
        Problem { again_after: Some(seconds), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, text) }
    }

    /// Nothing can answer now.
    pub(super) fn unavailable(text: impl Into<String>) -> Problem {
        Problem { again_after: Some(1), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, text) }
    }

    pub(super) fn internal() -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong that should not; the log says where")
    }

    /// An error of the engine, with what can be done about it where whoever asked can do it.
    pub(super) fn of(error: &Error) -> Problem {
        let status = match error.kind() {
            ErrorKind::Input => StatusCode::BAD_REQUEST,
            ErrorKind::Retry | ErrorKind::NotReady | ErrorKind::Interrupted | ErrorKind::Damage | ErrorKind::Disk => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let advice: String = error.remedies().iter().filter_map(advice).map(|text| format!("; {text}")).collect();
        // Paths and what a disk said are for the log.
        let text = match error.kind() {
            ErrorKind::Damage => {
                "the workspace is damaged; whoever runs the service is told by its log and by `sisa verify`".into()
            }
            ErrorKind::Disk => "the disk refuses; whoever runs the service is told by its log".into(),
            ErrorKind::Retry => "a deletion is on its way into effect; ask again".into(),
            _ => error.to_string(),
        };
        let again_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Problem { status, body: wire::Problem::of(text + &advice, Some(error)), again_after }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Problem {
        match &error {
            IntakeError::Elsewhere => Problem::unavailable(error.to_string()),
            IntakeError::Damaged { .. } => {
                log::alarm(&error.to_string());
                Problem::unavailable("the intake is damaged; whoever runs the service is told by its log where")
            }
            IntakeError::Engine(e) => failed(e),
        }
    }
}

/// What can be done, in the words of the service.
fn advice(remedy: &Remedy) -> Option<&'static str> {
    Some(match remedy {
        Remedy::NameIds => "name ids under `subjects` or `records`",
        Remedy::NameSubjects => "name ids under `subjects`",
        Remedy::NameRecords => "name them under `records`",
        Remedy::Log => "`GET /v1/deletions` lists the requests",
        Remedy::Repair => "the service repairs it in the background; ask again",
        _ => return None,
    })
}
