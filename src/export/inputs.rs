//! Declared columns as inputs of a graph, and cells as the engine encodes them.
//!
//! A number is f32, NaN where it is missing; a date is f64, seconds since 1970-01-01 in UTC; categories and booleans are text; all byte
//! columns are one matrix, and so are the numbers of an embedding. What the engine would refuse has to be something here: it counts as missing.

use serde::Serialize;

use super::graph::{Attr, Elem, Graph, Value};
use super::{ExportError, date};
use crate::schema::{BOOLEANS, Column, Kind, Schema};

/// The name of the matrix of byte columns.
const BYTES: &str = "bytes";

/// One input, as the facts tell it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Described {
    /// Its name in the graph.
    name: String,
    /// The columns that it has.
    columns: Vec<String>,
    /// What its cells are.
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The columns of rows.
pub(super) struct Inputs {
    /// What is asked for.
    pub(super) described: Vec<Described>,
    /// Numbers as they are given (`rows x numbers`, f32, NaN where missing); none without such columns.
    pub(super) given: Option<Value>,
    /// The same as they are stored.
    pub(super) stored: Option<Value>,
    /// Which are missing.
    pub(super) missing: Option<Value>,
    /// Which of them are stored as ln(1 + x).
    pub(super) log1p: Vec<bool>,
    /// `rows x byte columns`, u8.
    pub(super) bytes: Option<Value>,
    /// For each category column the index of its value (`rows`, i64).
    pub(super) categories: Vec<Value>,
}

/// A number column on its way.
struct Numbers {
    cells: Vec<Value>,
    log1p: Vec<bool>,
    /// For each column the numbers that spell a missing value.
    spelled: Vec<Vec<f32>>,
}

impl Inputs {
    /// The inputs that a schema asks for.
    pub(super) fn of(graph: &mut Graph, schema: &Schema) -> Result<Inputs, ExportError> {
        let mut numbers = Numbers { cells: Vec::new(), log1p: Vec::new(), spelled: Vec::new() };
        let (mut described, mut categories) = (Vec::new(), Vec::new());
        let bytes = bytes(graph, schema, &mut described);
        for column in &schema.columns {
            let spellings = column.missing.as_ref().unwrap_or(&schema.missing);
            let describe = |value: &Value, kind| Described { name: value.name(), columns: vec![column.name.clone()], kind };
            match &column.kind {
                Kind::Number { log1p, .. } => {
                    let value = graph.input(&column.name, Elem::F32, None);
                    described.push(describe(&value, "float32"));
                    numbers.cells.push(graph.column(&value));
                    numbers.log1p.push(*log1p);
                    numbers.spelled.push(spelled(spellings));
                }
                Kind::Date { unit, origin, parts, .. } => {
                    let value = graph.input(&column.name, Elem::F64, None);
                    described.push(describe(&value, "float64, seconds since 1970-01-01 in UTC"));
                    let moment = date::Moment::of(graph, &value);
                    let number = moment.number(graph, *unit, origin);
                    numbers.cells.push(graph.column(&number));
                    numbers.log1p.push(false);
                    numbers.spelled.push(Vec::new());
                    categories.extend(parts.iter().map(|part| moment.part(graph, *part)));
                }
                Kind::Embedding { size, .. } => {
                    let value = graph.input(&column.name, Elem::F32, Some(*size as usize));
                    let columns = column.sources().map(std::borrow::Cow::into_owned).collect();
                    described.push(Described { name: value.name(), columns, kind: "float32" });
                    numbers.cells.push(value);
                    numbers.log1p.extend((0..*size).map(|_| false));
                    numbers.spelled.extend((0..*size).map(|_| spelled(spellings)));
                }
                Kind::Values { values } => {
                    let value = graph.input(&column.name, Elem::Text, None);
                    described.push(describe(&value, "string"));
                    let named: Vec<(String, i64)> = values.iter().map(|v| v.trim_ascii().to_owned()).zip(0..).collect();
                    categories.push(look_up(graph, &value, named, spellings, values.len() as i64 + 1, values.len() as i64));
                }
                Kind::Boolean => {
                    let value = graph.input(&column.name, Elem::Text, None);
                    described.push(describe(&value, "string"));
                    categories.push(boolean(graph, &value, spellings));
                }
                Kind::Buckets { .. } => return Err(ExportError::Buckets { column: column.name.clone() }),
                Kind::Byte { .. } | Kind::Ignore => {}
            }
        }
        let [given, stored, missing] = numbers.written(graph);
        Ok(Inputs { described, given, stored, missing, log1p: numbers.log1p, bytes, categories })
    }
}

/// All byte columns as one matrix.
fn bytes(graph: &mut Graph, schema: &Schema, described: &mut Vec<Described>) -> Option<Value> {
    let is_byte = |column: &&Column| matches!(column.kind, Kind::Byte { .. });
    let columns: Vec<String> = schema.columns.iter().filter(is_byte).map(|column| column.name.clone()).collect();
    (!columns.is_empty()).then(|| {
        let value = graph.input(BYTES, Elem::U8, Some(columns.len()));
        described.push(Described { name: value.name(), columns, kind: "uint8" });
        value
    })
}

/// The numbers that, spelled as the engine spells them, are among the spellings of a missing value.
fn spelled(spellings: &[String]) -> Vec<f32> {
    let number = |text: &String| text.parse::<f32>().ok().filter(|x| x.is_finite() && x.to_string() == *text);
    spellings.iter().filter_map(number).collect()
}

impl Numbers {
    /// The columns as they are given, as they are stored, and which cells are missing.
    fn written(&self, graph: &mut Graph) -> [Option<Value>; 3] {
        if self.cells.is_empty() {
            return [None, None, None];
        }
        let cells = graph.concat(&self.cells.iter().collect::<Vec<_>>());
        let (nan, infinite) = (graph.op("IsNaN", &[&cells]), graph.op("IsInf", &[&cells]));
        let mut missing = graph.op("Or", &[&nan, &infinite]);
        let width = self.log1p.len();
        for round in 0..self.spelled.iter().map(Vec::len).max().unwrap_or(0) {
            let of_columns: Vec<f32> = self.spelled.iter().map(|s| s.get(round).copied().unwrap_or(f32::NAN)).collect();
            let of_columns = graph.constant(&[1, width], &of_columns);
            let equal = graph.op("Equal", &[&cells, &of_columns]);
            missing = graph.op("Or", &[&missing, &equal]);
        }
        let logs = self.log1p.iter().any(|log1p| *log1p).then(|| graph.constant(&[1, width], &self.log1p));
        if let Some(logs) = &logs {
            let least = graph.scalar(-1.0_f32);
            let low = graph.op("LessOrEqual", &[&cells, &least]);
            let low = graph.op("And", &[logs, &low]);
            missing = graph.op("Or", &[&missing, &low]);
        }
        let nan = graph.scalar(f32::NAN);
        let given = graph.op("Where", &[&missing, &nan, &cells]);
        let stored = match &logs {
            None => given.clone(),
            Some(logs) => {
                let wide = graph.cast(&given, Elem::F64);
                let one = graph.scalar(1.0_f64);
                let more = graph.op("Add", &[&wide, &one]);
                let log = graph.op("Log", &[&more]);
                let log = graph.cast(&log, Elem::F32);
                graph.op("Where", &[logs, &log, &given])
            }
        };
        [Some(given), Some(stored), Some(missing)]
    }
}

/// The index of a text among those that are named; spellings of a missing value come after them.
fn look_up(
    graph: &mut Graph,
    value: &Value,
    mut named: Vec<(String, i64)>,
    spellings: &[String],
    missing: i64,
    other: i64,
) -> Value {
    for spelling in spellings {
        if named.iter().all(|(name, _)| name != spelling) {
            named.push((spelling.clone(), missing));
        }
    }
    let keys: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<i64> = named.iter().map(|(_, index)| *index).collect();
    let attributes =
        [("default_int64", Attr::Int(other)), ("keys_strings", Attr::Texts(&keys)), ("values_int64s", Attr::Ints(&values))];
    graph.op_with("LabelEncoder", &[value], &attributes)
}

/// No, yes or missing: every spelling in capitals or not, as there is no operator for small letters that takes a column.
fn boolean(graph: &mut Graph, value: &Value, spellings: &[String]) -> Value {
    // A spelling of a missing value wins.
    let mut named: Vec<(String, i64)> = Vec::new();
    for (index, words) in (0..).zip(BOOLEANS) {
        for word in words {
            let letters: Vec<usize> = word.char_indices().filter(|(_, c)| c.is_ascii_lowercase()).map(|(at, _)| at).collect();
            for capitals in 0..1_u32 << letters.len() {
                let capital = |at: &usize| letters.iter().position(|l| l == at).is_some_and(|bit| capitals >> bit & 1 == 1);
                let spelled = |(at, c): (usize, char)| if capital(&at) { c.to_ascii_uppercase() } else { c };
                let spelled: String = word.char_indices().map(spelled).collect();
                if !spellings.contains(&spelled) {
                    named.push((spelled, index));
                }
            }
        }
    }
    look_up(graph, value, named, spellings, 2, 2)
}
