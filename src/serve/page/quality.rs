//! Quality over time, as a picture and as a table, with what was deleted between.

use std::fmt::Write as _;

use sisa::engine::{QualityOf, RequestLine};

use super::{
    super::{day, judge::Found},
    tables::{begin, end, moment},
};
use crate::markup::escape;

/// The picture: its size, and the room at its edges.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 160.0;
const LEFT: f64 = 64.0;
const EDGE: f64 = 14.0;

/// A line of the table.
struct Row<'a> {
    found: &'a Found,
    at: f64,
    /// Deletions that came into effect since the one before.
    deletions: usize,
}

/// Deletions by the time of their effect, ascending.
fn effects(lines: &[RequestLine]) -> Vec<f64> {
    let mut times: Vec<f64> = lines.iter().filter_map(|line| day::seconds(&line.effective.as_ref()?.0)).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The section. `lines` are the newest deletions.
pub(super) fn quality(out: &mut String, found: &[Found], lines: &[RequestLine], of: &QualityOf) {
    let by = match of {
        QualityOf::Off => "It is not measured: <code>quality</code> under [serve] is off.",
        QualityOf::Holdout => "By the rows that were held out; those of whoever is deleted leave them too.",
        QualityOf::File(_) => "By the table that <code>quality</code> under [serve] names, which no deletion reaches.",
    };
    let effects = effects(lines);
    let mut rows: Vec<Row<'_>> = Vec::new();
    for found in found {
        let Some(at) = day::seconds(&found.time) else { continue };
        let since = rows.last().map_or(f64::NEG_INFINITY, |row| row.at);
        let deletions = effects.iter().filter(|effect| since < **effect && **effect <= at).count();
        rows.push(Row { found, at, deletions });
    }
    let caption = format!("{by} The newest first; a mark in the picture is a deletion that came into effect.");
    let columns = ["Measured", "Version", "Measure", "Value", "Rows", "Members, whole", "Deletions before it"];
    begin(out, "quality", "Quality over time", &caption, &columns);
    for Row { found, deletions, .. } in rows.iter().rev() {
        let (members, whole) = found.members;
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"number\">{:.4}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{members}, {whole}</td><td class=\"number\">{deletions}</td></tr>",
            moment(Some(&found.time)),
            escape(&found.version),
            found.measure,
            found.value,
            found.rows,
        );
    }
    if rows.is_empty() {
        let _ = write!(out, "<tr><td colspan=\"{}\">Not measured yet.</td></tr>", columns.len());
    }
    end(out);
    // Within the section, below the table.
    if let Some(at) = out.rfind("</section>")
        && let Some(drawn) = drawn(&rows, &effects)
    {
        out.insert_str(at, &drawn);
    }
}

/// The picture; nothing where there is no line to draw.
fn drawn(rows: &[Row<'_>], effects: &[f64]) -> Option<String> {
    let last = rows.last()?;
    // One measure: after a change of what is learnt the older ones mean something else.
    let rows: Vec<&Row<'_>> = rows.iter().filter(|row| row.found.measure == last.found.measure).collect();
    let first = rows.first()?;
    if rows.len() < 2 || last.at <= first.at {
        return None;
    }
    let (low, high) = rows
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), row| (low.min(row.found.value), high.max(row.found.value)));
    // What differs by less than a hundredth is drawn as such.
    let room = ((0.01 - (high - low)) / 2.0).max(0.0);
    let (low, high) = (low - room, high + room);
    let x = |at: f64| LEFT + (at - first.at) / (last.at - first.at) * (WIDTH - LEFT - EDGE);
    let y = |value: f64| EDGE + (high - value) / (high - low) * (HEIGHT - 2.0 * EDGE);
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} from {:.4} to {:.4} over {} measurements; the table has the \
         figures\">",
        last.found.measure,
        first.found.value,
        last.found.value,
        rows.len()
    );
    for (value, at) in [(high, y(high)), (low, y(low))] {
        let _ = write!(
            svg,
            "<text x=\"4\" y=\"{:.1}\">{value:.4}</text><line class=\"rule\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\"/>",
            at + 4.0,
            WIDTH - EDGE
        );
    }
    for at in effects.iter().filter(|at| (first.at..=last.at).contains(*at)) {
        let at = x(*at);
        let _ = write!(svg, "<line class=\"mark\" x1=\"{at:.1}\" y1=\"{EDGE}\" x2=\"{at:.1}\" y2=\"{:.1}\"/>", HEIGHT - EDGE);
    }
    let points: Vec<String> = rows.iter().map(|row| format!("{:.1},{:.1}", x(row.at), y(row.found.value))).collect();
    let _ = write!(svg, "<polyline points=\"{}\"/>", points.join(" "));
    for row in &rows {
        let _ = write!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", x(row.at), y(row.found.value));
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(seconds: u32, value: f64) -> Found {
        Found {
            time: format!("2026-11-26T10:00:{seconds:02}.000Z"),
            version: format!("g0001.257d0dbfa4e41380.{seconds}"),
            measure: "accuracy",
            value,
            rows: 40,
            members: (3, 3),
        }
    }

    #[test]
    fn without_a_second_measurement_there_is_a_table_and_no_picture() {
        let mut out = String::new();
        quality(&mut out, &[], &[], &QualityOf::Holdout);
        assert!(out.contains("Not measured yet") && !out.contains("<svg"), "{out}");
        quality(&mut out, &[found(0, 0.5)], &[], &QualityOf::Holdout);
        assert!(out.contains(">0.5000<") && !out.contains("<svg"), "{out}");
    }

    #[test]
    fn the_picture_has_a_point_for_each_measurement_within_its_frame() {
        let mut out = String::new();
        quality(&mut out, &[found(0, 0.5), found(10, 0.5), found(20, 0.75)], &[], &QualityOf::Off);
        assert_eq!(out.matches("<circle").count(), 3, "{out}");
        assert!(out.contains("from 0.5000 to 0.7500 over 3") && out.ends_with("</svg>\n</section>\n"), "{out}");
        for part in out.split("cy=\"").skip(1) {
            let y: f64 = part.split('"').next().unwrap().parse().unwrap();
            assert!((0.0..=HEIGHT).contains(&y), "{y}");
        }
    }
}
