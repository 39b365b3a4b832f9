//! Figures as text, and what several charts need to know.

use sisa::lab::{BenchReport, FrontierPoint};

use crate::cli::show;

/// A space at which no line is broken.
const NO_BREAK: char = '\u{a0}';

/// A time.
pub(super) fn seconds(seconds: f64) -> String {
    show::seconds(seconds).replace(' ', "\u{a0}")
}

/// `1 request`, `8 requests`.
pub(super) fn requests(count: u64) -> String {
    format!("{}{NO_BREAK}{}", show::count(count), if count == 1 { "request" } else { "requests" })
}

/// A share, with as many digits as it deserves.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent.abs() < 9.95 { format!("{percent:.1}{NO_BREAK}%") } else { format!("{percent:.0}{NO_BREAK}%") }
}

pub(super) fn whole_percent(share: f64) -> String {
    short(100.0 * share, 1) + " %"
}

/// A quality: accuracy is a share, R2 is not.
pub(super) fn quality(report: &BenchReport, value: f64) -> String {
    if !value.is_finite() {
        return "unknown".into();
    }
    if report.quality_is == "accuracy" { format!("{:.2}{NO_BREAK}%", 100.0 * value) } else { format!("{value:.4}") }
}

pub(super) fn quality_tick(report: &BenchReport, value: f64) -> String {
    if report.quality_is == "accuracy" { short(100.0 * value, 2) + " %" } else { short(value, 4) }
}

/// The name of a point's schedule.
pub(super) fn schedule(point: &FrontierPoint) -> String {
    format!("{:?}", point.schedule).to_lowercase()
}

/// A figure at an axis, without the dust of sums.
pub(super) fn plain(value: f64) -> String {
    short(value, 4)
}

/// At most so many decimals, and no zeros at the end.
fn short(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.into() }
}

/// A round number at an axis.
pub(super) fn tick_count(value: f64) -> String {
    match value {
        v if v >= 1e6 => short(v / 1e6, 1) + "M",
        v if v >= 1e4 => short(v / 1e3, 1) + "k",
        v => show::count(v.round().max(0.0) as u64),
    }
}

/// A round time at an axis.
pub(super) fn tick_seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.999e-3 => short(s * 1e6, 1) + " µs",
        s if s < 0.999 => short(s * 1e3, 1) + " ms",
        s => short(s, 1) + " s",
    }
}
