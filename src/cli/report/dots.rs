//! A dot plot: rows under headings, every sample a dot, the median a bar, its figure at the right.

use sisa::lab::median;

use super::{
    frame::Frame,
    scale::Scale,
    svg::{Anchor, Shape, Svg, WIDTH},
};

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) label: &'static str,
    pub(super) class: &'static str,
    pub(super) shape: Shape,
    pub(super) samples: Vec<f64>,
}

/// Rows under a heading.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) rows: Vec<Row>,
}

/// All of it.
pub(super) struct Dots<'a> {
    pub(super) sections: Vec<Section>,
    pub(super) logarithmic: bool,
    /// A dashed line at a figure of one of the rows.
    pub(super) reference: Option<f64>,
    pub(super) axis: &'a str,
    pub(super) tick: &'a dyn Fn(f64) -> String,
    pub(super) show: &'a dyn Fn(f64) -> String,
}

const LEFT: f64 = 98.0;
const RIGHT: f64 = WIDTH - 66.0;
const ROW: f64 = 17.0;
const HEADING: f64 = 21.0;

impl Dots<'_> {
    /// Draws it from the upper edge on; returns its height. Rows without samples are left out, and headings without rows.
    pub(super) fn draw(&self, svg: &mut Svg) -> f64 {
        let sections = || {
            let rows = |s: &'_ Section| s.rows.iter().filter(|r| !r.samples.is_empty()).count();
            self.sections.iter().filter(move |s| rows(s) > 0)
        };
        let samples = || sections().flat_map(|s| &s.rows).flat_map(|r| r.samples.iter().copied());
        let low = samples().fold(f64::INFINITY, f64::min);
        let high = samples().fold(f64::NEG_INFINITY, f64::max);
        let scale = if self.logarithmic {
            Scale::logarithmic(low / 1.3, high * 1.3, LEFT, RIGHT)
        } else {
            Scale::linear(low, high, LEFT, RIGHT)
        };
        let mut height = 2.0;
        for section in sections() {
            height += HEADING + ROW * section.rows.iter().filter(|r| !r.samples.is_empty()).count() as f64;
        }
        let frame = Frame { left: LEFT, right: RIGHT, top: 4.0, bottom: height + 4.0 };
        frame.horizontal(svg, &scale, self.axis, self.tick);
        if let Some(reference) = self.reference {
            svg.line("reference", (scale.at(reference), frame.top), (scale.at(reference), frame.bottom));
        }
        let mut y = 2.0;
        for section in sections() {
            svg.text("strong", Anchor::Start, (4.0, y + 15.0), &section.heading);
            y += HEADING;
            for row in section.rows.iter().filter(|r| !r.samples.is_empty()) {
                self.row(svg, &scale, row, y + ROW / 2.0);
                y += ROW;
            }
        }
        frame.bottom + 40.0
    }

    fn row(&self, svg: &mut Svg, scale: &Scale, row: &Row, y: f64) {
        svg.text("soft", Anchor::End, (LEFT - 8.0, y + 4.0), row.label);
        for sample in &row.samples {
            let title = format!("{}: {}", row.label, (self.show)(*sample));
            svg.mark(&format!("dot {}", row.class), row.shape, (scale.at(*sample), y), 3.5, Some(&title));
        }
        if let Some(middle) = median(row.samples.iter().copied()) {
            let x = scale.at(middle);
            if row.samples.len() > 1 {
                svg.line(&format!("bar {}", row.class), (x, y - 7.0), (x, y + 7.0));
            }
            svg.text("figure", Anchor::End, (WIDTH - 2.0, y + 4.0), &(self.show)(middle));
        }
    }
}
