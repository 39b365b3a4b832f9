//! Quality before, between the two times, and after.

use sisa::lab::{BenchReport, DeletionSample};

use super::{
    dots::{Dots, Row, Section},
    figures,
    frame::Chart,
    svg::{Shape, Svg},
};

/// The chart.
pub(super) fn chart(report: &BenchReport) -> Chart {
    let title = if report.quality_is == "accuracy" { "Accuracy meanwhile and after" } else { "Quality meanwhile and after" };
    let one = |label, value: Option<f64>| {
        let samples = value.filter(|v| v.is_finite()).into_iter().collect();
        Row { label, class: "ink", shape: Shape::Square, samples }
    };
    let mut sections = vec![Section {
        heading: "before any deletion".into(),
        rows: vec![one("the ensemble", report.quality), one("one model", report.quality_of_one)],
    }];
    for size in report.sizes() {
        let row = |label, class, shape, of: fn(&DeletionSample) -> Option<f64>| {
            let samples = report.deletions.iter().filter(|d| d.requests == size).filter_map(of).filter(|q| q.is_finite());
            Row { label, class, shape, samples: samples.collect() }
        };
        sections.push(Section {
            heading: figures::requests(size),
            rows: vec![
                row("meanwhile", "c2", Shape::Diamond, |d| d.quality_meanwhile),
                row("after", "c1", Shape::Circle, |d| d.quality_after),
            ],
        });
    }
    if sections.iter().flat_map(|s| &s.rows).all(|r| r.samples.is_empty()) {
        return Chart::empty("quality", title, "Nothing is held out to measure it on.");
    }
    let axis = format!("{} on held-out rows · bars, figures: medians", report.quality_is);
    let mut svg = Svg::default();
    let dots = Dots {
        sections,
        logarithmic: false,
        reference: report.quality.filter(|q| q.is_finite()),
        axis: &axis,
        tick: &|q| figures::quality_tick(report, q),
        show: &|q| figures::quality(report, q),
    };
    let height = dots.draw(&mut svg);
    let takeaway = takeaway(report);
    let svg = svg.finish("quality", height, &format!("{title}. {takeaway}"));
    Chart { title, takeaway, controls: String::new(), svg }
}

fn takeaway(report: &BenchReport) -> String {
    let Some(size) = report.sizes().last().copied() else {
        return "No deletion was measured.".into();
    };
    let show = |value: Option<f64>, none: &str| value.map_or(none.into(), |q| figures::quality(report, q));
    format!(
        "Meanwhile only clean prefixes serve. {}: {} before (dashed), {} meanwhile, {} after.",
        figures::requests(size),
        show(report.quality, "unknown"),
        show(report.median(size, |d| d.quality_meanwhile), "no answers"),
        show(report.median(size, |d| d.quality_after), "unknown"),
    )
}
