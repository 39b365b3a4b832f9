//! The Open Inference Protocol V2 over HTTP: what a model is, and inference with tensors as JSON or as bytes.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use sisa::engine::{Answers, Input, InputKind, Interface};

use super::{
    app::App,
    cells::{Grid, Rows},
    mlflow::float,
    problem::Problem,
    reply::{BINARY, JSON, JSON_LENGTH, Reply},
    tensor::{self, Column, Datatype},
};

/// The body of a request.
#[derive(Debug, Deserialize)]
struct Body<'a> {
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow)]
    inputs: Vec<Tensor<'a>>,
    #[serde(default)]
    outputs: Vec<Wanted>,
}

/// One input.
#[derive(Debug, Deserialize)]
struct Tensor<'a> {
    name: String,
    shape: Vec<u64>,
    datatype: Datatype,
    #[serde(default)]
    parameters: Parameters,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// An output that is asked for.
#[derive(Debug, Deserialize)]
struct Wanted {
    name: String,
    #[serde(default)]
    parameters: Parameters,
}

/// Those that mean something here; others are the client's own business.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Parameters {
    binary_data_size: Option<usize>,
    binary_data: Option<bool>,
    binary_data_output: Option<bool>,
    classification: Option<u32>,
}

/// Which outputs are told, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Output {
    name: &'static str,
    binary: bool,
}

/// How a request is to be answered.
#[derive(Debug)]
pub(super) struct Form {
    id: Option<String>,
    outputs: Vec<Output>,
}

const PREDICTION: &str = "prediction";
const PROBABILITIES: &str = "probabilities";

/// The rows of a body, whose first `json` bytes are JSON and the rest tensors (all are JSON where there is no number), and how they
/// are to be answered.
pub(super) fn read(app: &App, body: &[u8], json: Option<&str>) -> Result<(Input, Form), Problem> {
    let json = match json {
        None => body.len(),
        Some(text) => text.trim().parse().map_err(|_| Problem::input("`Inference-Header-Content-Length` is no number"))?,
    };
    let (head, mut bytes) =
        body.split_at_checked(json).ok_or_else(|| Problem::input("`Inference-Header-Content-Length` is larger than the body"))?;
    let request: Body<'_> = serde_json::from_slice(head).map_err(|e| Problem::input(format!("the body can't be read: {e}")))?;
    if request.inputs.is_empty() {
        return Err(Problem::input("`inputs` is empty; give one tensor for each column of the model"));
    }
    let mut rows = None;
    let mut columns: Vec<(String, Column)> = Vec::new();
    for tensor in request.inputs {
        let count = match tensor.shape.as_slice() {
            [count] | [count, 1] => *count,
            shape => {
                let what = format!("input `{}` has shape {shape:?}; each column is an input of shape [n] or [n, 1]", tensor.name);
                return Err(Problem::input(what));
            }
        };
        let first = *rows.get_or_insert(count);
        if first != count {
            return Err(Problem::input(format!("input `{}` has {count} rows where the first has {first}", tensor.name)));
        }
        if count > u64::from(app.config().rows) {
            return Err(Problem::too_large(format!("more than {} rows; send them in several requests", app.config().rows)));
        }
        let column = match (tensor.parameters.binary_data_size, tensor.data) {
            (None, Some(data)) => tensor::of_json(&tensor.name, data, count as usize)?,
            (Some(size), None) => {
                let short = || Problem::input(format!("the body ends within the bytes of input `{}`", tensor.name));
                let (own, rest) = bytes.split_at_checked(size).ok_or_else(short)?;
                bytes = rest;
                tensor::of_bytes(&tensor.name, tensor.datatype, own, count as usize)?
            }
            _ => return Err(Problem::input(format!("input `{}` needs `data` or `binary_data_size`, and not both", tensor.name))),
        };
        columns.push((tensor.name, column));
    }
    if !bytes.is_empty() {
        return Err(Problem::input(format!("{} bytes follow the last input", bytes.len())));
    }
    let mut grid = Grid::new(columns.iter().map(|(name, _)| name.clone()).collect(), app.config().rows);
    for row in 0..rows.unwrap_or(0) as usize {
        grid.begin_row()?;
        columns.iter().filter_map(|(_, column)| column.get(row)).for_each(|cell| grid.push(cell.as_deref()));
    }
    let outputs = outputs(&request.outputs, request.parameters)?;
    Ok((Input::new().with(Rows::from(grid)), Form { id: request.id, outputs }))
}

fn outputs(wanted: &[Wanted], all: Parameters) -> Result<Vec<Output>, Problem> {
    if wanted.is_empty() {
        let binary = all.binary_data_output.unwrap_or(false);
        return Ok([PREDICTION, PROBABILITIES].map(|name| Output { name, binary }).to_vec());
    }
    let of = |wanted: &Wanted| {
        if wanted.parameters.classification.is_some() {
            return Err(Problem::input("`classification` is not known here; ask for `probabilities`"));
        }
        let name = [PREDICTION, PROBABILITIES].into_iter().find(|name| *name == wanted.name);
        let unknown = || Problem::input("an output is asked for that is not there; they are `prediction` and `probabilities`");
        let binary = wanted.parameters.binary_data.or(all.binary_data_output).unwrap_or(false);
        Ok(Output { name: name.ok_or_else(unknown)?, binary })
    };
    wanted.iter().map(of).collect()
}

/// The answer.
pub(super) fn write(model: &str, answers: &Answers, form: &Form) -> Reply {
    let (mut outputs, mut bytes) = (Vec::new(), Vec::new());
    let quoted = |text: &str| Value::from(text).to_string();
    for output in &form.outputs {
        let Some((datatype, shape, json, binary)) = output_of(output, answers) else { continue };
        let shape = serde_json::to_string(&shape).unwrap_or_default();
        let head = format!("{{\"name\":{},\"datatype\":\"{datatype}\",\"shape\":{shape}", quoted(output.name));
        outputs.push(if output.binary {
            bytes.extend_from_slice(&binary);
            format!("{head},\"parameters\":{{\"binary_data_size\":{}}}}}", binary.len())
        } else {
            format!("{head},\"data\":[{json}]}}")
        });
    }
    let id = form.id.as_ref().map_or_else(String::new, |id| format!("\"id\":{},", quoted(id)));
    let (model, version) = (quoted(model), quoted(&answers.epoch.to_string()));
    let head = format!("{{{id}\"model_name\":{model},\"model_version\":{version},\"outputs\":[{}]}}", outputs.join(","));
    if form.outputs.iter().any(|output| output.binary) {
        let length = head.len().to_string();
        let body = [head.into_bytes(), bytes].concat();
        return Reply::new(StatusCode::OK, BINARY, body).with(JSON_LENGTH, &length);
    }
    Reply::new(StatusCode::OK, JSON, head)
}

/// Datatype, shape, elements as JSON without brackets, elements as bytes. Numbers have no probabilities.
fn output_of(output: &Output, answers: &Answers) -> Option<(&'static str, Vec<usize>, String, Vec<u8>)> {
    let (scores, classes) = (&answers.scores, &answers.classes);
    let floats = |values: &[f32]| {
        let json: Vec<String> = values.iter().map(|v| float(*v)).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        (json.join(","), bytes)
    };
    let rows = scores.values.len() / scores.outputs.max(1);
    match (output.name, classes.is_empty()) {
        (PREDICTION, false) => {
            let names = || scores.classes.iter().map(|class| classes.get(*class as usize).map_or("", String::as_str));
            let json: Vec<String> = names().map(|name| Value::from(name).to_string()).collect();
            let bytes = if output.binary { tensor::text_bytes(names()) } else { Vec::new() };
            Some(("BYTES", vec![rows], json.join(","), bytes))
        }
        (PREDICTION, true) => {
            let (json, bytes) = floats(&scores.values);
            Some(("FP32", vec![rows], json, bytes))
        }
        (_, true) => None,
        _ => {
            let (json, bytes) = floats(&scores.values);
            Some(("FP32", vec![rows, scores.outputs], json, bytes))
        }
    }
}

/// What the server is.
pub(super) fn server() -> Value {
    json!({ "name": "sisa", "version": env!("CARGO_PKG_VERSION"), "extensions": ["binary_tensor_data"] })
}

/// What the model is.
pub(super) fn model(name: &str, interface: &Interface) -> Value {
    let datatype = |kind: InputKind| match kind {
        InputKind::Number => "FP32",
        InputKind::Byte => "UINT8",
        _ => "BYTES",
    };
    let inputs: Vec<Value> =
        interface.inputs.iter().map(|(name, kind)| json!({ "name": name, "datatype": datatype(*kind), "shape": [-1] })).collect();
    let classes = interface.classes.len();
    let mut outputs = vec![json!({
        "name": PREDICTION, "datatype": if classes > 0 { "BYTES" } else { "FP32" }, "shape": [-1]
    })];
    if classes > 0 {
        outputs.push(json!({
            "name": PROBABILITIES, "datatype": "FP32", "shape": [-1, classes], "parameters": { "classes": &*interface.classes }
        }));
    }
    json!({
        "name": name, "versions": [interface.epoch.to_string()], "platform": "sisa", "inputs": inputs, "outputs": outputs,
        "parameters": { "label": interface.label }
    })
}
