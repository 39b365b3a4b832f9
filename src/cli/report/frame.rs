//! What charts have in common: title, takeaway, legend, axes, and labels that do not lie on each other.

use super::{
    scale::Scale,
    svg::{Anchor, At, Shape, Svg, WIDTH, text_width},
};

/// A finished chart.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What to see in it, in a sentence.
    pub(super) takeaway: String,
    /// Controls before the picture, as HTML.
    pub(super) controls: String,
    pub(super) svg: String,
}

impl Chart {
    /// A chart without anything to draw, and why.
    pub(super) fn empty(id: &str, title: &'static str, why: &str) -> Chart {
        let mut svg = Svg::default();
        svg.rect("plate", (0.5, 0.5), (WIDTH - 1.0, 79.0), None, None);
        svg.text("soft", Anchor::Middle, (WIDTH / 2.0, 44.0), why);
        let svg = svg.finish(id, 80.0, &format!("{title}: {why}"));
        Chart { title, takeaway: String::new(), controls: String::new(), svg }
    }
}

/// What a legend shows beside a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sign {
    Line(&'static str),
    Mark(&'static str, Shape, f64),
    Box(&'static str),
}

/// Draws a legend from a place downwards, as many lines as it takes; returns where it ends.
pub(super) fn legend(svg: &mut Svg, top: f64, entries: &[(Sign, &str)]) -> f64 {
    let (mut x, mut y) = (4.0, top);
    for (sign, text) in entries {
        let width = 22.0 + text_width(text) + 13.0;
        if x > 4.0 && x + width > WIDTH + 6.0 {
            (x, y) = (4.0, y + 17.0);
        }
        match sign {
            Sign::Line(class) => svg.line(class, (x, y), (x + 16.0, y)),
            Sign::Mark(class, shape, radius) => svg.mark(class, *shape, (x + 8.0, y), *radius, None),
            Sign::Box(class) => svg.rect(class, (x + 2.0, y - 6.0), (12.0, 12.0), None, None),
        }
        svg.text("soft", Anchor::Start, (x + 21.0, y + 4.0), text);
        x += width;
    }
    y + 8.0
}

/// Two axes and the room between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Frame {
    /// Grid lines, figures and the title of the vertical axis, written above it.
    pub(super) fn vertical(&self, svg: &mut Svg, scale: &Scale, title: &str, show: &dyn Fn(f64) -> String) {
        svg.text("soft", Anchor::Start, (4.0, self.top - 10.0), title);
        for tick in scale.ticks() {
            let y = scale.at(tick);
            svg.line("grid", (self.left, y), (self.right, y));
            svg.text("tick", Anchor::End, (self.left - 5.0, y + 4.0), &show(tick));
        }
    }

    /// Grid lines, figures and the title of the horizontal axis, written below it.
    pub(super) fn horizontal(&self, svg: &mut Svg, scale: &Scale, title: &str, show: &dyn Fn(f64) -> String) {
        let mut free = f64::NEG_INFINITY;
        for tick in scale.ticks() {
            let (x, text) = (scale.at(tick), show(tick));
            svg.line("grid", (x, self.top), (x, self.bottom));
            let half = text_width(&text) / 2.0;
            let middle = x.min(WIDTH - half);
            if middle - half > free + 8.0 {
                svg.text("tick", Anchor::Middle, (middle, self.bottom + 15.0), &text);
                free = middle + half;
            }
        }
        let right = self.right.max(text_width(title).min(WIDTH - 2.0));
        svg.text("soft", Anchor::End, (right, self.bottom + 32.0), title);
    }
}

/// Room that is taken: corners.
#[derive(Clone, Copy, Debug)]
struct Room {
    low: At,
    high: At,
}

/// Labels that keep clear of each other and of marks.
#[derive(Debug, Default)]
pub(super) struct Labels {
    taken: Vec<Room>,
}

impl Labels {
    /// Room that no label may take.
    pub(super) fn keep_clear(&mut self, at: At, radius: f64) {
        self.taken.push(Room { low: (at.0 - radius, at.1 - radius), high: (at.0 + radius, at.1 + radius) });
    }

    /// A line across that no label may touch.
    pub(super) fn keep_clear_across(&mut self, y: f64) {
        self.taken.push(Room { low: (0.0, y - 1.5), high: (WIDTH, y + 1.5) });
    }

    /// Writes a text beside a place where there is room; writes nothing where there is none.
    pub(super) fn write(&mut self, svg: &mut Svg, frame: &Frame, class: &str, beside: At, gap: f64, text: &str) -> bool {
        let (x, y) = beside;
        // Labels are bold.
        let width = 1.12 * text_width(text);
        let (far, near) = (gap, gap - 2.0);
        let choices = [
            (Anchor::Start, x + far, y + 4.0),
            (Anchor::End, x - far, y + 4.0),
            (Anchor::Middle, x, y - far - 1.0),
            (Anchor::Middle, x, y + far + 9.0),
            (Anchor::Start, x + near, y - near),
            (Anchor::Start, x + near, y + near + 8.0),
            (Anchor::End, x - near, y - near),
            (Anchor::End, x - near, y + near + 8.0),
        ];
        for (anchor, x, y) in choices {
            let low = match anchor {
                Anchor::Start => x,
                Anchor::Middle => x - width / 2.0,
                Anchor::End => x - width,
            };
            let room = Room { low: (low, y - 9.0), high: (low + width, y + 2.0) };
            let inside =
                low >= frame.left && room.high.0 <= WIDTH && room.low.1 >= frame.top - 4.0 && room.high.1 <= frame.bottom;
            let free = self
                .taken
                .iter()
                .all(|t| t.high.0 <= room.low.0 || t.low.0 >= room.high.0 || t.high.1 <= room.low.1 || t.low.1 >= room.high.1);
            if inside && free {
                svg.text(class, anchor, (x, y), text);
                self.taken.push(room);
                return true;
            }
        }
        false
    }
}
