//! The mean loss on forget rows, one dot a model.

use sisa::lab::compare::{Sample, SetReport};

use super::{
    super::{
        dots::{Dots, Row, Section},
        frame::Chart,
        svg::{Shape, Svg},
    },
    looks,
};

const TITLE: &str = "Mean loss on forget rows, model by model";

/// Losses that are further apart than this are drawn by factors.
const WIDE: f64 = 3.0;

/// The chart.
pub(super) fn chart(set: &SetReport, at: usize) -> Chart {
    let losses = |samples: &[Sample]| samples.iter().map(|s| s.forget_loss).collect::<Vec<f64>>();
    let reference = |role: &str| {
        let samples = set.references.iter().filter(|r| r.role == role).flat_map(|r| losses(&r.samples));
        samples.collect::<Vec<f64>>()
    };
    let grey = |label: &'static str, role: &str| Row { label, class: "ink", shape: Shape::Circle, samples: reference(role) };
    let mut rows = vec![grey("original", "original")];
    rows.extend(looks(set).filter(|(method, _, _)| method.name != "none").map(|(method, class, shape)| Row {
        label: method.name,
        class,
        shape,
        samples: losses(&method.samples),
    }));
    rows.extend([grey("retrained", "retrained"), grey("floor", "floor")]);
    // Where one method wrecks rows, even steps would lay all others on one place.
    let all = || rows.iter().flat_map(|row| row.samples.iter().copied()).filter(|loss| loss.is_finite());
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    let middle = sisa::lab::median(reference("retrained").into_iter());
    let show = |loss: f64| format!("{loss:.3}");
    let dots = Dots {
        sections: vec![Section { heading: "each dot is one model".into(), rows }],
        logarithmic: most > WIDE * least,
        reference: middle,
        axis: "mean loss on forget rows",
        tick: &show,
        show: &show,
    };
    let mut svg = Svg::default();
    let height = dots.draw(&mut svg);
    let own = "The dashed line is the middle of the retrained models: to its left a model still knows the rows better, to its right it \
               was pushed beyond.";
    let svg = svg.finish(&format!("strips-{at}"), height, &format!("{TITLE}. {own}"));
    super::chart(TITLE, own, svg)
}
