//! `sisa compare --report`: one page with five charts, which asks for nothing else from anywhere. Aggregates alone: no ids, no handles, no
//! scores of single rows.

mod gaps;
mod persons;
mod requests;
mod strips;
#[cfg(test)]
mod tests;
mod work;

use std::fmt::Write;

use sisa::lab::compare::{CompareReport, MethodReport, SetReport};

use super::{STYLE, figure, frame::Chart, svg::Shape};
use crate::cli::{compare, show};
use crate::markup::escape;

/// Colour and shape of the n-th method; no two of the first sixteen look alike.
fn look(at: usize) -> (&'static str, Shape) {
    let class = ["c1", "c2", "c3", "c4"].get(at % 4).copied().unwrap_or("ink");
    let shapes = [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Diamond];
    (class, shapes.get((at + at / 4) % 4).copied().unwrap_or(Shape::Circle))
}

/// The class of a filled mark.
fn point(class: &str) -> &'static str {
    match class {
        "c1" => "point c1",
        "c2" => "point c2",
        "c3" => "point c3",
        _ => "point c4",
    }
}

/// The class of a ring.
fn ring(class: &str) -> &'static str {
    match class {
        "c1" => "ring c1",
        "c2" => "ring c2",
        "c3" => "ring c3",
        _ => "ring c4",
    }
}

/// Methods with how they look.
fn looks(set: &SetReport) -> impl Iterator<Item = (&MethodReport, &'static str, Shape)> {
    set.methods.iter().enumerate().map(|(at, method)| {
        let (class, shape) = look(at);
        (method, class, shape)
    })
}

/// What every chart says.
const MEANING: &str = "0.5 is a coin; the floor says what so many models can't resolve. Only the exact row deletes anything.";

/// What the page is called; an older one is known by it.
pub(crate) const TITLE: &str = "<title>sisa compare: what is left behind</title>";

/// The page.
pub(crate) fn html(report: &CompareReport) -> String {
    let mut out = String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    out.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
    let _ = writeln!(out, "{TITLE}\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>");
    out.push_str("<header>\n<h1>What approximate unlearning leaves behind</h1>\n");
    let _ = writeln!(out, "<p class=\"facts\">{}</p>", escape(&facts(report)));
    if report.interrupted {
        out.push_str("<p class=\"notice\">Stopped early: this is what was whole until then.</p>\n");
    }
    out.push_str("</header>\n");
    for (at, set) in report.sets.iter().enumerate() {
        let _ = writeln!(
            out,
            "<h2 class=\"set\">Forget {}: {} people, {} rows, {}</h2>",
            escape(&set.name),
            show::count(set.subjects as u64),
            show::count(set.rows as u64),
            escape(&set.who)
        );
        if let Some(exact) = &set.exact {
            let (same, of) = exact.byte_identical;
            let sentence = compare::cost_sentence(exact, set.subjects);
            let _ = writeln!(
                out,
                "<p class=\"facts\">Real deletions: {same} of {of} keys byte for byte, told apart {:.2} [{:.2} {:.2}]. {}</p>",
                exact.told_apart.auc.value,
                exact.told_apart.auc.low,
                exact.told_apart.auc.high,
                escape(&sentence)
            );
        }
        out.push_str("<div class=\"charts\">\n");
        figure(&mut out, &format!("work-{at}"), &work::chart(set, at));
        figure(&mut out, &format!("strips-{at}"), &strips::chart(set, at));
        figure(&mut out, &format!("persons-{at}"), &persons::chart(set, at));
        for (part, chart) in gaps::charts(report, set, at).iter().enumerate() {
            figure(&mut out, &format!("gaps-{at}-{part}"), chart);
        }
        out.push_str("</div>\n");
    }
    if let Some(requests) = &report.requests {
        out.push_str("<div class=\"charts\">\n");
        figure(&mut out, "requests", &requests::chart(requests));
        out.push_str("</div>\n");
    }
    let _ = writeln!(
        out,
        "<section class=\"card\">\n<h2>All figures</h2>\n<div class=\"scroll\"><pre>{}</pre></div>\n</section>\n</main>\n</body>\n</html>",
        escape(&compare::text(report))
    );
    out
}

fn facts(report: &CompareReport) -> String {
    let count = |n: usize| show::count(n as u64);
    let mut facts = vec![
        format!("{} training rows", count(report.rows)),
        format!("{} people", count(report.subjects)),
        format!("{} held-out rows", count(report.held_out)),
    ];
    if report.parameters > 0 {
        facts.push(format!("{} with {} weights", report.learner, count(report.parameters)));
        facts.push(format!("{} models a side", count(report.models)));
    }
    facts.extend([format!("seed {}", report.seed), format!("sisa {}", env!("CARGO_PKG_VERSION"))]);
    facts.join(" · ")
}

/// A sentence with the one that all charts carry.
fn takeaway(own: &str) -> String {
    format!("{own} {MEANING}")
}

/// A chart that is drawn.
fn chart(title: &'static str, own: &str, svg: String) -> Chart {
    Chart { title, takeaway: takeaway(own), controls: String::new(), svg }
}
