//! Differences of accuracy, with intervals.

use sisa::lab::{
    compare::{CompareReport, MethodReport, SetReport},
    measures::Interval,
};

use super::{
    super::{
        figures,
        frame::{Chart, Frame},
        scale::Scale,
        svg::{Anchor, Shape, Svg, WIDTH},
    },
    looks, point,
};

const LEFT: f64 = 98.0;
const RIGHT: f64 = WIDTH - 50.0;
const ROW: f64 = 15.0;
const HEADING: f64 = 21.0;

/// One kind of rows: its heading, and each method's difference.
type Kind<'a> = (String, Vec<(&'static str, &'static str, Shape, &'a Interval)>);

/// Kinds of rows in one chart, at most.
const KINDS: usize = 4;

/// The charts: of the three kinds of rows, and of held-out rows by group, a few groups a chart. All have one scale.
pub(super) fn charts(report: &CompareReport, set: &SetReport, at: usize) -> Vec<Chart> {
    let accuracy = report.accuracy_is == "accuracy";
    let titles = match accuracy {
        true => ["Accuracy, less that of retrained models", "Held-out accuracy by group, less that of retrained models"],
        false => ["R2, less that of retrained models", "Held-out R2 by group, less that of retrained models"],
    };
    let kind = |heading: &str, of: &dyn Fn(&MethodReport) -> Option<&Interval>| -> Kind<'_> {
        let floor = of(&set.floor).map(|gap| ("floor", "ink", Shape::Circle, gap));
        let rows = looks(set).filter_map(|(method, class, shape)| of(method).map(|gap| (method.name, class, shape, gap)));
        (heading.to_owned(), floor.into_iter().chain(rows).collect())
    };
    let kinds = [
        kind("forget rows", &|m| Some(&m.forget.accuracy)),
        kind("rows that stay", &|m| Some(&m.retain.accuracy)),
        kind("held-out rows", &|m| Some(&m.held_out.accuracy)),
    ];
    let groups = set.floor.groups.iter().enumerate();
    let groups: Vec<Kind<'_>> = groups.map(|(at, (name, ..))| kind(name, &|m| m.groups.get(at).map(|(_, _, gap)| gap))).collect();
    let gaps = || kinds.iter().chain(&groups).flat_map(|k| &k.1).map(|row| row.3);
    let low = gaps().map(|g| g.low).fold(0.0, f64::min);
    let high = gaps().map(|g| g.high).fold(0.0, f64::max);
    let x = Scale::linear(100.0 * low, 100.0 * high, LEFT, RIGHT);
    let own = "What papers print first: a difference of nothing here says little, as the other charts show.";
    let mut charts = vec![chart(titles[0], own, &kinds, &x, &format!("gaps-{at}"))];
    let own = "Whether somebody pays for it: by group, with the floor's own differences as what so many models can't resolve.";
    for (part, groups) in groups.chunks(KINDS).enumerate() {
        charts.push(chart(titles[1], own, groups, &x, &format!("groups-{at}-{part}")));
    }
    charts
}

/// One chart of some kinds of rows.
fn chart(title: &'static str, own: &str, kinds: &[Kind<'_>], x: &Scale, id: &str) -> Chart {
    let height: f64 = kinds.iter().map(|(_, rows)| HEADING + ROW * rows.len() as f64).fold(6.0, |sum, h| sum + h);
    let frame = Frame { left: LEFT, right: RIGHT, top: 4.0, bottom: height };
    let mut svg = Svg::default();
    frame.horizontal(&mut svg, x, "percentage points, with 90 %", &figures::plain);
    svg.line("reference", (x.at(0.0), frame.top), (x.at(0.0), frame.bottom));
    let mut y = 2.0;
    for (heading, rows) in kinds {
        svg.text("strong", Anchor::Start, (4.0, y + 15.0), heading);
        y += HEADING;
        for (name, class, shape, gap) in rows {
            let middle = y + ROW / 2.0;
            svg.text("soft", Anchor::End, (LEFT - 8.0, middle + 4.0), name);
            let ends = (x.at(100.0 * gap.low), x.at(100.0 * gap.high));
            svg.line(&format!("bar {class}"), (ends.0, middle), (ends.1, middle));
            let place = (x.at(100.0 * gap.value), middle);
            svg.mark(if *class == "ink" { "point ink" } else { point(class) }, *shape, place, 3.5, None);
            svg.text("figure", Anchor::End, (WIDTH - 2.0, middle + 4.0), &format!("{:+.2}", 100.0 * gap.value));
            y += ROW;
        }
    }
    let svg = svg.finish(id, frame.bottom + 40.0, &format!("{title}. {own}"));
    super::chart(title, own, svg)
}
