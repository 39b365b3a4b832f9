//! Row-passes of a batch of requests, as a share of training one model anew.

use sisa::lab::BenchReport;

use super::{
    figures,
    frame::{Chart, Frame, Labels, Sign, legend},
    scale::Scale,
    svg::{Anchor, Shape, Svg, WIDTH},
};
use crate::cli::{bench, show};

const TITLE: &str = "Cost against requests";

/// The chart.
pub(super) fn chart(report: &BenchReport) -> Chart {
    let full = bench::full(report);
    let share = |row_passes: f64| row_passes / full;
    let curve: Vec<(f64, f64)> = report.expected.iter().map(|(k, cost)| (*k as f64, share(*cost))).collect();
    let trials: Vec<(f64, f64)> = report.deletions.iter().map(|d| (d.requests as f64, share(d.row_passes as f64))).collect();
    if full <= 0.0 || (curve.is_empty() && trials.is_empty()) {
        return Chart::empty("cost", TITLE, "Nothing was measured.");
    }
    let most = |of: fn(&(f64, f64)) -> f64| curve.iter().chain(&trials).map(of).fold(1.0, f64::max);
    let break_even = report.break_even.map(|k| k as f64);
    let widest = most(|p| p.0).max(break_even.unwrap_or(1.0));

    let mut svg = Svg::default();
    let mut entries = vec![(Sign::Line("curve c1"), "predicted, on average")];
    if !trials.is_empty() {
        entries.push((Sign::Mark("dot c2", Shape::Circle, 3.0), "a trial"));
        entries.push((Sign::Mark("ring c2", Shape::Circle, 5.5), "median"));
    }
    let top = legend(&mut svg, 10.0, &entries) + 28.0;
    let frame = Frame { left: 44.0, right: WIDTH - 8.0, top, bottom: top + 190.0 };
    let x = Scale::logarithmic(1.0, widest * 1.15, frame.left + 8.0, frame.right);
    let y = Scale::from_zero(most(|p| p.1) * 1.08, frame.bottom, frame.top);
    frame.vertical(&mut svg, &y, "row-passes, of training one model anew", &figures::whole_percent);
    frame.horizontal(&mut svg, &x, "requests repaired together (log)", &figures::tick_count);

    let whole = y.at(1.0);
    svg.line("reference", (frame.left, whole), (frame.right, whole));
    svg.text("strong", Anchor::Start, (frame.left + 6.0, whole - 5.0), "one model anew");
    let places: Vec<_> = curve.iter().map(|(k, cost)| (x.at(*k), y.at(*cost))).collect();
    svg.curve("curve c1", &places);
    if let Some(k) = break_even {
        svg.line("mark c1", (x.at(k), whole), (x.at(k), frame.bottom));
        svg.mark(
            "point c1",
            Shape::Diamond,
            (x.at(k), whole),
            4.0,
            Some(&format!("break-even: {} requests", show::count(k as u64))),
        );
        // Below the curve, on the side that is free at this height.
        let left = x.at(k) > f64::midpoint(frame.left, frame.right);
        let (anchor, at) = if left { (Anchor::End, x.at(k) - 6.0) } else { (Anchor::Start, x.at(k) + 6.0) };
        svg.text("strong", anchor, (at, frame.bottom - 20.0), "break-even:");
        svg.text("strong", anchor, (at, frame.bottom - 6.0), &format!("{} requests", show::count(k as u64)));
    }
    for (k, cost) in &trials {
        let title = format!("{} requests: {}", show::count(*k as u64), figures::percent(*cost));
        svg.mark("dot c2", Shape::Circle, (x.at(*k), y.at(*cost)), 3.0, Some(&title));
    }
    let mut labels = Labels::default();
    labels.keep_clear_across(whole);
    trials.iter().for_each(|(k, cost)| labels.keep_clear((x.at(*k), y.at(*cost)), 3.0));
    curve.iter().for_each(|(k, cost)| labels.keep_clear((x.at(*k), y.at(*cost)), 1.5));
    let medians =
        || report.sizes().into_iter().filter_map(|k| Some((k, report.median(k, |d| Some(share(d.row_passes as f64)))?)));
    medians().for_each(|(k, cost)| labels.keep_clear((x.at(k as f64), y.at(cost)), 6.5));
    for (size, cost) in medians() {
        let place = (x.at(size as f64), y.at(cost));
        let title = format!("{}: median {}", figures::requests(size), figures::percent(cost));
        svg.mark("ring c2", Shape::Circle, place, 5.5, Some(&title));
        labels.write(&mut svg, &frame, "label c2", place, 8.0, &figures::percent(cost));
    }
    let takeaway = takeaway(report, share);
    let svg = svg.finish("cost", frame.bottom + 40.0, &format!("{TITLE}. {takeaway}"));
    Chart { title: TITLE, takeaway, controls: String::new(), svg }
}

fn takeaway(report: &BenchReport, share: impl Fn(f64) -> f64) -> String {
    let mut said: Vec<String> = Vec::new();
    let sizes = report.sizes();
    // The least, the middle and the largest say enough.
    let middle = sizes.get(sizes.len() / 2).copied();
    let told =
        |size: &u64| sizes.len() <= 3 || sizes.first() == Some(size) || sizes.last() == Some(size) || middle == Some(*size);
    for size in sizes.iter().copied().filter(told) {
        if let Some(cost) = report.median(size, |d| Some(d.row_passes as f64)) {
            let average = expected(report, size).map_or_else(String::new, |e| format!(" ({})", figures::percent(share(e))));
            said.push(format!("{} {}{average}", figures::requests(size), figures::percent(share(cost))));
        }
    }
    let end = match report.break_even {
        Some(k) => format!("{} cost about as much as one model anew.", figures::requests(k)),
        None => "No number of requests costs as much as one model anew.".into(),
    };
    if said.is_empty() { end } else { format!("Measured, and predicted in brackets: {}. {end}", said.join(", ")) }
}

/// What the curve says of a number of requests; between its points, in a straight line.
fn expected(report: &BenchReport, requests: u64) -> Option<f64> {
    let above = report.expected.iter().find(|(k, _)| *k >= requests)?;
    let below = report.expected.iter().rfind(|(k, _)| *k <= requests)?;
    let along = if above.0 > below.0 { (requests - below.0) as f64 / (above.0 - below.0) as f64 } else { 0.0 };
    Some(below.1 + along * (above.1 - below.1))
}
