//! Everything that was measured, as tables and as it was sampled.

use std::fmt::Write;

use sisa::{
    lab::{BenchReport, FullSample},
    wire,
};

use super::figures;
use crate::cli::{
    bench::{self, or_dash},
    show,
};
use crate::markup::escape;

/// A table with a title; the first cell of a row names the row.
fn table(title: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let title = escape(title);
    let mut out = format!(
        "<div class=\"table\"><h3>{title}</h3>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"{title}\"><table>"
    );
    out.push_str("<thead><tr>");
    for head in heads {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(head));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let _ = match at {
                0 => write!(out, "<th scope=\"row\">{}</th>", escape(cell)),
                _ => write!(out, "<td>{}</td>", escape(cell)),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div></div>\n");
    out
}

/// Medians of deletions, trainings anew, and the other ways to cut.
pub(super) fn medians(report: &BenchReport) -> String {
    let mut out = String::from("<div class=\"tables\">\n");
    if !report.deletions.is_empty() {
        out.push_str(&deletions(report));
    }
    out.push_str(&trainings(report));
    if !report.learners.is_empty() {
        out.push_str(&learners(report));
    }
    if !report.memory.is_empty() {
        let rows: Vec<Vec<String>> = report.memory.iter().map(|m| Vec::from(bench::memory_line(m))).collect();
        out.push_str(&table("Deletions of single records in memory, one thread, no disk", &bench::MEMORY_HEADS, &rows));
    }
    if !report.frontier.is_empty() {
        out.push_str(&frontier(report));
    }
    out.push_str("</div>\n");
    out
}

fn learners(report: &BenchReport) -> String {
    let heads = bench::LEARNER_HEADS.map(|head| if head == "quality" { report.quality_is } else { head });
    let quality = |q| figures::quality(report, q);
    let told = report.learners.iter().filter(|l| l.refused.is_none());
    let rows: Vec<Vec<String>> = told.flat_map(|l| bench::learner_lines(l, &quality)).map(Vec::from).collect();
    let mut out = table("Learners on the same records and requests, medians over the trials", &heads, &rows);
    for learner in &report.learners {
        if let Some(why) = &learner.refused {
            let _ = writeln!(out, "<p>{} was not measured: {}</p>", escape(learner.kind), escape(why));
        }
    }
    out
}

fn deletions(report: &BenchReport) -> String {
    let row = |l: bench::DeletionLine| {
        vec![
            l.requests,
            l.trials,
            l.effective,
            l.effective_alone,
            l.repaired,
            l.process,
            l.one_by_one,
            l.row_passes,
            l.predicted,
            l.less_work,
            l.sooner,
            l.bytes,
            l.meanwhile,
            l.after,
        ]
    };
    let meanwhile = format!("{} meanwhile", report.quality_is);
    let after = format!("{} after", report.quality_is);
    let heads = [
        "requests",
        "trials",
        "effective",
        "effective, once open",
        "repaired",
        "whole process",
        "one by one",
        "row-passes",
        "forecast",
        "times less training",
        "times sooner, as a process",
        "checkpoints written",
        &meanwhile,
        &after,
    ];
    let rows: Vec<_> = bench::deletion_lines(report, &|q| figures::quality(report, q)).into_iter().map(row).collect();
    table("Deletions, medians over the trials; “times” compares with one model anew", &heads, &rows)
}

fn trainings(report: &BenchReport) -> String {
    let row = |name: &str, samples: &[FullSample], quality: Option<f64>| {
        vec![
            name.to_owned(),
            samples.len().to_string(),
            or_dash(BenchReport::seconds(samples), figures::seconds),
            samples.first().map_or("-".into(), |s| show::count(s.row_passes)),
            or_dash(quality, |q| figures::quality(report, q)),
        ]
    };
    let rows = [
        row("one model on everything", &report.one_model, report.quality_of_one),
        row("the ensemble", &report.ensemble, report.quality),
    ];
    table("Training anew, medians", &["what", "trials", "time", "row-passes", report.quality_is], &rows)
}

fn frontier(report: &BenchReport) -> String {
    let row = |p: &sisa::lab::FrontierPoint| {
        let own = if p.own { " (this one)" } else { "" };
        vec![
            format!("{}{own}", p.shards),
            p.slices.to_string(),
            figures::schedule(p),
            figures::quality(report, p.quality),
            figures::percent(p.cost),
        ]
    };
    let title =
        format!("Other ways to cut and train; cost of {} beside one model anew", figures::requests(report.frontier_requests));
    let rows: Vec<_> = report.frontier.iter().map(row).collect();
    table(&title, &["shards", "slices", "schedule", report.quality_is, "cost"], &rows)
}

/// Every sample, one JSON object a line, as `--json` prints them.
pub(super) fn samples(report: &BenchReport) -> String {
    let lines: String = wire::BenchLine::all(report).iter().map(wire::line).collect();
    format!(
        "<details><summary>Raw samples, as JSON</summary>\n<pre tabindex=\"0\" id=\"samples\">{}</pre></details>\n",
        escape(lines.trim_end())
    )
}
