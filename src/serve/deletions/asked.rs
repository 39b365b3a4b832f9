//! A request for a deletion as it is sent. No message repeats what is in it.

use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use sisa::engine::{DeleteRequest, ServeConfig};

use super::super::{app::App, day, keys::Caller, problem::Problem, role::Role};

/// The body of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    request: Option<String>,
    #[serde(default, borrow)]
    subjects: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    records: Vec<&'a RawValue>,
    #[serde(default)]
    wait: Wait,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    no_suppress: bool,
    /// When the request is to be repaired at the latest; or the law that says so.
    deadline: Option<String>,
    regulation: Option<String>,
}

/// What is waited for before the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Wait {
    Accepted,
    #[default]
    Effective,
    Repaired,
}

/// An id as text: of a number its own digits. What is wrong is told without it.
pub(in super::super) fn id(value: &RawValue) -> Result<String, Problem> {
    let text = value.get();
    let wrong = || Problem::input("an id is a text or a whole number");
    match text.bytes().next() {
        Some(b'"') => serde_json::from_str(text).map_err(|_| wrong()),
        Some(b'0'..=b'9' | b'-') if !text.contains(['.', 'e', 'E']) => Ok(text.to_owned()),
        _ => Err(wrong()),
    }
}

/// A record's id: a list of one text for each record column, or a text where there is one column.
fn record(value: &RawValue) -> Result<Vec<String>, Problem> {
    if value.get().starts_with('[') {
        let parts: Vec<&RawValue> =
            serde_json::from_str(value.get()).map_err(|_| Problem::input("a record's id is a list of texts"))?;
        return parts.into_iter().map(id).collect();
    }
    Ok(vec![id(value)?])
}

/// A request as it was sent.
#[derive(Debug)]
pub(in super::super) struct Asked {
    pub(super) request: DeleteRequest,
    pub(super) wait: Wait,
    pub(super) dry_run: bool,
    /// When it is due, in seconds since 1970, and by which law.
    pub(super) due: Option<(f64, Option<String>)>,
    pub(super) by: Caller,
}

impl Asked {
    /// Whether nothing is to be changed.
    pub(in super::super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }
}

/// Reads a request. No message repeats what is in the body.
pub(in super::super) fn read(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    dry_run: bool,
    body: &[u8],
) -> Result<Asked, Problem> {
    let place = |e: serde_json::Error| {
        let what = "one object with `subjects` or `records`, and `request`, `wait` (accepted, effective, repaired), `dry_run`, `no_suppress`, `deadline`, `regulation` if wanted";
        Problem::input(format!("the body can't be read at line {}, column {}: it must be {what}", e.line(), e.column()))
    };
    let body: Body<'_> = serde_json::from_slice(body).map_err(place)?;
    let config = app.config();
    let most = config.ids as usize;
    if body.subjects.len() + body.records.len() > most {
        return Err(Problem::too_large(format!("more than {most} ids; send them in several requests")));
    }
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap_or_default().to_owned());
    let request_id = match (body.request, key) {
        (Some(name), Some(key)) if name != key => {
            return Err(Problem::input("`request` and `Idempotency-Key` name different requests"));
        }
        (name, key) => name.or(key),
    };
    let request = DeleteRequest {
        subjects: body.subjects.into_iter().map(id).collect::<Result<_, _>>()?,
        records: body.records.into_iter().map(record).collect::<Result<_, _>>()?,
        request_id,
        defer: true,
        no_suppress: body.no_suppress,
        ..DeleteRequest::default()
    };
    let due = due(&config, body.deadline.as_deref(), body.regulation)?;
    if due.is_some() && (request.request_id.is_none() || !request.records.is_empty()) {
        return Err(Problem::input(
            "a request with a day on which it is due has a name (`request`), and names its ids under `subjects`",
        ));
    }
    // The time of a repair tells in which slice somebody's records were.
    if body.wait == Wait::Repaired && !caller.may(&[Role::Audit, Role::Admin]) {
        return Err(Problem::forbidden(
            "only a key with the role audit or admin may wait for the repair; `effective` is what counts",
        ));
    }
    Ok(Asked { request, wait: body.wait, dry_run: dry_run || body.dry_run, due, by: caller.clone() })
}

/// When a request is due, in seconds since 1970.
fn due(config: &ServeConfig, deadline: Option<&str>, law: Option<String>) -> Result<Option<(f64, Option<String>)>, Problem> {
    let days = match &law {
        None => None,
        Some(law) => Some(config.deadlines.get(law).ok_or_else(|| {
            let laws: Vec<&str> = config.deadlines.keys().map(String::as_str).collect();
            Problem::input(format!("`regulation` must be one of {}", laws.join(", ")))
        })?),
    };
    let now = day::now();
    match (deadline, days) {
        (None, None) => Ok(None),
        (None, Some(days)) => Ok(Some((now + f64::from(*days) * day::DAY, law))),
        (Some(text), _) => match day::seconds(text) {
            Some(at) if at > now => Ok(Some((at, law))),
            _ => Err(Problem::input("`deadline` must be a time to come, such as 2026-12-24T00:00:00Z")),
        },
    }
}
