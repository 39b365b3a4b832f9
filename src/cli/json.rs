//! `--json`: the records of docs/JSON.md. Types of their own, so that the engine's may change.

use serde_json::{Value, json};
use sisa::engine::{
    Accepted, DeleteReport, Evaluation, Forecast, Quality, RepairReport, RequestRecord, Status, TrainReport, Verdict,
};

pub(crate) fn trained(report: &TrainReport) -> Value {
    json!({
        "type": "trained",
        "generation": report.generation.to_string(),
        "recipe": report.recipe.to_string(),
        "imported": report.import.map(|i| json!({
            "records": i.records,
            "held_out": i.held_out,
            "refused": i.refused,
            "read_seconds": i.read_seconds,
            "publish_seconds": i.publish_seconds,
        })),
        "steps": report.report.shards.iter().map(|s| s.steps).sum::<u32>(),
        "row_passes": report.report.row_passes(),
        "bytes": report.bytes,
        "seconds": report.report.seconds,
        "complete": report.complete,
        "diverged": report.report.diverged().map(|(shard, what)| json!({ "shard": shard.0, "message": what })).collect::<Vec<_>>(),
        "repaired": report.repaired.as_ref().map(|r| r.requests.clone()).unwrap_or_default(),
    })
}

pub(crate) fn evaluated(evaluation: &Evaluation) -> Value {
    let mut value = match &evaluation.ensemble {
        Quality::Classes(report) => json!({
            "type": "evaluated",
            "rows": report.rows,
            "accuracy": report.accuracy,
            "log_loss": report.log_loss,
            "classes": evaluation.classes.iter().zip(&report.classes).map(|(name, (rows, precision, recall))| json!({
                "class": name, "rows": rows, "precision": precision, "recall": recall,
            })).collect::<Vec<_>>(),
        }),
        Quality::Numbers(report) => json!({
            "type": "evaluated", "rows": report.rows, "rmse": report.rmse, "mae": report.mae, "r2": report.r2,
        }),
    };
    if let Some(object) = value.as_object_mut() {
        object.insert("members".into(), evaluation.members.0.into());
        object.insert("whole_members".into(), evaluation.members.1.into());
        if let Some(shares) = evaluation.shares {
            object.insert("constituent_accuracy".into(), shares.constituent.into());
            object.insert("majority_accuracy".into(), shares.majority.into());
        }
    }
    value
}

pub(crate) fn status(status: &Status) -> Value {
    json!({
        "type": "status",
        "generation": status.serving.generation.to_string(),
        "recipe": status.serving.recipe.to_string(),
        "aggregate": status.serving.aggregate,
        "complete": status.complete(),
        "unrepaired": status.unrepaired,
        "suppressed": status.suppressed,
        "ledger_entries": status.ledger_entries,
        "missing_row_passes": status.missing_row_passes,
        "full_row_passes": status.full_row_passes,
        "beside": status.beside.iter().map(|(g, r)| json!({ "generation": g.to_string(), "recipe": r.to_string() })).collect::<Vec<_>>(),
        "shards": status.shards.iter().map(|s| json!({
            "shard": s.shard.0,
            "serves": s.serves,
            "held_out": s.held_out,
            "slices": s.cells.iter().map(|c| json!({ "rows": c.rows, "checkpoint_bytes": c.checkpoint_bytes, "kept": c.kept })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

/// Outcomes in the order of the handles; ids are not repeated.
fn outcomes(accepted: &Accepted) -> Value {
    accepted
        .outcomes
        .iter()
        .map(|o| json!({ "handle": o.handle, "subject": o.subject, "outcome": o.outcome, "in_slices": o.in_slices, "held_out": o.held_out }))
        .collect()
}

pub(crate) fn effective(accepted: &Accepted, seconds: f64) -> Value {
    json!({
        "type": "effective",
        "request": accepted.request,
        "seconds": seconds,
        "outcomes": outcomes(accepted),
        "cells": accepted.cells.iter().map(|c| json!({ "generation": c.generation.to_string(), "cell": c.cell, "records": c.records })).collect::<Vec<_>>(),
        "purged": accepted.purge.len(),
        "predicted_row_passes": accepted.predicted.row_passes,
        "full_row_passes": accepted.predicted.full_row_passes,
    })
}

pub(crate) fn forecast(forecast: &Forecast) -> Value {
    let accepted = &forecast.accepted;
    let seconds = |row_passes: u64| forecast.row_passes_per_second.map(|speed| row_passes as f64 / speed);
    json!({
        "type": "forecast",
        "outcomes": outcomes(accepted),
        "cells": accepted.cells.iter().map(|c| json!({ "generation": c.generation.to_string(), "cell": c.cell, "records": c.records })).collect::<Vec<_>>(),
        "checkpoints": accepted.purge.len(),
        "row_passes": accepted.predicted.row_passes,
        "full_row_passes": accepted.predicted.full_row_passes,
        "seconds": seconds(accepted.predicted.row_passes),
        "full_seconds": seconds(accepted.predicted.full_row_passes),
    })
}

pub(crate) fn repaired(report: &RepairReport) -> Value {
    json!({
        "type": "repaired",
        "requests": report.repaired.as_ref().map(|r| r.requests.clone()).unwrap_or_default(),
        "complete": report.complete,
        "rebuilt": report.rebuilt,
        "row_passes": report.report.row_passes(),
        "full_row_passes": report.repaired.as_ref().map(|r| r.actual.full_row_passes),
        "seconds": report.report.seconds,
        "diverged": report.report.diverged().map(|(shard, what)| json!({ "shard": shard.0, "message": what })).collect::<Vec<_>>(),
    })
}

pub(crate) fn deleted(report: &DeleteReport) -> Value {
    json!({
        "type": "deleted",
        "request": report.accepted.request,
        "repeated": report.repeated,
        "unknown": report.any_unknown(),
        "repaired": report.repair.as_ref().is_some_and(|r| r.complete),
    })
}

pub(crate) fn request(record: &RequestRecord) -> Value {
    json!({
        "type": "request",
        "request": record.accepted.request,
        "accepted_at": record.accepted_at,
        "effective_at": record.effective.as_ref().map(|e| &e.0),
        "effective_seconds": record.effective.as_ref().map(|e| e.1.seconds),
        "repaired_at": record.repaired.as_ref().map(|r| &r.0),
        "repair_seconds": record.repaired.as_ref().map(|r| r.1.seconds),
        "outcomes": outcomes(&record.accepted),
        "predicted_row_passes": record.accepted.predicted.row_passes,
        "row_passes": record.repaired.as_ref().map(|r| r.1.actual.row_passes),
        "full_row_passes": record.accepted.predicted.full_row_passes,
    })
}

pub(crate) fn verdict(verdict: &Verdict) -> Value {
    json!({
        "type": "verified",
        "same": verdict.findings.is_empty(),
        "files": verdict.files,
        "bytes": verdict.bytes,
        "retrained": verdict.retrained,
        "findings": verdict.findings.iter().map(|f| json!({ "file": f.path, "offset": f.offset, "what": f.what })).collect::<Vec<_>>(),
        "notes": verdict.notes,
    })
}
