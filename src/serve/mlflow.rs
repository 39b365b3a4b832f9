//! MLflow's scoring protocol: `/invocations` with `dataframe_split`, `dataframe_records`, `inputs`, `instances`, or CSV.
//! <https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/>

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use sisa::engine::{Answers, Input};

use super::{
    app::App,
    cells::{self, Fields, Grid, Rows},
    problem::Problem,
    reply::{JSON, Reply},
};

/// The body as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    dataframe_split: Option<Split<'a>>,
    #[serde(borrow)]
    dataframe_records: Option<Vec<Fields<'a>>>,
    #[serde(borrow)]
    inputs: Option<&'a RawValue>,
    #[serde(borrow)]
    instances: Option<&'a RawValue>,
    #[serde(default)]
    params: Option<Params>,
}

/// A data frame as pandas writes it with `orient="split"`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Split<'a> {
    columns: Vec<String>,
    #[serde(borrow)]
    data: Vec<Vec<&'a RawValue>>,
    /// Names of rows, which say nothing.
    #[serde(borrow)]
    #[expect(dead_code, reason = "taken and not used")]
    index: Option<&'a RawValue>,
}

/// How to answer.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    /// Tell the probability of every class.
    #[serde(default)]
    pub(super) proba: bool,
}

const FORMS: &str = "the body must be an object with one of `dataframe_split`, `dataframe_records`, `inputs`, `instances`";

/// The rows of a JSON body, and how they are to be answered.
pub(super) fn read(app: &App, body: &[u8]) -> Result<(Input, Params), Problem> {
    let wrong = |e: serde_json::Error| Problem::input(format!("the body can't be read: {e}"));
    let most = app.config().rows;
    let Body { dataframe_split, dataframe_records, inputs, instances, params } = serde_json::from_slice(body).map_err(wrong)?;
    let grid = match (dataframe_split, dataframe_records, inputs.or(instances)) {
        (Some(split), None, None) => cells::of_lists(split.columns, &split.data, most)?,
        (None, Some(records), None) => cells::of_records(&records, most)?,
        (None, None, Some(tensor)) if inputs.is_none() || instances.is_none() => of_tensor(app, tensor, most)?,
        _ => return Err(Problem::input(FORMS)),
    };
    Ok((Input::new().with(Rows::from(grid)), params.unwrap_or_default()))
}

/// Rows as lists in the order of the model's columns, rows as objects, or columns by name.
fn of_tensor(app: &App, tensor: &RawValue, most: u32) -> Result<Grid, Problem> {
    let wrong = |_| {
        Problem::input(
            "`inputs` and `instances` are a list of rows, each a list in the order of the model's columns or an object; or an object of columns",
        )
    };
    let text = tensor.get();
    if text.starts_with('{') {
        let Fields(columns) = serde_json::from_str(text).map_err(wrong)?;
        let parsed: Result<Vec<Vec<&RawValue>>, _> = columns.iter().map(|(_, cells)| serde_json::from_str(cells.get())).collect();
        let parsed = parsed.map_err(wrong)?;
        let rows = parsed.first().map_or(0, Vec::len);
        if parsed.iter().any(|column| column.len() != rows) {
            return Err(Problem::input("the columns have different numbers of rows; give all the same"));
        }
        let mut grid = Grid::new(columns.iter().map(|(name, _)| name.to_string()).collect(), most);
        for row in 0..rows {
            grid.begin_row()?;
            parsed.iter().filter_map(|column| column.get(row)).try_for_each(|cell| grid.push_json(cell))?;
        }
        return Ok(grid);
    }
    let rows: Vec<&RawValue> = serde_json::from_str(text).map_err(wrong)?;
    if rows.first().is_some_and(|row| row.get().starts_with('{')) {
        let records: Vec<Fields<'_>> = serde_json::from_str(text).map_err(wrong)?;
        return cells::of_records(&records, most);
    }
    let lists: Vec<Vec<&RawValue>> = serde_json::from_str(text).map_err(wrong)?;
    let interface = app.serving.interface().map_err(|e| Problem::of(&e))?;
    let columns = interface.inputs.into_iter().map(|(name, _)| name).collect();
    cells::of_lists(columns, &lists, most)
}

/// The answer: `predictions`, and the snapshot that they stand on.
pub(super) fn write(answers: &Answers, params: Params) -> Reply {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let (outputs, classes) = (answers.scores.outputs.max(1), &answers.classes);
    let names: Vec<String> = classes.iter().map(|class| text(class)).collect();
    let shares: Vec<String> = classes.iter().map(|class| text(&format!("p_{class}"))).collect();
    let mut body = String::with_capacity(64 + answers.scores.values.len() * if params.proba { 16 } else { 8 });
    body.push_str("{\"predictions\":[");
    for (row, values) in answers.scores.values.chunks_exact(outputs).enumerate() {
        if row > 0 {
            body.push(',');
        }
        let Some(class) = answers.scores.classes.get(row) else {
            body.push_str(&values.first().map_or_else(|| "null".to_owned(), |number| float(*number)));
            continue;
        };
        let class = names.get(*class as usize).map_or("null", String::as_str);
        if !params.proba {
            body.push_str(class);
            continue;
        }
        body.push_str("{\"prediction\":");
        body.push_str(class);
        for (name, share) in shares.iter().zip(values) {
            body.push(',');
            body.push_str(name);
            body.push(':');
            body.push_str(&float(*share));
        }
        body.push('}');
    }
    body.push_str("],\"model_version\":");
    body.push_str(&text(&answers.epoch.to_string()));
    body.push_str("}\n");
    Reply::new(StatusCode::OK, JSON, body)
}

/// The shortest digits that are this float again; JSON has no word for what is no number.
pub(super) fn float(value: f32) -> String {
    if value.is_finite() { value.to_string() } else { "null".into() }
}
