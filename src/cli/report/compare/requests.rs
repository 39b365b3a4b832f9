//! Requests that depend on what was published.

use sisa::lab::compare::{AttackReport, Attacker, RequestsReport};

use super::super::{
    figures,
    frame::{Chart, Frame, Sign, legend},
    scale::Scale,
    svg::{Shape, Svg, WIDTH},
};
use crate::cli::compare;

const TITLE: &str = "Requests that depend on published models";

/// The chart.
pub(super) fn chart(report: &RequestsReport) -> Chart {
    let mut svg = Svg::default();
    let entries = [
        (Sign::Mark("point c2", Shape::Circle, 4.5), "sees constituents"),
        (Sign::Mark("point c1", Shape::Square, 4.5), "sees answers"),
        (Sign::Mark("ring ink", Shape::Circle, 4.5), "after a rekey"),
    ];
    let top = legend(&mut svg, 10.0, &entries) + 28.0;
    let frame = Frame { left: 44.0, right: WIDTH - 14.0, top, bottom: top + 200.0 };
    let shares = || report.attacks.iter().map(|a| a.share);
    let (least, most) = (shares().fold(1.0, f64::min), shares().fold(0.0, f64::max));
    let x = Scale::logarithmic(least / 1.3, most * 1.3, frame.left, frame.right);
    let y = Scale::from_zero(1.0, frame.bottom, frame.top);
    frame.vertical(&mut svg, &y, "share of trials on one side, with 95 %", &figures::plain);
    frame.horizontal(&mut svg, &x, "share of the rows asked to be deleted", &figures::whole_percent);
    svg.line("reference", (frame.left, y.at(0.5)), (frame.right, y.at(0.5)));
    for (attacker, class, shape, shift) in
        [(Attacker::Constituents, "c2", Shape::Circle, -3.0), (Attacker::Answers, "c1", Shape::Square, 3.0)]
    {
        let of = || report.attacks.iter().filter(move |a| a.attacker == attacker);
        let places: Vec<_> = of().map(|a| (x.at(a.share) + shift, y.at(a.indicator.value))).collect();
        svg.curve(&format!("thin {class}"), &places);
        for attack in of() {
            let (here, there) = (x.at(attack.share) + shift, x.at(attack.share) + 2.5 * shift);
            let rekeyed = &attack.rekeyed_indicator;
            svg.line("whisker ink", (there, y.at(rekeyed.low)), (there, y.at(rekeyed.high)));
            svg.mark("ring ink", shape, (there, y.at(rekeyed.value)), 3.5, Some(&describe(attack, true)));
            let own = &attack.indicator;
            svg.line(&format!("whisker {class}"), (here, y.at(own.low)), (here, y.at(own.high)));
            svg.mark(&format!("point {class}"), shape, (here, y.at(own.value)), 4.5, Some(&describe(attack, false)));
        }
    }
    let own = compare::advice(report);
    let svg = svg.finish("requests", frame.bottom + 40.0, &format!("{TITLE}. {own}"));
    super::chart(TITLE, &own, svg)
}

fn describe(attack: &AttackReport, rekeyed: bool) -> String {
    let (what, indicator, difference) = if rekeyed {
        ("after a rekey", &attack.rekeyed_indicator, attack.rekeyed_difference)
    } else {
        ("repaired", &attack.indicator, attack.difference)
    };
    format!(
        "{} deleted, {what}: {:.2} [{:.2} {:.2}], difference {:+.4} +- {:.4}",
        figures::percent(attack.share),
        indicator.value,
        indicator.low,
        indicator.high,
        difference.0,
        difference.1
    )
}
