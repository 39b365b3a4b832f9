//! Persons, from the one best hidden to the one most at risk.

use sisa::lab::compare::SetReport;

use super::{
    super::{
        figures,
        frame::{Chart, Frame, Sign, legend},
        scale::Scale,
        svg::{Svg, WIDTH},
    },
    looks,
};

const TITLE: &str = "Person by person";

/// The class of a line in a legend.
fn line(class: &str) -> &'static str {
    match class {
        "c1" => "curve c1",
        "c2" => "curve c2",
        "c3" => "curve c3",
        _ => "curve c4",
    }
}

/// The chart.
pub(super) fn chart(set: &SetReport, at: usize) -> Chart {
    let mut svg = Svg::default();
    let mut entries = vec![(Sign::Line("curve ink"), "floor")];
    entries.extend(looks(set).enumerate().map(|(at, (method, class, _))| (sign(at, class), method.name)));
    let top = legend(&mut svg, 10.0, &entries) + 28.0;
    let frame = Frame { left: 44.0, right: WIDTH - 14.0, top, bottom: top + 200.0 };
    let x = Scale::from_zero(1.0, frame.left, frame.right);
    let all = || std::iter::once(&set.floor).chain(&set.methods).flat_map(|m| m.persons.iter().copied());
    let y = Scale::linear(all().fold(0.5, f64::min), 1.0, frame.bottom, frame.top);
    frame.vertical(&mut svg, &y, "AUC over models, of one person's rows", &|v| format!("{v:.1}"));
    frame.horizontal(&mut svg, &x, "share of the persons", &figures::whole_percent);
    let places = |persons: &[f64]| {
        let last = persons.len().saturating_sub(1).max(1) as f64;
        persons.iter().enumerate().map(|(i, auc)| (x.at(i as f64 / last), y.at(*auc))).collect::<Vec<_>>()
    };
    for (at, (method, class, _)) in looks(set).enumerate() {
        let style = if at < 4 { line(class).to_owned() } else { format!("{} broken", line(class)) };
        svg.curve(&style, &places(&method.persons));
    }
    svg.curve("curve ink", &places(&set.floor.persons));
    let own = "A line that lies on the floor's hides everybody; what rises at the right are the people whom an average hides.";
    let svg = svg.finish(&format!("persons-{at}"), frame.bottom + 40.0, &format!("{TITLE}. {own}"));
    super::chart(TITLE, own, svg)
}

/// The sign of the n-th line.
fn sign(at: usize, class: &str) -> Sign {
    if at < 4 {
        return Sign::Line(line(class));
    }
    Sign::Line(match class {
        "c1" => "curve c1 broken",
        "c2" => "curve c2 broken",
        "c3" => "curve c3 broken",
        _ => "curve c4 broken",
    })
}
