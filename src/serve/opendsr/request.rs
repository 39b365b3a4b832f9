//! A request as a controller sends it (OpenDSR 2.0, section 7.1). No message repeats what is in it.

use serde::Deserialize;
use serde::de::IgnoredAny;
use sisa::engine::{DeskConfig, ServeConfig};

use super::super::{callback::Address, day, problem::Problem};

/// The body, of which what is not named here is nothing to us.
#[derive(Debug, Deserialize)]
struct Body {
    regulation: Option<String>,
    subject_request_id: String,
    subject_request_type: String,
    submitted_time: String,
    #[serde(default)]
    subject_identities: Vec<Identity>,
    #[serde(default)]
    status_callback_urls: Option<Vec<String>>,
    api_version: Option<String>,
    #[serde(default, rename = "extensions")]
    _extensions: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Identity {
    identity_type: String,
    identity_value: String,
    identity_format: String,
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request: String,
    pub(super) law: String,
    /// When the request is due, in seconds since 1970.
    pub(super) due: f64,
    pub(super) subjects: Vec<String>,
    pub(super) callbacks: Vec<String>,
}

/// Addresses of one request.
const CALLBACKS: usize = 8;

/// Whether a text is a UUID of version 4 in lower case (section 1.1).
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            14 => b == b'4',
            19 => b"89ab".contains(&b),
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

/// Reads a request.
pub(super) fn read(config: &ServeConfig, desk: &DeskConfig, body: &[u8]) -> Result<Asked, Problem> {
    let place = |e: serde_json::Error| {
        Problem::input(format!(
            "the body can't be read at line {}, column {}: it must be an object with regulation, subject_request_id, subject_request_type, \
             submitted_time and subject_identities",
            e.line(),
            e.column()
        ))
    };
    let body: Body = serde_json::from_slice(body).map_err(place)?;
    let wrong = |text: &str| Err(Problem::input(text));
    if !is_uuid(&body.subject_request_id) {
        return wrong("subject_request_id is no UUID of version 4 in lower case");
    }
    if body.subject_request_type != "erasure" {
        return wrong("subject_request_type: a model has no records to give out, and only `erasure` is done");
    }
    if body.api_version.as_deref().is_some_and(|version| !version.starts_with("2.") && version != "2") {
        return wrong("api_version: this is version 2.0");
    }
    let Some(days) = body.regulation.as_ref().and_then(|law| config.deadlines.get(law)) else {
        let laws: Vec<&str> = config.deadlines.keys().map(String::as_str).collect();
        return wrong(&format!("regulation must be one of {}", laws.join(", ")));
    };
    let Some(submitted) = day::seconds(&body.submitted_time) else {
        return wrong("submitted_time is no time such as 2026-11-26T12:00:00Z");
    };
    if body.subject_identities.is_empty() {
        return wrong("subject_identities names nobody");
    }
    if body.subject_identities.len() > config.ids as usize {
        return wrong(&format!("subject_identities has more than {} identities; send them in several requests", config.ids));
    }
    let ours = |i: &Identity| i.identity_type == desk.identity && i.identity_format == "raw";
    if !body.subject_identities.iter().all(ours) {
        return wrong(&format!(
            "subject_identities: only `{}` in the format `raw` is known here, and nothing was done",
            desk.identity
        ));
    }
    let callbacks = body.status_callback_urls.unwrap_or_default();
    if callbacks.len() > CALLBACKS {
        return wrong(&format!("status_callback_urls has more than {CALLBACKS} addresses"));
    }
    let allowed = |url: &String| Address::parse(url).is_some_and(|a| desk.callbacks.iter().any(|prefix| a.is_within(prefix)));
    if !callbacks.iter().all(allowed) {
        return wrong(
            "status_callback_urls has an address that the operator does not allow; `callbacks` under [serve.opendsr] names those that are",
        );
    }
    Ok(Asked {
        request: body.subject_request_id,
        law: body.regulation.unwrap_or_default(),
        // From the day that the subject asked; a day that is still to come is no reason to wait longer.
        due: submitted.min(day::now()) + f64::from(*days) * day::DAY,
        subjects: body.subject_identities.into_iter().map(|identity| identity.identity_value).collect(),
        callbacks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uuids_of_version_four_in_lower_case_are_names() {
        assert!(is_uuid("a7551968-d5d6-44b2-9831-815ac9017798"));
        for wrong in [
            "",
            "a7551968-d5d6-44b2-9831-815ac901779",
            "A7551968-d5d6-44b2-9831-815ac9017798",
            "a7551968-d5d6-14b2-9831-815ac9017798",
            "a7551968-d5d6-44b2-c831-815ac9017798",
            "a7551968xd5d6-44b2-9831-815ac9017798",
            "../../../etc/passwd-44b2-9831-815ac9",
        ] {
            assert!(!is_uuid(wrong), "{wrong}");
        }
    }
}
