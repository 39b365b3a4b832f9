//! What a training did, as text.

use std::fmt::Write;

use sisa::engine::{AlikeIds, IdColumns, ImportReport, ImportedReport, Likeness, TrainReport};

use super::{
    evaluated,
    show::{bytes, count, seconds},
};

/// Ids that a deletion may miss, as they are spelt otherwise than they will be typed.
fn alike(ids: &AlikeIds) -> String {
    let (mut out, about) = (String::new(), if ids.estimated { "about " } else { "" });
    let many = |ids: u64, one: &str, more: &str| {
        if ids == 1 { format!("1 id {one}") } else { format!("{about}{} ids {more}", count(ids)) }
    };
    if ids.point_zero > 0 {
        let _ = writeln!(
            out,
            "{} with `.0`: a deletion has to spell them so, or declare `id_form = \"integer\"` under [data] and train with --fresh.",
            many(ids.point_zero, "looks like a whole number", "look like whole numbers")
        );
    }
    for (likeness, ids) in ids.kinds() {
        let joined = match likeness {
            Likeness::PointZero | Likeness::Zeros => ", or `id_form = \"integer\"` under [data] joins them",
            Likeness::Case => ", or `id_form = \"casefold\"` under [data] joins them",
            Likeness::Unicode => ", or `id_form = \"nfc\"` under [data] joins them",
            Likeness::Blanks => "; no setting joins them, so mend the source",
        };
        let _ = writeln!(
            out,
            "{} from another one only in {likeness}: if they are the same, they are deleted one by one{joined}.",
            many(ids, "differs", "differ")
        );
    }
    out
}

/// What became of rows and cells that are not as they should be.
pub(super) fn left_out(import: &ImportReport) -> String {
    let mut out = String::new();
    for (rows, why) in import.left_out.into_iter().zip(["without a label", "without a subject", "with a cell that can't be read"])
    {
        if rows > 0 {
            let _ = writeln!(out, "left out {} rows {why}, as declared.", count(rows));
        }
    }
    if import.bad_cells > 0 {
        let _ = writeln!(out, "took {} cells that can't be read for missing, as declared.", count(import.bad_cells));
    }
    out + &alike(&import.alike)
}

/// What an import read.
fn read(import: Option<&ImportReport>) -> String {
    let Some(import) = import else { return String::new() };
    let mut out = format!("imported {} records and held {} out", count(import.records), count(import.held_out));
    if import.refused > 0 {
        let _ = write!(out, "; refused {} rows of suppressed ids", count(import.refused));
    }
    out + ".\n" + &left_out(import)
}

/// What an import that trains nothing came to.
pub(super) fn imported(report: &ImportedReport, workspace_flag: &str) -> String {
    let out = read(report.import.as_ref());
    match report.to_train.as_slice() {
        [] => out + "nothing to do: every step of every shard is trained.\n",
        shards => {
            let shards = shards.len();
            out + &format!(
                "the recipe is frozen; {shards} shards are to be trained. `sisa shard{workspace_flag} pack N` packs one for another machine, \
                 `sisa train{workspace_flag}` trains them here.\n"
            )
        }
    }
}

pub(super) fn text(report: &TrainReport, workspace_flag: &str, ids: &IdColumns) -> String {
    let mut out = read(report.import.as_ref());
    let steps: u32 = report.report.shards.iter().map(|s| s.steps).sum();
    if steps == 0 && report.complete {
        out.push_str("nothing to do: every step of every shard is trained.\n");
        return out;
    }
    let passes = report.report.row_passes();
    let _ = writeln!(
        out,
        "trained {} steps of {} shards: {} row-passes in {} ({} a second), {} of checkpoints.",
        count(u64::from(steps)),
        report.report.shards.len(),
        count(passes),
        seconds(report.report.seconds),
        count((passes as f64 / report.report.seconds.max(1e-9)) as u64),
        bytes(report.bytes),
    );
    for (shard, what) in report.report.diverged() {
        let _ = writeln!(out, "shard {shard}: {what}; it serves its last clean step.");
    }
    if let Some(repaired) = &report.repaired {
        let _ = writeln!(out, "repaired: {}.", repaired.requests.join(", "));
    }
    let diverged = report.report.diverged().next().is_some();
    if diverged {
        let _ = writeln!(
            out,
            "training again would stop there again: lower `rate` under [learner] of sisa.toml, or write `clip = 8.0` and `max_gradient = 1.0` \
             there where they are not, then `sisa train{workspace_flag}`."
        );
    }
    if !report.complete && !diverged {
        let _ = writeln!(out, "some shards are not trained yet; `sisa train{workspace_flag}` goes on.");
    }
    if let Some(evaluation) = &report.evaluation {
        out.push('\n');
        out.push_str(&evaluated::text(evaluation, workspace_flag));
    }
    let _ = writeln!(out, "\nnext:\n  sisa status{workspace_flag}                    shards, slices, checkpoints");
    if !diverged || report.evaluation.is_some() {
        let _ = writeln!(out, "  sisa predict{workspace_flag} FILE --proba      answer");
    }
    let delete = match ids {
        IdColumns { subject: Some(_), .. } => "--subject ID       delete a person, exactly",
        IdColumns { record, .. } if !record.is_empty() => "--record ID        delete a record, exactly",
        IdColumns { .. } => return out,
    };
    let _ = writeln!(out, "  sisa delete{workspace_flag} {delete}");
    out
}
