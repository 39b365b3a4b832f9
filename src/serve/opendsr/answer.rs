//! Bodies of answers and callbacks (OpenDSR 2.0, sections 6.3, 7.3, 7.6, 8.3, 8.6, 9.2). Fields that say nothing are null.

use std::collections::BTreeMap;

use serde::Serialize;
use sisa::engine::DeskConfig;

use super::super::{
    day,
    intake::{Record, Step},
};

pub(super) const VERSION: &str = "2.0";

/// What is spoken here.
#[derive(Debug, Serialize)]
pub(super) struct Discovery {
    api_version: &'static str,
    supported_identities: [Identity; 1],
    supported_subject_request_types: [&'static str; 1],
    processor_certificate: Option<String>,
    extensions: BTreeMap<String, Signed>,
}

#[derive(Debug, Serialize)]
struct Identity {
    identity_type: String,
    identity_format: &'static str,
}

/// Whether answers are signed: without a certificate of the operator's they are not, and say so.
#[derive(Debug, Serialize)]
struct Signed {
    answers_are_signed: bool,
    regulations: Vec<String>,
}

impl Discovery {
    pub(super) fn of(desk: &DeskConfig, signed: bool, regulations: Vec<String>) -> Discovery {
        Discovery {
            api_version: VERSION,
            supported_identities: [Identity { identity_type: desk.identity.clone(), identity_format: "raw" }],
            supported_subject_request_types: ["erasure"],
            processor_certificate: signed.then(|| format!("https://{}/opendsr/v2/certificate.pem", desk.domain)),
            extensions: [(desk.domain.clone(), Signed { answers_are_signed: signed, regulations })].into(),
        }
    }
}

/// A request is kept.
#[derive(Debug, Serialize)]
pub(super) struct Received<'a> {
    controller_id: &'a str,
    expected_completion_time: &'a str,
    received_time: &'a str,
    encoded_request: String,
    subject_request_id: &'a str,
}

impl<'a> Received<'a> {
    /// The body that was sent goes back to its sender, and is kept nowhere.
    pub(super) fn of(desk: &'a DeskConfig, record: &'a Record, body: &[u8]) -> Received<'a> {
        use base64::Engine as _;
        Received {
            controller_id: &desk.controller,
            expected_completion_time: &record.due_at,
            received_time: &record.received_at,
            encoded_request: base64::engine::general_purpose::STANDARD.encode(body),
            subject_request_id: &record.request,
        }
    }
}

/// How far a request is.
#[derive(Debug, Serialize)]
pub(in super::super) struct Status<'a> {
    api_version: &'static str,
    controller_id: &'a str,
    expected_completion_time: &'a str,
    subject_request_id: &'a str,
    request_status: &'a str,
    results_url: Option<&'a str>,
    results_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_callback_url: Option<&'a str>,
    extensions: BTreeMap<&'a str, Found>,
}

/// What OpenDSR has no words for.
#[derive(Debug, Serialize)]
struct Found {
    /// When it came to this state, in whole seconds.
    since: String,
    /// Ids that were not found.
    unknown: Option<u64>,
}

impl<'a> Status<'a> {
    /// As it is now.
    pub(super) fn now(desk: &'a DeskConfig, record: &'a Record) -> Status<'a> {
        let last = record.steps.last();
        let since = last.map_or(&record.received_at, |step| &step.at);
        Status {
            api_version: VERSION,
            controller_id: &desk.controller,
            expected_completion_time: &record.due_at,
            subject_request_id: &record.request,
            request_status: record.status(),
            results_url: None,
            results_count: last.and_then(|step| step.records),
            status_callback_url: None,
            extensions: [(
                desk.domain.as_str(),
                Found { since: day::coarse(since), unknown: last.and_then(|step| step.unknown) },
            )]
            .into(),
        }
    }

    /// As a callback tells of one step.
    pub(in super::super) fn of_step(desk: &'a DeskConfig, record: &'a Record, step: &'a Step, url: &'a str) -> Status<'a> {
        Status {
            request_status: &step.status,
            results_count: step.records,
            status_callback_url: Some(url),
            extensions: [(desk.domain.as_str(), Found { since: day::coarse(&step.at), unknown: step.unknown })].into(),
            ..Status::now(desk, record)
        }
    }
}

/// A request is cancelled.
#[derive(Debug, Serialize)]
pub(super) struct Cancelled<'a> {
    pub(super) controller_id: &'a str,
    pub(super) subject_request_id: &'a str,
    pub(super) received_time: String,
    pub(super) api_version: &'static str,
}

/// What is wrong.
#[derive(Debug, Serialize)]
pub(super) struct Wrong {
    error: Error,
}

#[derive(Debug, Serialize)]
struct Error {
    code: u16,
    message: String,
    errors: [Detail; 1],
}

#[derive(Debug, Serialize)]
struct Detail {
    domain: &'static str,
    reason: &'static str,
    message: String,
}

impl Wrong {
    pub(super) fn of(message: String) -> Wrong {
        let errors = [Detail { domain: "Validation", reason: "IllegalArgument", message: message.clone() }];
        Wrong { error: Error { code: 400, message, errors } }
    }
}
