//! All members as one graph: each scores, and what they say is brought together as it is in service.

use super::graph::{Attr, Elem, Graph, Value};
use super::inputs::Inputs;
use super::{ExportError, Facts, net, ridge, trees};
use crate::{
    learn::{Formula, Layout},
    ledger::Aggregate,
    predict::Ensemble,
    schema::{Label, Schema},
};

/// The most bytes of a protocol buffer.
const BYTES_MAX: usize = (1 << 31) - 1;
/// The key of what is said of the model.
pub(super) const KEY: &str = "sisa";

/// The model's bytes.
pub(super) fn model(schema: &Schema, ensemble: &Ensemble, facts: &Facts) -> Result<Vec<u8>, ExportError> {
    let layout = schema.layout();
    let mut graph = Graph::default();
    let inputs = Inputs::of(&mut graph, schema)?;
    let members: Vec<(f32, Value)> =
        ensemble.formulas().map(|(weight, formula)| (weight, scores(&mut graph, &inputs, &layout, &formula))).collect();
    let outputs = match &schema.label {
        Label::Number { .. } => {
            let (value, _) = together(&mut graph, &members);
            let axis = graph.constant(&[1], &[1_i64]);
            let value = graph.op("Squeeze", &[&value, &axis]);
            vec![graph.output("value", Elem::F32, None, &value)]
        }
        Label::Class { values, .. } => {
            let (shares, class) = match ensemble.aggregate() {
                Aggregate::Vote if members.len() > 1 => votes(&mut graph, &members, values.len()),
                Aggregate::Vote | Aggregate::Mean => {
                    let (shares, total) = together(&mut graph, &members);
                    (shares, graph.greatest(&total))
                }
            };
            let names: Vec<String> = values.iter().map(|value| value.trim_ascii().to_owned()).collect();
            let names = graph.texts(&names);
            let label = graph.op("Gather", &[&names, &class]);
            vec![
                graph.output("label", Elem::Text, None, &label),
                graph.output("probabilities", Elem::F32, Some(values.len()), &shares),
            ]
        }
    };
    let text = facts.text(schema, ensemble, &inputs.described, &outputs);
    let bytes = graph.model(&[(KEY, text)]);
    if bytes.len() > BYTES_MAX {
        return Err(ExportError::Large { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// The scores of one member: `rows x outputs`, f32.
fn scores(graph: &mut Graph, inputs: &Inputs, layout: &Layout, formula: &Formula) -> Value {
    match formula {
        Formula::Net(net) => net::scores(graph, inputs, layout, net),
        Formula::Ridge(ridge) => ridge::scores(graph, inputs, layout, ridge),
        Formula::Unknown => unreachable!("`encode` refuses it"),
        Formula::Trees(trees) => trees::scores(graph, inputs, layout.task.outputs(), trees),
    }
}

/// The mean by weight, and the sum that it comes from.
fn together(graph: &mut Graph, members: &[(f32, Value)]) -> (Value, Value) {
    let (mut total, mut weights) = (None, 0.0_f32);
    for (weight, scores) in members {
        weights += weight;
        let scores = weighed(graph, scores, *weight);
        total = Some(match total {
            None => scores,
            Some(total) => graph.op("Add", &[&total, &scores]),
        });
    }
    let total = total.unwrap_or_else(|| unreachable!("an ensemble has members"));
    let weights = graph.scalar(weights);
    (graph.op("Div", &[&total, &weights]), total)
}

fn weighed(graph: &mut Graph, scores: &Value, weight: f32) -> Value {
    if weight == 1.0 {
        return scores.clone();
    }
    let weight = graph.scalar(weight);
    graph.op("Mul", &[scores, &weight])
}

/// Shares of the vote, and the class with the most votes; among several the one with the highest sum of scores.
fn votes(graph: &mut Graph, members: &[(f32, Value)], classes: usize) -> (Value, Value) {
    let (depth, values) = (graph.scalar(classes as i64), graph.constant(&[2], &[0.0_f32, 1.0]));
    let cast: Vec<(f32, Value)> = members
        .iter()
        .map(|(weight, scores)| {
            let class = graph.greatest(scores);
            (*weight, graph.op_with("OneHot", &[&class, &depth, &values], &[("axis", Attr::Int(1))]))
        })
        .collect();
    let (shares, votes) = together(graph, &cast);
    let (_, total) = together(graph, members);
    let most = graph.reduce("ReduceMax", &votes, 1, true);
    let is_most = graph.op("Equal", &[&votes, &most]);
    // Scores are not negative.
    let below = graph.scalar(-1.0_f32);
    let left = graph.op("Where", &[&is_most, &total, &below]);
    (shares, graph.greatest(&left))
}
