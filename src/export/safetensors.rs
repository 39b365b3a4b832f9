//! Weights as safetensors: a header of JSON with ascending names, then the tensors in that order. One key of metadata, so that the same
//! model gives the same bytes.
//!
//! The format: <https://github.com/huggingface/safetensors>, "Format".

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::vote::KEY;
use super::{ExportError, Facts};
use crate::{
    learn::{Formula, NetFormula, RidgeFormula},
    predict::Ensemble,
    schema::Schema,
};

/// A tensor: its type, its shape and its elements.
type Tensor = (&'static str, Vec<usize>, Vec<u8>);

/// The file's bytes.
pub(super) fn encode(schema: &Schema, ensemble: &Ensemble, facts: &Facts) -> Result<Vec<u8>, ExportError> {
    let mut tensors = BTreeMap::new();
    // A model of all shards has one formula, others one a member.
    let names: Vec<String> = match ensemble.is_one() {
        true => vec!["all".into()],
        false => ensemble.members().iter().map(|member| format!("shard{:04}", member.shard.0)).collect(),
    };
    for (name, (_, formula)) in names.iter().zip(ensemble.formulas()) {
        match formula {
            Formula::Net(net) => of_net(&mut tensors, name, &net),
            Formula::Ridge(ridge) => of_ridge(&mut tensors, name, schema.layout().task.outputs(), &ridge),
            Formula::Unknown => return Err(ExportError::Unknown { learner: facts.learner.clone() }),
            Formula::Trees(_) => return Err(ExportError::Trees { learner: facts.learner.clone() }),
        }
    }
    let outputs: Vec<String> = tensors.keys().cloned().collect();
    let text = facts.text(schema, ensemble, &[], &outputs);
    Ok(written(&tensors, &text))
}

fn written(tensors: &BTreeMap<String, Tensor>, text: &str) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".into(), json!({ KEY: text }));
    let mut end = 0;
    for (name, (kind, shape, bytes)) in tensors {
        let start = end;
        end += bytes.len();
        header.insert(name.clone(), json!({"data_offsets": [start, end], "dtype": kind, "shape": shape}));
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // Tensors begin at a multiple of 8.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    tensors.values().for_each(|(_, _, bytes)| file.extend_from_slice(bytes));
    file
}

fn of_net(tensors: &mut BTreeMap<String, Tensor>, name: &str, net: &NetFormula) {
    let mut put = |what: &str, shape: Vec<usize>, values: &[f32]| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.insert(format!("{name}.{what}"), ("F32", shape, bytes));
    };
    put("numbers.shift", vec![net.shifts.len()], &net.shifts);
    put("numbers.gain", vec![net.gains.len()], &net.gains);
    put("target", vec![2], &[net.target.0, net.target.1]);
    for (at, layer) in net.layers.iter().enumerate() {
        let rows = |values: &[f32]| vec![values.len() / layer.width.max(1), layer.width];
        put(&format!("layer{at}.weight"), rows(&layer.weights), &layer.weights);
        put(&format!("layer{at}.categories"), rows(&layer.table), &layer.table);
        put(&format!("layer{at}.bias"), vec![layer.width], &layer.biases);
    }
}

fn of_ridge(tensors: &mut BTreeMap<String, Tensor>, name: &str, outputs: usize, ridge: &RidgeFormula) {
    let mut put = |what: &str, kind, shape: Vec<usize>, bytes| tensors.insert(format!("{name}.{what}"), (kind, shape, bytes));
    let bytes = ridge.weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    put("weight", "F64", vec![ridge.weights.len() / outputs.max(1), outputs], bytes);
    if let Some(random) = &ridge.random {
        let dimension = random.offsets.len();
        let bytes = random.weights.iter().map(|weight| weight.cast_unsigned()).collect();
        put("random.weight", "I8", vec![dimension, random.weights.len() / dimension.max(1)], bytes);
        put("random.offset", "I32", vec![dimension], random.offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect());
        put("random.factor", "I64", vec![1], random.factor.to_le_bytes().to_vec());
        if let Some(wave) = &random.wave {
            put("random.wave", "U8", vec![wave.len()], wave.clone());
        }
    }
}
