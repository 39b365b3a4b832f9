//! `sisa bench --report`: one page with charts, which asks for nothing else from anywhere.

mod cells;
pub(crate) mod compare;
mod cost;
mod dots;
mod figures;
mod frame;
mod frontier;
mod head;
mod learners;
mod quality;
mod scale;
mod svg;
mod tables;
#[cfg(test)]
mod tests;
mod times;

use std::fmt::Write;

use sisa::lab::BenchReport;

use crate::markup::escape;
use frame::Chart;

const STYLE: &str = include_str!("page.css");

/// What the words mean, in the order in which they are needed.
const WORDS: [(&str, &str); 7] = [
    ("request", "a person (or another subject) whose records are to be deleted"),
    ("effective", "no answer begun from then on can be influenced by the deleted records"),
    ("repaired", "every shard is trained again: byte for byte what training on the remaining records gives"),
    ("row-pass", "one visit of one record in training: work that does not depend on the machine"),
    ("one model", "a single model on everything, neither cut into shards nor into slices"),
    ("whole process", "a command of its own, from its start to its receipt"),
    ("meanwhile", "between the two times, when shards serve what never saw the deleted records"),
];

/// What the page is called; an older one is known by it.
pub(crate) const TITLE: &str = "<title>sisa bench: what a deletion costs</title>";

/// The page.
pub(crate) fn html(report: &BenchReport) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    let _ = writeln!(out, "<meta name=\"color-scheme\" content=\"light dark\">\n{TITLE}");
    let _ = writeln!(out, "<style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>", cells::style(report));
    out.push_str(&head::head(report));
    out.push_str("<div class=\"charts\">\n");
    figure(&mut out, "cost", &cost::chart(report));
    figure(&mut out, "times", &times::chart(report));
    figure(&mut out, "cells", &cells::chart(report));
    figure(&mut out, "frontier", &frontier::chart(report));
    figure(&mut out, "quality", &quality::chart(report));
    if !report.learners.is_empty() {
        figure(&mut out, "learners", &learners::chart(report));
    }
    out.push_str("<section class=\"card\">\n<h2>What the words mean</h2>\n<dl class=\"words\">\n");
    for (word, meaning) in WORDS {
        let _ = writeln!(out, "<div><dt>{word}</dt><dd>{meaning}</dd></div>");
    }
    out.push_str("</dl>\n</section>\n</div>\n<section class=\"card\">\n<h2>All medians</h2>\n");
    out.push_str(&tables::medians(report));
    out.push_str(&tables::samples(report));
    out.push_str("</section>\n</main>\n</body>\n</html>\n");
    out
}

fn figure(out: &mut String, id: &str, chart: &Chart) {
    let _ =
        write!(out, "<figure class=\"card\" id=\"{id}-figure\">\n<figcaption><h2>{}</h2></figcaption>\n", escape(chart.title));
    if !chart.takeaway.is_empty() {
        let _ = writeln!(out, "<p class=\"takeaway\">{}</p>", escape(&chart.takeaway));
    }
    let _ = writeln!(out, "{}{}</figure>", chart.controls, chart.svg);
}
