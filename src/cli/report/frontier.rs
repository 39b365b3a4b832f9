//! Quality against cost, over numbers of shards and schedules.

use std::collections::BTreeMap;

use sisa::lab::{BenchReport, FrontierPoint};

use super::{
    figures,
    frame::{Chart, Frame, Labels, Sign, legend},
    scale::Scale,
    svg::{Anchor, Shape, Svg, WIDTH},
};

/// How each schedule looks.
const LOOKS: [(&str, &str, Shape); 5] = [
    ("cumulative", "c1", Shape::Circle),
    ("replay", "c2", Shape::Square),
    ("front", "c3", Shape::Triangle),
    ("once", "c4", Shape::Diamond),
    ("window", "c1", Shape::Square),
];

/// The chart.
pub(super) fn chart(report: &BenchReport) -> Chart {
    let title = if report.quality_is == "accuracy" { "Accuracy against cost" } else { "Quality against cost" };
    let points: Vec<&FrontierPoint> = report.frontier.iter().filter(|p| p.quality.is_finite() && p.cost.is_finite()).collect();
    if points.is_empty() {
        let why =
            if report.quality.is_none() { "Nothing is held out to measure it on." } else { "No other ways to cut were tried." };
        return Chart::empty("frontier", title, why);
    }
    let mut by_schedule: BTreeMap<String, Vec<&FrontierPoint>> = BTreeMap::new();
    points.iter().for_each(|p| by_schedule.entry(figures::schedule(p)).or_default().push(p));
    by_schedule.values_mut().for_each(|line| line.sort_by_key(|p| p.shards));

    let mut svg = Svg::default();
    let mut entries = Vec::new();
    for (name, class, shape) in LOOKS.iter().filter(|l| by_schedule.contains_key(l.0)) {
        entries.push((Sign::Mark(point_class(class), *shape, 4.5), *name));
    }
    if points.iter().any(|p| p.own) {
        entries.push((Sign::Mark("ring own", Shape::Circle, 6.5), "this one"));
    }
    let top = legend(&mut svg, 10.0, &entries) + 28.0;
    let frame = Frame { left: 44.0, right: WIDTH - 20.0, top, bottom: top + 190.0 };
    let dearest = points.iter().map(|p| p.cost).fold(0.0, f64::max);
    let qualities = || points.iter().map(|p| p.quality).chain(report.quality_of_one);
    let low = qualities().fold(f64::INFINITY, f64::min);
    let high = qualities().fold(f64::NEG_INFINITY, f64::max);
    let x = Scale::linear(0.0, dearest, frame.left, frame.right);
    let y = Scale::linear(low - 0.06 * (high - low), high + 0.06 * (high - low), frame.bottom, frame.top);
    frame.vertical(&mut svg, &y, &format!("{} on held-out rows", report.quality_is), &|q| figures::quality_tick(report, q));
    let axis = format!("cost of {}, of training one model anew", figures::requests(report.frontier_requests));
    frame.horizontal(&mut svg, &x, &axis, &figures::whole_percent);

    let mut labels = Labels::default();
    let place = |p: &FrontierPoint| (x.at(p.cost), y.at(p.quality));
    points.iter().for_each(|p| labels.keep_clear(place(p), if p.own { 8.0 } else { 5.0 }));
    for (name, line) in &by_schedule {
        let (class, shape) = LOOKS.iter().find(|l| l.0 == name).map_or(("c4", Shape::Diamond), |l| (l.1, l.2));
        let places: Vec<_> = line.iter().map(|p| place(p)).collect();
        svg.curve(&format!("thin {class}"), &places);
        for point in line {
            let title = format!(
                "S = {}, R = {}, {name}: {} {}, cost {}",
                point.shards,
                point.slices,
                report.quality_is,
                figures::quality(report, point.quality),
                figures::percent(point.cost)
            );
            svg.mark(point_class(class), shape, place(point), 4.5, Some(&title));
            if point.own {
                svg.mark("ring own", Shape::Circle, place(point), 8.0, None);
            }
        }
    }
    if let Some(one) = report.quality_of_one.filter(|q| q.is_finite()) {
        svg.line("reference", (frame.left, y.at(one)), (frame.right, y.at(one)));
        let text = "one model, not sliced";
        let above = (frame.left + 6.0, y.at(one) - 5.0);
        labels.keep_clear_across(y.at(one));
        labels.keep_clear((above.0 + 55.0, y.at(one) - 5.0), 7.0);
        svg.text("soft", Anchor::Start, above, text);
    }
    // The workspace's own first, so that it gets its label in any case.
    let mut ordered = points.clone();
    ordered.sort_by_key(|p| !p.own);
    for point in ordered {
        let class = LOOKS.iter().find(|l| l.0 == figures::schedule(point)).map_or("c4", |l| l.1);
        let gap = if point.own { 11.0 } else { 8.0 };
        labels.write(&mut svg, &frame, &format!("label {class}"), place(point), gap, &format!("S={}", point.shards));
    }
    let takeaway = takeaway(report, &points);
    let svg = svg.finish("frontier", frame.bottom + 40.0, &format!("{title}. {takeaway}"));
    Chart { title, takeaway, controls: String::new(), svg }
}

/// The class of a filled mark.
fn point_class(class: &str) -> &'static str {
    match class {
        "c1" => "point c1",
        "c2" => "point c2",
        "c3" => "point c3",
        _ => "point c4",
    }
}

fn takeaway(report: &BenchReport, points: &[&FrontierPoint]) -> String {
    let best = points.iter().max_by(|a, b| a.quality.total_cmp(&b.quality));
    let cheapest = points.iter().min_by(|a, b| a.cost.total_cmp(&b.cost));
    let named = |p: &FrontierPoint| {
        format!(
            "S = {} with {} ({}, cost {})",
            p.shards,
            figures::schedule(p),
            figures::quality(report, p.quality),
            figures::percent(p.cost)
        )
    };
    let pair = best.zip(cheapest).map(|(best, cheapest)| format!("Best is {}; cheapest is {}.", named(best), named(cheapest)));
    format!("Up and to the left is better. {}", pair.unwrap_or_default())
}
