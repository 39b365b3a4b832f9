//! Told apart and remembered, against the work that a method costs.

use sisa::lab::{compare::SetReport, measures::Interval};

use super::{
    super::{
        figures,
        frame::{Chart, Frame, Labels, Sign, legend},
        scale::Scale,
        svg::{Shape, Svg, WIDTH},
    },
    looks, point, ring,
};

const TITLE: &str = "Told apart, against work";

/// The chart.
pub(super) fn chart(set: &SetReport, at: usize) -> Chart {
    let mut svg = Svg::default();
    let entries = [
        (Sign::Mark("point ink", Shape::Circle, 4.5), "told apart"),
        (Sign::Mark("ring ink", Shape::Circle, 4.5), "remembered"),
        (Sign::Box("band"), "floor, 90 %"),
    ];
    let top = legend(&mut svg, 10.0, &entries) + 28.0;
    let frame = Frame { left: 44.0, right: WIDTH - 14.0, top, bottom: top + 210.0 };
    let costs = || set.methods.iter().map(|m| m.row_passes_share).filter(|c| *c > 0.0);
    let least = costs().fold(1.0, f64::min).max(1e-4) / 2.0;
    let x = Scale::logarithmic(least, 1.0, frame.left, frame.right);
    let lowest = set.methods.iter().map(|m| m.told_apart.auc.low).chain([set.floor.told_apart.auc.low, 0.4]).fold(1.0, f64::min);
    // Most marks lie at 1: below the frame's edge they are whole.
    let y = Scale::linear(lowest, 1.0, frame.bottom, frame.top + 8.0);
    let floor = &set.floor.told_apart.auc;
    let (high, low) = (y.at(floor.high), y.at(floor.low));
    svg.rect("band", (frame.left, high), (frame.right - frame.left, low - high), Some(0.25), None);
    frame.vertical(&mut svg, &y, "AUC over models", &|v| format!("{v:.1}"));
    frame.horizontal(&mut svg, &x, "work, of one retraining", &figures::plain);
    let mut labels = Labels::default();
    let mut mark = |svg: &mut Svg, class: &'static str, shape: Shape, cost: f64, auc: &Interval, title: String| {
        let place = (x.at(cost), y.at(auc.value));
        svg.line(class_of(class), (place.0, y.at(auc.low)), (place.0, y.at(auc.high)));
        svg.mark(class, shape, place, 4.5, Some(&title));
        labels.keep_clear(place, 5.0);
    };
    let describe = |name: &str, what: &str, auc: &Interval, cost: f64| {
        format!("{name}: {what} {:.3} [{:.2} {:.2}], work {}", auc.value, auc.low, auc.high, figures::percent(cost))
    };
    for (method, class, shape) in looks(set) {
        let cost = method.row_passes_share;
        if let Some(remembered) = &method.remembered {
            let title = describe(method.name, "remembered", &remembered.auc, cost);
            mark(&mut svg, ring(class), shape, cost * 1.04, &remembered.auc, title);
        }
        let title = describe(method.name, "told apart", &method.told_apart.auc, cost);
        mark(&mut svg, point(class), shape, cost, &method.told_apart.auc, title);
    }
    if let Some(exact) = &set.exact {
        let title = describe("sisa delete", "told apart", &exact.told_apart.auc, exact.row_passes_share);
        mark(&mut svg, "point ink", Shape::Diamond, exact.row_passes_share, &exact.told_apart.auc, title);
        let place = (x.at(exact.row_passes_share), y.at(exact.told_apart.auc.value));
        labels.write(&mut svg, &frame, "label ink", place, 8.0, "sisa delete");
    }
    for (method, class, _) in looks(set) {
        let place = |auc: &Interval| (x.at(method.row_passes_share), y.at(auc.value));
        let class = format!("label {class}");
        // Beside the lower of its marks there is more room.
        let beside = method.remembered.as_ref().map_or(method.told_apart.auc, |r| r.auc);
        let places = [8.0, 17.0, 28.0].map(|gap| [(place(&beside), gap), (place(&method.told_apart.auc), gap)]);
        let _ = places.concat().into_iter().any(|(at, gap)| labels.write(&mut svg, &frame, &class, at, gap, method.name));
    }
    let above = set.methods.iter().filter(|m| m.told_apart.above(&set.floor.told_apart)).count();
    let own = format!("{above} of {} rows lie above the floor; down and to the left is better.", set.methods.len());
    let svg = svg.finish(&format!("work-{at}"), frame.bottom + 40.0, &format!("{TITLE}. {own}"));
    super::chart(TITLE, &own, svg)
}

/// The class of the line of an interval.
fn class_of(class: &str) -> &'static str {
    match class.rsplit(' ').next() {
        Some("c1") => "whisker c1",
        Some("c2") => "whisker c2",
        Some("c3") => "whisker c3",
        Some("c4") => "whisker c4",
        _ => "whisker ink",
    }
}
