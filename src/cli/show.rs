//! Results as text, for people.

use std::fmt::Write;

use super::export;
use sisa::engine::{
    Accepted, Batches, Cost, Difference, Forecast, OutcomeKind, RekeyDue, RepairReport, Replay, RequestRecord, Status, Verdict,
};

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A number with thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}

pub(crate) fn seconds(s: f64) -> String {
    if s < 0.0995 {
        format!("{:.1} ms", s * 1e3)
    } else if s < 120.0 {
        format!("{s:.2} s")
    } else {
        format!("{:.1} min", s / 60.0)
    }
}

pub(crate) fn status(status: &Status, workspace_flag: &str) -> String {
    let mut out = String::new();
    let serving = &status.serving;
    let _ = writeln!(
        out,
        "generation {}, recipe {}, {} of constituents",
        serving.generation,
        serving.recipe,
        format!("{:?}", serving.aggregate).to_lowercase()
    );
    let slices = status.shards.first().map_or(0, |s| s.cells.len());
    let wide = slices > 16;
    let budget = status.shards.iter().any(|s| s.cells.iter().any(|c| !c.kept));
    let _ = writeln!(
        out,
        "\nrows by shard and slice; a missing checkpoint is shown as [rows]{}\n",
        if budget { ", one that the recipe does not keep as -rows" } else { "" }
    );
    let cohorts = status.shards.iter().any(|shard| shard.cohort.is_some());
    let _ = write!(out, "shard{}  serves", if cohorts { "   cohort" } else { "" });
    if !wide {
        (1..=slices).for_each(|r| {
            let _ = write!(out, " {r:>6}");
        });
    }
    let _ = writeln!(out, "  held out  checkpoints");
    let (mut rows, mut held_out, mut size, mut stands_by) = (0, 0, 0, false);
    for shard in &status.shards {
        let before = shard.full && shard.cells.last().is_some_and(|cell| cell.checkpoint_bytes.is_none());
        stands_by |= before;
        let serves = match shard.serves {
            0 => "-".into(),
            _ if before => "before".into(),
            step => format!("{step}/{slices}"),
        };
        let _ = write!(out, " {}", shard.shard);
        if let Some(cohort) = &shard.cohort {
            let _ = write!(out, "  {cohort:>7}");
        }
        let _ = write!(out, "  {serves:>6}");
        if wide {
            let line: String = shard
                .cells
                .iter()
                .map(|c| {
                    if c.checkpoint_bytes.is_some() {
                        '#'
                    } else if c.kept {
                        '.'
                    } else {
                        '-'
                    }
                })
                .collect();
            let _ = write!(out, "  {line}");
        } else {
            for cell in &shard.cells {
                let text = match (cell.checkpoint_bytes, cell.kept) {
                    (Some(_), _) => cell.rows.to_string(),
                    (None, true) => format!("[{}]", cell.rows),
                    (None, false) => format!("-{}", cell.rows),
                };
                let _ = write!(out, " {text:>6}");
            }
        }
        let bytes_here: u64 = shard.cells.iter().filter_map(|c| c.checkpoint_bytes).sum();
        let _ = writeln!(out, "  {:>8}  {:>11}", shard.held_out, bytes(bytes_here));
        rows += shard.cells.iter().map(|c| c.rows).sum::<u64>();
        held_out += shard.held_out;
        size += bytes_here;
    }
    let _ = writeln!(
        out,
        "\n{} shards x {slices} slices, {} records, {} held out, {} of checkpoints, {} ledger entries, {} suppressed ids",
        status.shards.len(),
        count(rows),
        count(held_out),
        bytes(size),
        status.ledger_entries,
        status.suppressed
    );
    if status.batches > 1 {
        let first = slices - status.later.len();
        let of = |(at, batches): (usize, &Batches)| match batches.first == batches.last {
            true => format!("{}: batch {}", first + 1 + at, batches.first),
            false => format!("{}: batches {} to {}", first + 1 + at, batches.first, batches.last),
        };
        let later: Vec<String> = status.later.iter().enumerate().map(of).collect();
        let _ = match later.is_empty() {
            true => writeln!(out, "{} batches, whose rows are where their hashes say", status.batches),
            false => writeln!(out, "{} batches; slice {}", status.batches, later.join(", slice ")),
        };
    }
    if stands_by {
        let _ = writeln!(
            out,
            "before: what was trained before the last batches serves until they are; `sisa train{workspace_flag}` trains on them"
        );
    }
    out.push_str(&export::exports(&status.exports));
    for (generation, recipe) in &status.beside {
        let _ = writeln!(
            out,
            "being built beside it: generation {generation}, recipe {recipe}; `sisa train{workspace_flag}` goes on"
        );
    }
    if !status.unrepaired.is_empty() {
        let _ = writeln!(
            out,
            "in effect, waiting for repair: {}; `sisa repair{workspace_flag}` does it",
            status.unrepaired.join(", ")
        );
    }
    if status.missing_row_passes > 0 {
        let share = percent(status.missing_row_passes as f64 / status.full_row_passes.max(1) as f64);
        let _ = writeln!(out, "missing: {} row-passes, {share} of training everything", count(status.missing_row_passes));
    }
    out
}

/// What became of the ids, in counts.
fn outcomes(accepted: &Accepted) -> String {
    let mut out = String::new();
    let of = |kind: OutcomeKind| accepted.outcomes.iter().filter(move |o| o.outcome == kind);
    let records: u64 = of(OutcomeKind::Erased).map(|o| o.in_slices + o.held_out).sum();
    let held_out: u64 = of(OutcomeKind::Erased).map(|o| o.held_out).sum();
    // Where no id of a person was named, each outcome is of one record.
    let of_records = accepted.corrects || accepted.outcomes.iter().all(|o| !o.subject);
    let unit = if of_records { ["record", "records"] } else { ["id", "ids"] };
    for (kind, label) in [
        (OutcomeKind::Erased, "erased"),
        (OutcomeKind::Corrected, "corrected"),
        (OutcomeKind::Unchanged, "held this before"),
        (OutcomeKind::AlreadyErased, "already erased"),
        (OutcomeKind::NotFound, "not found"),
        (OutcomeKind::Refused, "left as they are, as the new subject is suppressed"),
    ] {
        let n = of(kind).count();
        if n > 0 {
            let _ = write!(out, "  {label}: {} {}", count(n as u64), if n == 1 { unit[0] } else { unit[1] });
            if kind == OutcomeKind::Erased {
                let records = if of_records { String::new() } else { format!(", {} records", count(records)) };
                let _ = write!(out, "{records} ({} of them held out)", count(held_out));
            }
            out.push('\n');
        }
    }
    out
}

pub(crate) fn effective(accepted: &Accepted, took: f64, repeated: bool, workspace_flag: &str) -> String {
    let mut out = format!("effective: request {} after {}\n", accepted.request, seconds(took));
    if repeated {
        out = format!("request {} was accepted before; its first outcome:\n", accepted.request);
    }
    out.push_str(&outcomes(accepted));
    let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (slices, checkpoints) = (many(accepted.cells.len(), "slice file"), many(accepted.purge.len(), "checkpoint"));
    let _ = writeln!(out, "  {slices} written again, {checkpoints} purged");
    out.push_str(&export::saw(&accepted.exports));
    if accepted.outcomes.iter().any(|o| o.outcome == OutcomeKind::NotFound) && accepted.suppress {
        let _ = writeln!(
            out,
            "  the ids that were not found are suppressed too; `sisa unsuppress{workspace_flag} --subject ID` (or --record, --from) takes a mistake back"
        );
    }
    out
}

/// The first of some places, and how many more there are.
fn first_of(places: &[String], what: &str) -> String {
    const SHOWN: usize = 10;
    let mut out = String::new();
    places.iter().take(SHOWN).for_each(|place| {
        let _ = writeln!(out, "  {what}: {place}");
    });
    if places.len() > SHOWN {
        let _ = writeln!(out, "  {what}: {} more", count((places.len() - SHOWN) as u64));
    }
    out
}

/// Where rows stand that corrected nothing.
pub(crate) fn not_corrected(places: &[String]) -> String {
    first_of(places, "not corrected")
}

/// Where unknown ids and rows stand.
pub(crate) fn unknown(places: &[String], alike: &[(Difference, usize)]) -> String {
    let mut out = first_of(places, "not found");
    for (in_what, ids) in alike {
        let (ids, them) = if *ids == 1 {
            ("1 id".to_owned(), "one that differs")
        } else {
            (format!("{} ids", count(*ids as u64)), "ones that differ")
        };
        let _ = writeln!(
            out,
            "  not found: {ids}; {them} only in {in_what} {} there: delete by the spelling of the table",
            if ids == "1 id" { "is" } else { "are" }
        );
    }
    out
}

pub(crate) fn repaired(report: &RepairReport, workspace_flag: &str) -> String {
    let mut out = String::new();
    if report.rebuilt > 0 {
        let _ = writeln!(out, "{} damaged checkpoints were built again", report.rebuilt);
    }
    for (shard, what) in report.report.diverged() {
        let _ = writeln!(out, "shard {shard}: {what}. The deletion stays in effect and the shard serves its last clean step.");
    }
    match &report.repaired {
        Some(repaired) => {
            let full = repaired.actual.full_row_passes.max(1) as f64;
            let passes = repaired.actual.row_passes;
            let _ = writeln!(
                out,
                "repaired: {} in {}, {} row-passes ({} of training everything)",
                repaired.requests.join(", "),
                seconds(repaired.seconds),
                count(passes),
                percent(passes as f64 / full)
            );
            let last = repaired.requests.last().map_or("", String::as_str);
            let _ = writeln!(out, "\nnext:\n  sisa receipt{workspace_flag} {last}\n  sisa verify{workspace_flag} --retrain");
        }
        None if report.complete => out.push_str("nothing is waiting for repair\n"),
        None => {
            let _ = writeln!(out, "not repaired yet; `sisa repair{workspace_flag}` goes on");
        }
    }
    out
}

pub(crate) fn forecast(forecast: &Forecast) -> String {
    let accepted = &forecast.accepted;
    let mut out = String::from("would be done (nothing was changed):\n");
    out.push_str(&outcomes(accepted));
    for change in &accepted.cells {
        let come = if change.come > 0 { format!(", {} come", count(change.come)) } else { String::new() };
        let _ = writeln!(out, "  {} slice {}: {} records go{come}", change.generation, change.cell, change.records);
    }
    let _ = writeln!(out, "  {} checkpoints would be purged", accepted.purge.len());
    out.push_str(&export::saw(&accepted.exports));
    out.push_str(&cost(accepted.predicted));
    let cost = accepted.predicted;
    if let Some(speed) = forecast.row_passes_per_second {
        let time = |passes: u64| seconds(passes as f64 / speed);
        let _ = writeln!(
            out,
            "about {} against {}, at {} row-passes a second",
            time(cost.row_passes),
            time(cost.full_row_passes),
            count(speed as u64)
        );
    }
    out
}

/// What the repair of a request takes.
pub(crate) fn cost(cost: Cost) -> String {
    format!(
        "repair: {} row-passes, {} of the {} of training everything\n",
        count(cost.row_passes),
        percent(cost.row_passes as f64 / cost.full_row_passes.max(1) as f64),
        count(cost.full_row_passes)
    )
}

/// The records that stay as they have no date.
pub(crate) fn undated(records: Option<u64>) -> String {
    match records {
        Some(records @ 1..) => format!("  without a date, and left: {} records\n", count(records)),
        _ => String::new(),
    }
}

pub(crate) fn log(requests: &[RequestRecord]) -> String {
    let mut out = String::new();
    if requests.is_empty() {
        out.push_str("no deletion or correction was asked for yet\n");
    }
    for r in requests {
        let _ = writeln!(out, "{}  accepted {}", r.accepted.request, r.accepted_at);
        out.push_str(&outcomes(&r.accepted));
        out.push_str(&export::saw(&r.accepted.exports));
        match &r.effective {
            Some((at, effective)) => {
                let _ = writeln!(out, "  effective {at}, after {}", seconds(effective.seconds));
            }
            None => out.push_str("  not in effect yet\n"),
        }
        match &r.repaired {
            Some((at, repaired)) => {
                let _ = writeln!(
                    out,
                    "  repaired {at}, {} of training, {} row-passes (predicted {}, everything {})",
                    seconds(repaired.seconds),
                    count(repaired.actual.row_passes),
                    count(r.accepted.predicted.row_passes),
                    count(repaired.actual.full_row_passes)
                );
            }
            None => out.push_str("  not repaired yet\n"),
        }
    }
    out
}

pub(crate) fn rekey_due(due: &RekeyDue, flag: &str) -> String {
    format!(
        "\nwarning: {} records, {:.1} % of those imported under this model key, are deleted (the limit is {:.1} %, `rekey_after` in sisa.toml). \
         Requests that were chosen by what the models say give something of the key away, and only those; `sisa rekey{flag}` draws a fresh one\n",
        count(due.deleted),
        100.0 * due.share,
        100.0 * due.limit
    )
}

pub(crate) fn verdict(verdict: &Verdict, retrain: bool, sample: bool) -> String {
    let mut out = String::new();
    for finding in &verdict.findings {
        let at = finding.offset.map_or(String::new(), |o| format!(" at byte {o}"));
        let _ = writeln!(out, "{}{at}: {}", finding.path.display(), finding.what);
    }
    for note in &verdict.notes {
        let _ = writeln!(out, "note: {note}");
    }
    let _ = writeln!(out, "checked {} files, {}", count(verdict.files), bytes(verdict.bytes));
    if verdict.retrained > 0 {
        let _ = writeln!(out, "trained {} steps again in a scratch folder and compared every byte", count(verdict.retrained));
    }
    if verdict.by_construction {
        out.push_str("by construction: everything is as the ledger says, so no state on the disk saw a deleted record\n");
    }
    if !verdict.findings.is_empty() {
        let _ = writeln!(out, "{} findings", verdict.findings.len());
        return out;
    }
    let place = match &verdict.replay {
        None => return out,
        Some(Replay::Environment { .. }) if verdict.retrained > 0 => "in this environment",
        Some(_) => "on any machine",
    };
    let replay = verdict.replay.as_ref().map(ToString::to_string).unwrap_or_default();
    let _ = match verdict.by_replay() {
        Some(_) if sample => writeln!(
            out,
            "by replay {place}: the shards that were trained again are bit-identical to training on what remains{}",
            named(verdict)
        ),
        Some(_) => {
            writeln!(out, "by replay {place}: every file is bit-identical to training on what remains{}", named(verdict))
        }
        None if verdict.stopped > 0 => {
            writeln!(
                out,
                "by replay: {} steps could not be trained again; the others have the same bytes",
                count(verdict.stopped)
            )
        }
        None if retrain => writeln!(out, "by replay {replay}: nothing was trained again"),
        None if matches!(verdict.replay, Some(Replay::Nowhere { .. })) => writeln!(out, "by replay {replay}"),
        None => writeln!(out, "by replay {replay}, which `--retrain` looks at: it trains everything again and compares"),
    };
    out
}

/// The environment that was found to be the one of the recipe.
fn named(verdict: &Verdict) -> String {
    let Some(Replay::Environment { learner, environment, probe }) = &verdict.replay else { return String::new() };
    let probe: String = probe.to_string().chars().take(16).collect();
    let words = environment.iter().map(|(key, value)| format!("{key} {value}"));
    let words: Vec<String> = std::iter::once(format!("learner {learner}")).chain(words).collect();
    format!("\n  {}, probe {probe}", words.join(", "))
}
