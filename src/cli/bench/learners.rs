//! Learners beside each other, as a table.

use std::fmt::Write;

use sisa::lab::{BenchReport, LearnerReport};

use super::{or_dash, show};

/// What the table's columns are.
pub(crate) const HEADS: [&str; 11] =
    ["learner", "S", "R", "quality", "one model", "training", "requests", "effective", "repaired", "process", "row-passes"];

/// A learner's lines: one for each batch size, its own figures in the first alone. A learner that was refused has one line.
pub(crate) fn lines(learner: &LearnerReport, quality: &dyn Fn(f64) -> String) -> Vec<[String; 11]> {
    let seconds = |value: Option<f64>| or_dash(value, show::seconds);
    let sizes: Vec<Option<u64>> = match learner.sizes() {
        sizes if sizes.is_empty() => vec![None],
        sizes => sizes.into_iter().map(Some).collect(),
    };
    let line = |(at, size): (usize, Option<u64>)| {
        let own = |text: String| if at == 0 { text } else { String::new() };
        let median = |of: fn(&sisa::lab::DeletionSample) -> Option<f64>| size.and_then(|size| learner.median(size, of));
        [
            own(learner.kind.to_owned()),
            own(learner.shards.to_string()),
            own(learner.slices.to_string()),
            own(or_dash(learner.quality, quality)),
            own(or_dash(learner.quality_of_one, quality)),
            own(seconds(learner.seconds())),
            size.map_or("-".into(), show::count),
            seconds(median(|d| Some(d.effective))),
            seconds(median(|d| Some(d.repaired))),
            seconds(median(|d| d.process)),
            or_dash(median(|d| Some(d.row_passes as f64)), |r| show::count(r as u64)),
        ]
    };
    sizes.into_iter().enumerate().map(line).collect()
}

/// The table, and what it can't show: nothing where no learners were asked for.
pub(super) fn text(report: &BenchReport) -> String {
    let mut out = String::new();
    if report.learners.is_empty() {
        return out;
    }
    let quality = |q: f64| if report.quality_is == "accuracy" { format!("{:.2} %", 100.0 * q) } else { format!("{q:.4}") };
    let mut line = |cells: &[String; 11]| {
        let [learner, rest @ ..] = cells;
        let widths = [4, 4, 9, 9, 9, 9, 10, 10, 10, 11];
        let rest: String = rest.iter().zip(widths).fold(String::new(), |mut line, (cell, width)| {
            let _ = write!(line, "  {cell:>width$}");
            line
        });
        let _ = writeln!(out, "{learner:<8}{rest}");
    };
    let title = "learners on the same records, the same held out, the same requests; medians over the trials";
    let heads = HEADS.map(|head| if head == "quality" { report.quality_is.to_owned() } else { head.to_owned() });
    let told = report.learners.iter().filter(|l| l.refused.is_none());
    line(&heads);
    told.flat_map(|learner| lines(learner, &quality)).for_each(|cells| line(&cells));
    for learner in &report.learners {
        if let Some(why) = &learner.refused {
            let _ = writeln!(out, "{:<8}  not measured: {why}", learner.kind);
        }
    }
    let note = "`training`: the ensemble anew, synced; `one model`: at S = 1, R = 1; `process`: a whole `sisa delete`, from its start to its receipt";
    format!("\n{title}\n{out}{note}\n")
}
