//! What the operator reads: one line of JSON an event, on standard error. No path, no query, no body, no id and no cell is ever in it.

use std::io::Write;

use serde::Serialize;
use sisa::engine::utc_now;
use sisa::wire;

/// A line.
#[derive(Debug, Default, Serialize)]
pub(super) struct Line<'a> {
    pub(super) time: String,
    /// What happened: `start`, `request`, `repair`, `alarm`, `stop`.
    pub(super) event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) endpoint: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seconds: Option<f64>,
    /// The name of the caller's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<&'a str>,
    /// The trace that the caller belongs to (W3C Trace Context).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<&'a str>,
    /// The name of a deletion request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
}

/// An event of this kind.
pub(super) fn line<'a>(event: &'static str) -> Line<'a> {
    Line { time: utc_now(), event, ..Line::default() }
}

impl Line<'_> {
    /// Writes it. An operator who reads no more is no reason to stop.
    pub(super) fn write(&self) {
        let text = wire::line(self);
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Something that a person has to look at.
pub(super) fn alarm(text: &str) {
    Line { text: Some(text), ..line("alarm") }.write();
}

/// A panic tells its place alone: what it says may hold a cell or an id.
pub(super) fn panics_tell_their_place() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |l| format!("a panic at {}:{}", l.file(), l.line()));
        alarm(&place);
    }));
}

/// The trace id of a `traceparent` header, if it is one: 32 hexadecimal digits that are not all zero.
pub(super) fn trace_id(header: &str) -> Option<&str> {
    let mut parts = header.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let hex = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (hex(version, 2) && hex(trace, 32) && trace.bytes().any(|b| b != b'0')).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_trace_is_one() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{trace}-00f067aa0ba902b7-01")), Some(trace));
        for wrong in
            ["", "00", "00-short-x-01", "00-00000000000000000000000000000000-a-01", "00-4BF92F3577B34DA6A3CE929D0E0E4736-a-01"]
        {
            assert_eq!(trace_id(wrong), None, "{wrong}");
        }
    }
}
