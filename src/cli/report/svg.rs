//! SVG as text: elements that close what they open, and nothing that is not a finite number.

use std::fmt::Write;

use crate::markup::escape;

/// Units of a chart across. One unit is about a pixel, so that text stays readable on a phone.
pub(super) const WIDTH: f64 = 360.0;

/// A place in a chart, from its upper left corner.
pub(super) type At = (f64, f64);

/// The shape of a mark, so that colour alone tells nothing apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
}

/// Where a text's anchor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One chart while it is drawn.
#[derive(Debug, Default)]
pub(super) struct Svg {
    body: String,
}

/// About how many units a text takes, rather too many.
pub(super) fn text_width(text: &str) -> f64 {
    6.1 * text.chars().count() as f64
}

fn finite(values: &[f64]) -> bool {
    values.iter().all(|v| v.is_finite())
}

/// A coordinate, as short as it can be.
fn unit(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

impl Svg {
    /// An element without content but a title, which browsers show under the pointer.
    fn element(&mut self, name: &str, attributes: &[(&str, String)], title: Option<&str>) {
        let _ = write!(self.body, "<{name}");
        for (key, value) in attributes {
            let _ = write!(self.body, " {key}=\"{}\"", escape(value));
        }
        match title {
            Some(title) => {
                let _ = writeln!(self.body, "><title>{}</title></{name}>", escape(title));
            }
            None => self.body.push_str("/>\n"),
        }
    }

    pub(super) fn line(&mut self, class: &str, from: At, to: At) {
        if finite(&[from.0, from.1, to.0, to.1]) {
            let ends = [("x1", unit(from.0)), ("y1", unit(from.1)), ("x2", unit(to.0)), ("y2", unit(to.1))];
            let mut attributes = vec![("class", class.to_owned())];
            attributes.extend(ends);
            self.element("line", &attributes, None);
        }
    }

    /// A line through places.
    pub(super) fn curve(&mut self, class: &str, places: &[At]) {
        let mut path = String::new();
        for (x, y) in places.iter().filter(|(x, y)| finite(&[*x, *y])) {
            let _ = write!(path, "{}{} {}", if path.is_empty() { "M" } else { "L" }, unit(*x), unit(*y));
        }
        if !path.is_empty() {
            self.element("path", &[("class", class.to_owned()), ("d", path)], None);
        }
    }

    pub(super) fn rect(&mut self, class: &str, corner: At, size: At, opacity: Option<f64>, title: Option<&str>) {
        if finite(&[corner.0, corner.1, size.0, size.1]) {
            let mut attributes = vec![("class", class.to_owned()), ("x", unit(corner.0)), ("y", unit(corner.1))];
            attributes.extend([("width", unit(size.0.max(0.0))), ("height", unit(size.1.max(0.0)))]);
            attributes.extend(opacity.filter(|o| o.is_finite()).map(|o| ("fill-opacity", format!("{o:.2}"))));
            self.element("rect", &attributes, title);
        }
    }

    /// A mark of about a radius.
    pub(super) fn mark(&mut self, class: &str, shape: Shape, at: At, radius: f64, title: Option<&str>) {
        let (x, y) = at;
        if !finite(&[x, y, radius]) {
            return;
        }
        let class = ("class", class.to_owned());
        let polygon = |corners: &[At]| {
            let corners: Vec<String> = corners.iter().map(|c| format!("{},{}", unit(x + c.0), unit(y + c.1))).collect();
            [class.clone(), ("points", corners.join(" "))]
        };
        let r = radius;
        match shape {
            Shape::Circle => self.element("circle", &[class, ("cx", unit(x)), ("cy", unit(y)), ("r", unit(r))], title),
            Shape::Square => {
                let s = 0.9 * r;
                self.element("polygon", &polygon(&[(-s, -s), (s, -s), (s, s), (-s, s)]), title);
            }
            Shape::Triangle => {
                self.element("polygon", &polygon(&[(0.0, -1.2 * r), (1.1 * r, 0.8 * r), (-1.1 * r, 0.8 * r)]), title);
            }
            Shape::Diamond => {
                let d = 1.25 * r;
                self.element("polygon", &polygon(&[(0.0, -d), (d, 0.0), (0.0, d), (-d, 0.0)]), title);
            }
        }
    }

    pub(super) fn text(&mut self, class: &str, anchor: Anchor, at: At, text: &str) {
        if finite(&[at.0, at.1]) {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            let _ = writeln!(
                self.body,
                "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{}\" y=\"{}\">{}</text>",
                unit(at.0),
                unit(at.1),
                escape(text)
            );
        }
    }

    /// A part with a class of its own.
    pub(super) fn group(&mut self, class: &str, draw: impl FnOnce(&mut Svg)) {
        let _ = writeln!(self.body, "<g class=\"{class}\">");
        draw(self);
        self.body.push_str("</g>\n");
    }

    /// The whole element.
    pub(super) fn finish(self, id: &str, height: f64, label: &str) -> String {
        format!(
            "<svg id=\"{id}\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {} {}\">\n{}</svg>\n",
            escape(label),
            unit(WIDTH),
            unit(height),
            self.body
        )
    }
}
