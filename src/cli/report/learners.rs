//! Learners beside each other: quality against what the smallest batch of deletions takes.

use sisa::lab::{BenchReport, LearnerReport};

use super::{
    figures,
    frame::{Chart, Frame, Labels},
    scale::Scale,
    svg::{Shape, Svg, WIDTH},
};
use crate::cli::show;

/// How each learner looks, in the order in which they were asked for.
const LOOKS: [(&str, Shape); 4] =
    [("point c1", Shape::Circle), ("point c2", Shape::Square), ("point c3", Shape::Triangle), ("point c4", Shape::Diamond)];

/// A learner's place: its name, seconds until exact, quality.
struct Place<'a> {
    kind: &'a str,
    seconds: f64,
    quality: f64,
}

/// The chart.
pub(super) fn chart(report: &BenchReport) -> Chart {
    let title = "Learners beside each other";
    let requests = report.learners.iter().flat_map(LearnerReport::sizes).min();
    let place = |learner: &'_ LearnerReport| {
        let seconds = learner.median(requests?, |d| Some(d.repaired)).filter(|s| s.is_finite() && *s > 0.0)?;
        Some((seconds, learner.quality.filter(|q| q.is_finite())?))
    };
    let places: Vec<Place<'_>> = report
        .learners
        .iter()
        .filter_map(|learner| place(learner).map(|(seconds, quality)| Place { kind: learner.kind, seconds, quality }))
        .collect();
    let (Some(requests), false) = (requests, places.is_empty()) else {
        return Chart::empty("learners", title, "No learner was measured, or nothing is held out to measure it on.");
    };
    let mut svg = Svg::default();
    let frame = Frame { left: 44.0, right: WIDTH - 20.0, top: 28.0, bottom: 218.0 };
    let least = |of: fn(&Place<'_>) -> f64| places.iter().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&Place<'_>) -> f64| places.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = (least(|p| p.quality), most(|p| p.quality));
    // Room above and below, also where all are alike.
    let room = (0.1 * (high - low)).max(0.002);
    let x = Scale::logarithmic(least(|p| p.seconds) / 1.5, most(|p| p.seconds) * 1.5, frame.left, frame.right);
    let y = Scale::linear(low - room, high + room, frame.bottom, frame.top);
    frame.vertical(&mut svg, &y, &format!("{} on held-out rows", report.quality_is), &|q| figures::quality_tick(report, q));
    let axis = format!(
        "time until {} repaired",
        if requests == 1 { "1 request is".into() } else { format!("{} requests are", show::count(requests)) }
    );
    frame.horizontal(&mut svg, &x, &axis, &figures::tick_seconds);
    let mut labels = Labels::default();
    places.iter().for_each(|p| labels.keep_clear((x.at(p.seconds), y.at(p.quality)), 6.0));
    for (p, (class, shape)) in places.iter().zip(LOOKS.iter().cycle()) {
        let at = (x.at(p.seconds), y.at(p.quality));
        let title =
            format!("{}: {} {}, {}", p.kind, report.quality_is, figures::quality(report, p.quality), figures::seconds(p.seconds));
        svg.mark(class, *shape, at, 5.0, Some(&title));
        labels.write(&mut svg, &frame, "label", at, 9.0, p.kind);
    }
    let takeaway = takeaway(report, &places);
    let svg = svg.finish("learners", frame.bottom + 40.0, &format!("{title}. {takeaway}"));
    Chart { title, takeaway, controls: String::new(), svg }
}

fn takeaway(report: &BenchReport, places: &[Place<'_>]) -> String {
    let named = |p: &Place<'_>| format!("{} ({}, {})", p.kind, figures::quality(report, p.quality), figures::seconds(p.seconds));
    let best = places.iter().max_by(|a, b| a.quality.total_cmp(&b.quality));
    let soonest = places.iter().min_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let pair = best.zip(soonest).map(|(best, soonest)| format!("Best is {}; soonest is {}.", named(best), named(soonest)));
    format!("The same records, held-out rows and requests. Up and to the left is better. {}", pair.unwrap_or_default())
}
