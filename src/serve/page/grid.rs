//! Shards and slices as a table: the state of every step by a letter and a pattern.

use std::{collections::BTreeSet, fmt::Write as _};

use sisa::engine::{CellStatus, RequestLine, ShardId, ShardStatus, Status};

/// The share of its full weight that a shard votes with (docs/TRAINING.md, section 6).
fn vote(shard: &ShardStatus) -> f64 {
    let depth = f64::from(shard.serves) / shard.cells.len().max(1) as f64;
    depth * depth * depth * depth
}

/// The same of all shards that have records.
pub(super) fn weight(status: &Status) -> f64 {
    let voting: Vec<f64> = status.shards.iter().filter(|shard| shard.has_rows()).map(vote).collect();
    voting.iter().fold(0.0, |sum, vote| sum + vote) / voting.len().max(1) as f64
}

/// The table. `open` are the requests that are not repaired.
pub(super) fn grid(out: &mut String, status: &Status, open: &[RequestLine], repairing: bool) {
    let slices = status.shards.first().map_or(0, |shard| shard.cells.len());
    let touched: BTreeSet<ShardId> = open.iter().flat_map(|line| line.shards.iter().copied()).collect();
    out.push_str(
        "<section id=\"grid\"><h2>Shards and slices</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Shards and slices\"><table>\
         <caption>Steps: C is clean and has its checkpoint; T saw somebody who was deleted and is gone, R is being trained again, M is missing for \
         another reason, – keeps no checkpoint.</caption>\n<thead><tr><th scope=\"col\">Shard</th>",
    );
    (1..=slices).for_each(|slice| {
        let _ = write!(out, "<th scope=\"col\">{slice}</th>");
    });
    out.push_str(
        "<th scope=\"col\">Records</th><th scope=\"col\">Serves step</th><th scope=\"col\">Vote</th></tr></thead>\n<tbody>",
    );
    for shard in &status.shards {
        row(out, shard, touched.contains(&shard.shard), repairing);
    }
    out.push_str("</tbody></table></div></section>\n");
}

fn row(out: &mut String, shard: &ShardStatus, touched: bool, repairing: bool) {
    let _ = write!(out, "<tr><th scope=\"row\">{}</th>", shard.shard);
    for CellStatus { checkpoint_bytes, kept, .. } in &shard.cells {
        let (class, letter) = match (checkpoint_bytes, kept) {
            (Some(_), _) => ("cell", "C"),
            (None, true) if repairing => ("cell repairing", "R"),
            (None, true) if touched => ("cell tainted", "T"),
            (None, true) => ("cell missing", "M"),
            (None, false) => ("cell", "–"),
        };
        let _ = write!(out, "<td class=\"{class}\"><b>{letter}</b></td>");
    }
    let records: u64 = shard.cells.iter().map(|cell| cell.rows).sum();
    let _ = writeln!(
        out,
        "<td class=\"number\">{records}</td><td class=\"number\">{} of {}</td><td class=\"number\">{:.0} %</td></tr>",
        shard.serves,
        shard.cells.len(),
        vote(shard) * 100.0
    );
}
