//! What is said of an exported model: one JSON object with ascending keys, under one key of the file's metadata.

use serde::Serialize;
use serde_json::{Value, json};

use super::inputs::Described;
use crate::{
    digest::Digest,
    ids::{GenerationId, RecipeId},
    ledger::Aggregate,
    predict::Ensemble,
    schema::{Label, Schema},
};

/// Where a model comes from. Nothing of the moment: the same states give the same file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts {
    /// The generation in service.
    pub generation: GenerationId,
    /// The recipe in service.
    pub recipe: RecipeId,
    /// The kind of learner.
    pub learner: String,
    /// Its settings.
    pub settings: Value,
    /// The root digest of all records.
    pub records: Digest,
}

/// How inputs are given, and what becomes of cells that the engine would refuse.
const CELLS: &str = "Texts are given without blanks around them. What is missing is NaN in numbers and moments, and in texts one of the \
     declared spellings (as a rule the empty text). A cell that the engine would refuse counts as missing here: an infinite number, \
     one that is not above -1 where the logarithm is stored, a text that is neither yes nor no.";

impl Facts {
    /// All facts of a model, as text. Maps of `serde_json` are sorted, so the text is the same each time.
    pub(super) fn text(&self, schema: &Schema, ensemble: &Ensemble, inputs: &[Described], outputs: &[String]) -> String {
        let members = ensemble.members().iter().map(
            |member| json!({"lineage": member.lineage, "shard": member.shard.0, "step": member.step, "weight": member.weight}),
        );
        let classes = match &schema.label {
            Label::Class { values, .. } => values.as_slice(),
            Label::Number { .. } => &[],
        };
        let aggregate = match ensemble.aggregate() {
            Aggregate::Mean => "mean",
            Aggregate::Vote => "vote",
        };
        let mut all = json!({
            "aggregate": aggregate,
            "cells": CELLS,
            "classes": classes,
            "columns": schema.columns,
            "inputs": inputs,
            "label": schema.label.column(),
            "log1p": matches!(&schema.label, Label::Number { log1p: true, .. }),
            "members": members.collect::<Vec<_>>(),
            "missing": schema.missing,
            "outputs": outputs,
        });
        if let (Value::Object(all), Ok(Value::Object(own))) = (&mut all, serde_json::to_value(self)) {
            all.extend(own);
        }
        all.to_string()
    }
}
