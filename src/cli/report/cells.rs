//! The grid of cells: what a batch hits, and what is trained again after it.

use std::fmt::Write;

use sisa::lab::BenchReport;

use super::{
    figures,
    frame::{Chart, Sign, legend},
    svg::{Anchor, Svg, WIDTH, text_width},
};
use crate::cli::show;
use crate::markup::escape;

const TITLE: &str = "The grid of cells";
/// More shards than this can't be told apart; those that were hit come first.
const SHARDS_SHOWN: usize = 48;
/// More columns than this can't be told apart; a column then stands for several slices.
const COLUMNS: usize = 60;
const LEFT: f64 = 34.0;

/// Where things lie.
struct Grid {
    /// The shards that are shown, in order.
    shards: Vec<usize>,
    /// Slices of a column.
    slices: usize,
    columns: usize,
    cell: (f64, f64),
    top: f64,
}

impl Grid {
    fn corner(&self, row: usize, column: usize) -> (f64, f64) {
        (LEFT + column as f64 * self.cell.0, self.top + row as f64 * self.cell.1)
    }

    /// A cell without the gap to the next.
    fn inner(&self) -> (f64, f64) {
        let gap = if self.cell.0.min(self.cell.1) > 8.0 { 1.5 } else { 0.5 };
        (self.cell.0 - gap, self.cell.1 - gap)
    }

    /// Rows of a column's slices.
    fn rows(&self, report: &BenchReport, shard: usize, column: usize) -> u64 {
        report.cells.get(shard).into_iter().flatten().skip(column * self.slices).take(self.slices).sum()
    }

    fn bottom(&self) -> f64 {
        self.corner(self.shards.len(), 0).1
    }
}

/// The chart.
pub(super) fn chart(report: &BenchReport) -> Chart {
    let slices = report.cells.iter().map(Vec::len).max().unwrap_or(0);
    if slices == 0 {
        return Chart::empty("cells", TITLE, "There are no cells.");
    }
    let mut svg = Svg::default();
    let entries = [(Sign::Box("hit"), "first hit of a shard"), (Sign::Box("again"), "trained again")];
    let hits = report.first_hits.iter().any(|(_, hits)| !hits.is_empty());
    let mut top = 6.0;
    if hits {
        top = legend(&mut svg, 10.0, &entries) + 8.0;
    }
    let shards = shown(report);
    let per = slices.div_ceil(COLUMNS);
    let columns = slices.div_ceil(per);
    let height = (200.0 / shards.len() as f64).clamp(7.0, 34.0);
    let grid = Grid { shards, slices: per, columns, cell: ((WIDTH - LEFT - 4.0) / columns as f64, height), top: top + 16.0 };
    axes(&mut svg, &grid, report);
    shades(&mut svg, &grid, report);

    let mut takeaways = Vec::new();
    for (at, (requests, hits)) in report.first_hits.iter().enumerate() {
        let mut again = 0;
        svg.group(&format!("hits hits-{at}"), |svg| again = overlay(svg, &grid, report, hits));
        let steps: usize = report.cells.iter().map(Vec::len).sum();
        takeaways.push(format!(
            "The first batch of {} hit {} of {} shards; {} of {} steps were trained again.",
            figures::requests(*requests),
            hits.len(),
            report.cells.len(),
            show::count(again as u64),
            show::count(steps as u64),
        ));
    }
    numbers(&mut svg, &grid, report);
    let mut label = format!("{TITLE}: {} shards by {slices} slices. {}", report.cells.len(), takeaways.join(" "));
    if !hits {
        label.push_str("No batch was measured.");
    }
    let svg = svg.finish("cells", grid.bottom() + 36.0, &label);
    Chart { title: TITLE, takeaway: String::new(), controls: controls(report, &takeaways), svg }
}

/// The shards to show: all, or those that were hit and as many others as there is room for.
fn shown(report: &BenchReport) -> Vec<usize> {
    let mut shards: Vec<usize> = (0..report.cells.len()).collect();
    if shards.len() > SHARDS_SHOWN {
        shards.sort_by_key(|shard| !is_hit(report, *shard));
        shards.truncate(SHARDS_SHOWN);
        shards.sort_unstable();
    }
    shards
}

/// Whether the first batch of any size hit a shard.
fn is_hit(report: &BenchReport, shard: usize) -> bool {
    report.first_hits.iter().any(|(_, hits)| hits.iter().any(|h| h.0 as usize == shard))
}

fn axes(svg: &mut Svg, grid: &Grid, report: &BenchReport) {
    svg.text("soft", Anchor::Start, (2.0, grid.top - 5.0), "shard");
    let every = (12.0 / grid.cell.1).ceil().max(1.0) as usize;
    let mut rows: Vec<(usize, usize)> = grid.shards.iter().copied().enumerate().collect();
    // Where there is no room for all, shards that were hit have their number, and others where room is left.
    rows.sort_by_key(|(row, shard)| (every == 1 || !is_hit(report, *shard), row % every, *row));
    let mut named: Vec<usize> = Vec::new();
    for (row, shard) in rows {
        if named.iter().all(|n| n.abs_diff(row) >= every) {
            named.push(row);
            let y = grid.corner(row, 0).1 + grid.cell.1 / 2.0 + 4.0;
            svg.text("tick", Anchor::End, (LEFT - 6.0, y), &shard.to_string());
        }
    }
    let every = (22.0 / grid.cell.0).ceil().max(1.0) as usize;
    for column in (0..grid.columns).step_by(every) {
        let x = grid.corner(0, column).0 + grid.cell.0 / 2.0;
        svg.text("tick", Anchor::Middle, (x, grid.bottom() + 14.0), &(column * grid.slices + 1).to_string());
    }
    let mut axis = "slice".to_owned();
    if grid.slices > 1 {
        let _ = write!(axis, " (a column is {} of them)", grid.slices);
    }
    if grid.shards.len() < report.cells.len() {
        let _ = write!(axis, "; {} other shards are not shown", show::count((report.cells.len() - grid.shards.len()) as u64));
    }
    svg.text("soft", Anchor::End, (WIDTH - 4.0, grid.bottom() + 30.0), &axis);
}

/// Each cell, darker the more rows it has, with their number where it fits.
fn shades(svg: &mut Svg, grid: &Grid, report: &BenchReport) {
    let rows = || grid.shards.iter().flat_map(|s| (0..grid.columns).map(|c| grid.rows(report, *s, c)));
    let (low, high) = (rows().min().unwrap_or(0), rows().max().unwrap_or(0));
    let legend = format!("rows: {} (light) to {} (dark)", show::count(low), show::count(high));
    svg.text("soft", Anchor::End, (WIDTH - 4.0, grid.top - 5.0), &legend);
    for (row, shard) in grid.shards.iter().enumerate() {
        for column in 0..grid.columns {
            let count = grid.rows(report, *shard, column);
            let title = format!("shard {shard}, slice {}: {} rows", column * grid.slices + 1, show::count(count));
            svg.rect("cell", grid.corner(row, column), grid.inner(), Some(shade(count, low, high)), Some(&title));
        }
    }
}

/// How dark a cell is.
fn shade(count: u64, low: u64, high: u64) -> f64 {
    let share = if high > low { (count - low.min(count)) as f64 / (high - low) as f64 } else { 0.5 };
    0.12 + 0.43 * share
}

/// The numbers of rows, above what is hit, where they fit.
fn numbers(svg: &mut Svg, grid: &Grid, report: &BenchReport) {
    for (row, shard) in grid.shards.iter().enumerate() {
        for column in 0..grid.columns {
            let text = show::count(grid.rows(report, *shard, column));
            if text_width(&text) + 4.0 < grid.cell.0 && grid.cell.1 >= 15.0 {
                let (x, y) = grid.corner(row, column);
                svg.text("number", Anchor::Middle, (x + grid.inner().0 / 2.0, y + grid.inner().1 / 2.0 + 4.0), &text);
            }
        }
    }
}

/// What one batch hit and what follows from it; returns how many steps were trained again, also in shards that are not shown.
fn overlay(svg: &mut Svg, grid: &Grid, report: &BenchReport, hits: &[(u32, u32)]) -> usize {
    let rows = || grid.shards.iter().flat_map(|s| (0..grid.columns).map(|c| grid.rows(report, *s, c)));
    let (low, high) = (rows().min().unwrap_or(0), rows().max().unwrap_or(0));
    let mut steps = 0;
    for (shard, slice) in hits {
        let of = report.cells.get(*shard as usize).map_or(0, Vec::len);
        let hit = (*slice as usize).clamp(1, of.max(1));
        let kept = report.recipe.keep.steps(report.recipe.schedule, of as u32);
        // It goes on from the deepest checkpoint before the hit slice.
        let from = kept.iter().take(hit - 1).rposition(|kept| *kept).map_or(0, |at| at + 1);
        steps += of - from.min(of);
        let Some(row) = grid.shards.iter().position(|s| *s == *shard as usize) else { continue };
        for column in from / grid.slices..grid.columns {
            // The blue below would turn it grey.
            svg.rect("under", grid.corner(row, column), grid.inner(), None, None);
            let count = grid.rows(report, *shard as usize, column);
            let title = format!("shard {shard}, slice {}: {} rows, trained again", column * grid.slices + 1, show::count(count));
            svg.rect("again", grid.corner(row, column), grid.inner(), Some(0.1 + shade(count, low, high)), Some(&title));
        }
        let title = format!("shard {shard}: slice {slice} is the first that was hit");
        svg.rect("hit", grid.corner(row, (hit - 1) / grid.slices), grid.inner(), None, Some(&title));
    }
    steps
}

/// A choice of batch, without a script: the style sheet shows what is chosen.
fn controls(report: &BenchReport, takeaways: &[String]) -> String {
    let mut out = String::new();
    if takeaways.len() > 1 {
        out.push_str("<div class=\"choices\" role=\"radiogroup\" aria-label=\"The batch that is shown\">\n");
        for (at, (requests, _)) in report.first_hits.iter().enumerate() {
            let checked = if at == 0 { " checked" } else { "" };
            let _ = writeln!(
                out,
                "<label><input type=\"radio\" name=\"hits\" id=\"hits-{at}\"{checked}>{}</label>",
                escape(&figures::requests(*requests))
            );
        }
        out.push_str("</div>\n");
    }
    for (at, takeaway) in takeaways.iter().enumerate() {
        let _ = writeln!(out, "<p class=\"takeaway hits hits-{at}\">{}</p>", escape(takeaway));
    }
    out
}

/// Rules that show the chosen batch, and only that one; a browser that doesn't know them shows all.
pub(super) fn style(report: &BenchReport) -> String {
    let mut out = String::new();
    if report.first_hits.len() > 1 {
        for at in 0..report.first_hits.len() {
            let _ = writeln!(out, "#cells-figure:has(#hits-{at}:not(:checked)) .hits-{at}{{display:none}}");
        }
    }
    out
}
