//! The two times of a deletion, beside training anew.

use sisa::lab::{BenchReport, DeletionSample, FullSample};

use super::{
    dots::{Dots, Row, Section},
    figures,
    frame::Chart,
    svg::{Shape, Svg},
};

const TITLE: &str = "The two times of a deletion";

/// The chart.
pub(super) fn chart(report: &BenchReport) -> Chart {
    let seconds = |samples: &[FullSample]| samples.iter().map(|s| s.seconds).filter(|s| *s > 0.0).collect();
    let mut sections: Vec<Section> = report.sizes().into_iter().map(|size| section(report, size)).collect();
    sections.push(Section {
        heading: "training anew".into(),
        rows: vec![
            Row { label: "one model", class: "ink", shape: Shape::Square, samples: seconds(&report.one_model) },
            Row { label: "the ensemble", class: "ink", shape: Shape::Square, samples: seconds(&report.ensemble) },
        ],
    });
    if sections.iter().flat_map(|s| &s.rows).all(|r| r.samples.is_empty()) {
        return Chart::empty("times", TITLE, "Nothing was measured.");
    }
    let mut svg = Svg::default();
    let dots = Dots {
        sections,
        logarithmic: true,
        reference: BenchReport::seconds(&report.one_model),
        axis: "time (log) · a mark a trial; bars, figures: medians",
        tick: &figures::tick_seconds,
        show: &figures::seconds,
    };
    let height = dots.draw(&mut svg);
    let takeaway = takeaway(report);
    let svg = svg.finish("times", height, &format!("{TITLE}. {takeaway}"));
    Chart { title: TITLE, takeaway, controls: String::new(), svg }
}

fn section(report: &BenchReport, size: u64) -> Section {
    let row = |label, class, shape, of: fn(&DeletionSample) -> Option<f64>| {
        let samples = report.deletions.iter().filter(|d| d.requests == size).filter_map(of).filter(|s| *s > 0.0);
        Row { label, class, shape, samples: samples.collect() }
    };
    let mut rows = vec![
        row("effective", "c3", Shape::Circle, |d| Some(d.effective)),
        row("repaired", "c1", Shape::Circle, |d| Some(d.repaired)),
        row("whole process", "c4", Shape::Diamond, |d| d.process),
    ];
    // One request one by one is the request itself.
    if size > 1 {
        rows.push(row("one by one", "c2", Shape::Triangle, |d| d.one_by_one.map(|o| o.0)));
    }
    let heading = if size > 1 { format!("{} together", figures::requests(size)) } else { figures::requests(size) };
    Section { heading, rows }
}

fn takeaway(report: &BenchReport) -> String {
    let one = BenchReport::seconds(&report.one_model);
    let Some(size) = report.sizes().first().copied() else {
        return one.map_or_else(String::new, |one| format!("Training one model anew takes {}.", figures::seconds(one)));
    };
    let effective = report.median(size, |d| Some(d.effective)).map_or_else(String::new, figures::seconds);
    let repaired = report.median(size, |d| Some(d.repaired)).map_or_else(String::new, figures::seconds);
    let beside = one.map_or_else(String::new, |one| format!("; one model anew takes {} (dashed)", figures::seconds(one)));
    format!("{}: in effect after {effective}, exact again after {repaired}{beside}.", figures::requests(size))
}
