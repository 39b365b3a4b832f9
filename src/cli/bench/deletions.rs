//! Batches of deletions, as a table: the same figures for the text and for the page.

use std::fmt::Write;

use sisa::lab::{BenchReport, DeletionSample};

use super::{or_dash, show};

/// What is told of the batches of one size: medians over the trials, a dash for what was not measured.
#[derive(Debug)]
pub(crate) struct Line {
    /// Requests of a batch.
    pub(crate) requests: String,
    pub(crate) trials: String,
    /// Time from the call until in effect; of that, once the workspace is open; and until repaired.
    pub(crate) effective: String,
    pub(crate) effective_alone: String,
    pub(crate) repaired: String,
    /// Time of a process of its own, and of the same requests one by one.
    pub(crate) process: String,
    pub(crate) one_by_one: String,
    pub(crate) row_passes: String,
    pub(crate) predicted: String,
    /// How many times less work than one model anew, and how many times sooner as a process.
    pub(crate) less_work: String,
    pub(crate) sooner: String,
    /// Bytes of the checkpoints written.
    pub(crate) bytes: String,
    pub(crate) meanwhile: String,
    pub(crate) after: String,
}

/// Row-passes of training one model on everything anew; as measured, or as the schedule has it.
pub(crate) fn full(report: &BenchReport) -> f64 {
    let measured = report.one_model.first().map(|s| s.row_passes).filter(|r| *r > 0);
    measured.unwrap_or_else(|| report.recipe.schedule.row_passes(&[report.records], 1)) as f64
}

/// One line for each size of batch, ascending.
pub(crate) fn lines(report: &BenchReport, quality: &dyn Fn(f64) -> String) -> Vec<Line> {
    let (full, one) = (full(report), BenchReport::seconds(&report.one_model));
    let line = |size: u64| {
        let median = |of: fn(&DeletionSample) -> Option<f64>| report.median(size, of);
        let time = |of: fn(&DeletionSample) -> Option<f64>| or_dash(median(of), show::seconds);
        let count = |value: Option<f64>| or_dash(value, |v| show::count(v as u64));
        let times = |value: Option<f64>| or_dash(value, |x| format!("{x:.2}"));
        let (row_passes, process) = (median(|d| Some(d.row_passes as f64)), median(|d| d.process));
        Line {
            requests: show::count(size),
            trials: report.deletions.iter().filter(|d| d.requests == size).count().to_string(),
            effective: time(|d| Some(d.effective)),
            effective_alone: time(|d| Some(d.effective_alone)),
            repaired: time(|d| Some(d.repaired)),
            process: time(|d| d.process),
            one_by_one: time(|d| d.one_by_one.map(|o| o.0)),
            row_passes: count(row_passes),
            predicted: count(median(|d| Some(d.predicted as f64))),
            less_work: times(row_passes.filter(|r| *r > 0.0).map(|r| full / r)),
            sooner: times(process.filter(|p| *p > 0.0).zip(one).map(|(process, one)| one / process)),
            bytes: or_dash(median(|d| Some(d.bytes as f64)), |b| show::bytes(b as u64)),
            meanwhile: or_dash(median(|d| d.quality_meanwhile), quality),
            after: or_dash(median(|d| d.quality_after), quality),
        }
    };
    report.sizes().into_iter().map(line).collect()
}

/// The table.
pub(super) fn text(report: &BenchReport, quality: &dyn Fn(f64) -> String) -> String {
    let mut out = String::new();
    let mut row = |cells: [&str; 10]| {
        let widths = [8, 10, 10, 11, 9, 13, 13, 11, 10, 10];
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
        let _ = writeln!(out, "{}", cells.collect::<Vec<String>>().join("  "));
    };
    row([
        "requests",
        "effective",
        "repaired",
        "row-passes",
        "predicted",
        "x one model",
        "x one model",
        "one by one",
        "meanwhile",
        "after",
    ]);
    row(["", "", "", "", "", "in row-passes", "as processes", "", "", ""]);
    for l in lines(report, quality) {
        row([
            &l.requests,
            &l.effective,
            &l.repaired,
            &l.row_passes,
            &l.predicted,
            &l.less_work,
            &l.sooner,
            &l.one_by_one,
            &l.meanwhile,
            &l.after,
        ]);
    }
    out
}
