//! Every protocol of the service says what `sisa predict --proba` says, to the bit, of all rows of the embedded data and of tables as
//! people have them.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests read tables by hand, and stop at what they do not expect"
)]

mod service;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json, value::RawValue};
use service::{Client, Service};
use sisa::{
    config::Config,
    engine::{Batch, Engine, Error, Files, Input, KeySource, Overrides, Quiet, RealDisk, TrainRequest},
};

/// A table as its cells, in the names of its columns.
struct Cells {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

fn cells(root: &Path, input: &Input) -> Cells {
    let config = Config::read(&Files::new(std::sync::Arc::new(RealDisk::new())), &root.join("sisa.toml")).unwrap();
    let (mut found, mut batch) = (Cells { columns: Vec::new(), rows: Vec::new() }, Batch::new());
    for mut source in input.open(&config.form()).unwrap() {
        found.columns = source.columns().to_vec();
        while source.next(&mut batch).unwrap() > 0 {
            for row in 0..batch.rows() {
                found.rows.push((0..found.columns.len()).map(|column| batch.cell(row, column).to_string()).collect());
            }
        }
    }
    found
}

/// What is predicted, as bits: of a class its name and the share of each, of a number itself.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    class: Option<String>,
    bits: Vec<u32>,
}

fn expected(engine: &Engine, input: &Input) -> Vec<Answer> {
    let answers = engine.scores(input, &Quiet).unwrap();
    let rows = answers.scores.values.chunks_exact(answers.scores.outputs).enumerate();
    rows.map(|(row, values)| Answer {
        class: answers.scores.classes.get(row).map(|class| answers.classes[*class as usize].clone()),
        bits: values.iter().map(|value| value.to_bits()).collect(),
    })
    .collect()
}

/// The bits of a number in JSON, by its digits.
fn bits(number: &RawValue) -> u32 {
    number.get().parse::<f32>().unwrap().to_bits()
}

/// What `/invocations` told.
fn of_invocations(body: &[u8], classes: &[String]) -> Vec<Answer> {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        predictions: Vec<&'a RawValue>,
    }
    let body: Body<'_> = serde_json::from_slice(body).unwrap();
    let one = |prediction: &&RawValue| {
        if classes.is_empty() {
            return Answer { class: None, bits: vec![bits(prediction)] };
        }
        let fields: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(prediction.get()).unwrap();
        Answer {
            class: serde_json::from_str(fields["prediction"].get()).unwrap(),
            bits: classes.iter().map(|class| bits(fields[&format!("p_{class}")])).collect(),
        }
    };
    body.predictions.iter().map(one).collect()
}

/// What `infer` told in JSON.
fn of_infer(body: &[u8]) -> Vec<Answer> {
    #[derive(serde::Deserialize)]
    struct Output<'a> {
        name: String,
        shape: Vec<usize>,
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
    }
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        outputs: Vec<Output<'a>>,
    }
    let body: Body<'_> = serde_json::from_slice(body).unwrap();
    assert_eq!(body.outputs[0].name, "prediction");
    match body.outputs.get(1) {
        None => body.outputs[0].data.iter().map(|d| Answer { class: None, bits: vec![bits(d)] }).collect(),
        Some(shares) => {
            assert_eq!((shares.name.as_str(), shares.shape[0]), ("probabilities", body.outputs[0].data.len()));
            let rows = body.outputs[0].data.iter().zip(shares.data.chunks_exact(shares.shape[1]));
            rows.map(|(class, shares)| Answer {
                class: serde_json::from_str(class.get()).unwrap(),
                bits: shares.iter().map(|share| bits(share)).collect(),
            })
            .collect()
        }
    }
}

/// What `infer` told in bytes.
fn of_bytes(reply: &service::Reply) -> Vec<Answer> {
    let json: usize = reply.header("inference-header-content-length").unwrap().parse().unwrap();
    let (head, mut rest) = reply.body.split_at(json);
    let head: Value = serde_json::from_slice(head).unwrap();
    let mut take = |output: &Value| {
        let (own, after) = rest.split_at(output["parameters"]["binary_data_size"].as_u64().unwrap() as usize);
        rest = after;
        own.to_vec()
    };
    let floats = |bytes: &[u8]| bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>();
    let outputs = head["outputs"].as_array().unwrap();
    let first = take(&outputs[0]);
    let Some(second) = outputs.get(1) else {
        return floats(&first).into_iter().map(|bits| Answer { class: None, bits: vec![bits] }).collect();
    };
    let shares = floats(&take(second));
    let width = second["shape"][1].as_u64().unwrap() as usize;
    let (mut names, mut left) = (Vec::new(), first.as_slice());
    while let Some((length, after)) = left.split_first_chunk::<4>() {
        let (name, after) = after.split_at(u32::from_le_bytes(*length) as usize);
        names.push(String::from_utf8(name.to_vec()).unwrap());
        left = after;
    }
    let rows = names.into_iter().zip(shares.chunks_exact(width));
    rows.map(|(class, shares)| Answer { class: Some(class), bits: shares.to_vec() }).collect()
}

/// A request of tensors: all as text, or numbers as the digits that they have.
fn tensors(client: &mut Client, table: &Cells) -> Value {
    let metadata = client.get("/v2/models/sisa").is(200).json();
    let inputs = metadata["inputs"].as_array().unwrap();
    let one = |input: &Value| {
        let at = table.columns.iter().position(|column| input["name"] == column.as_str()).unwrap();
        let data: Vec<Value> = table.rows.iter().map(|row| json!(row[at])).collect();
        json!({ "name": input["name"], "datatype": "BYTES", "shape": [table.rows.len()], "data": data })
    };
    json!({ "id": "7", "inputs": inputs.iter().map(one).collect::<Vec<_>>() })
}

/// The same with its tensors as bytes.
fn as_bytes(request: &Value) -> (usize, Vec<u8>) {
    let (mut request, mut bytes) = (request.clone(), Vec::new());
    for input in request["inputs"].as_array_mut().unwrap() {
        let before = bytes.len();
        for text in input["data"].as_array().unwrap() {
            let text = text.as_str().unwrap().as_bytes();
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text);
        }
        input["parameters"] = json!({ "binary_data_size": bytes.len() - before });
        input.as_object_mut().unwrap().remove("data");
    }
    request["parameters"] = json!({ "binary_data_output": true });
    let head = request.to_string().into_bytes();
    (head.len(), [head, bytes].concat())
}

/// Asks for all rows of a table in every protocol.
fn compare(root: &Path, table: &Path, text: &[u8], what: &str) -> usize {
    let engine = Engine::builder(root).threads(2).wait(true).open().unwrap();
    let input = Input::from(table);
    let expected = expected(&engine, &input);
    let classes = engine.serving().unwrap().interface().unwrap().classes;
    let rows = cells(root, &input);
    assert_eq!(expected.len(), rows.rows.len());
    let service = Service::start(root, &[]);
    let mut client = service.client();
    let csv = client.csv("/invocations?proba=1", text).is(200);
    assert_eq!(of_invocations(&csv.body, &classes), expected, "{what}: CSV");
    let split = json!({ "dataframe_split": { "columns": rows.columns, "data": rows.rows }, "params": { "proba": true } });
    let split = client.post("/invocations", &split.to_string()).is(200);
    assert_eq!(of_invocations(&split.body, &classes), expected, "{what}: dataframe_split");
    let records: Vec<Value> = rows
        .rows
        .iter()
        .map(|row| rows.columns.iter().zip(row).map(|(c, v)| (c.clone(), json!(v))).collect::<serde_json::Map<_, _>>().into())
        .collect();
    for name in ["dataframe_records", "inputs", "instances"] {
        let body = json!({ name: records, "params": { "proba": true } });
        let reply = client.post("/invocations", &body.to_string()).is(200);
        assert_eq!(of_invocations(&reply.body, &classes), expected, "{what}: {name}");
    }
    let request = tensors(&mut client, &rows);
    let infer = client.post("/v2/models/sisa/infer", &request.to_string()).is(200);
    assert_eq!(infer.json()["id"], "7");
    assert_eq!(of_infer(&infer.body), expected, "{what}: infer");
    let (json, body) = as_bytes(&request);
    let length = json.to_string();
    let headers = [("content-type", "application/octet-stream"), ("inference-header-content-length", length.as_str())];
    let reply = client.ask("POST", "/v2/models/sisa/infer", &headers, &body).unwrap().is(200);
    assert_eq!(of_bytes(&reply), expected, "{what}: infer in bytes");
    let epoch = reply.header("x-sisa-epoch").unwrap().to_owned();
    client.post(&format!("/v2/models/sisa/versions/{epoch}/infer"), &request.to_string()).is(200);
    client.post("/v2/models/sisa/versions/g0001.0.1/infer", &request.to_string()).is(404);
    expected.len()
}

#[test]
fn all_rows_of_the_embedded_data() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for learner in ["mlp", "forest"] {
        let folder = tempfile::tempdir().unwrap();
        fs::copy(root.join("sisa.toml"), folder.path().join("sisa.toml")).unwrap();
        let table = root.join("data/health_visits.csv.gz");
        let request = TrainRequest {
            sources: table.clone().into(),
            config: folder.path().join("sisa.toml"),
            overrides: Overrides { learner: Some(learner.into()), ..Overrides::default() },
            keys: KeySource::Seed(1),
            only_shards: None,
            fresh: false,
        };
        assert!(Engine::builder(folder.path()).threads(2).open().unwrap().train(&request, &Quiet).unwrap().complete);
        // A body that is gzipped as the file is, and read as such.
        assert_eq!(compare(folder.path(), &table, &fs::read(&table).unwrap(), learner), 20_190);
    }
}

#[test]
fn all_rows_of_tables_as_people_have_them() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases");
    let mut names: Vec<PathBuf> = fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut compared = Vec::new();
    for case in names {
        let Some(table) = ["t.csv", "t.csv.gz"].map(|name| case.join(name)).into_iter().find(|path| path.exists()) else {
            continue;
        };
        for label in ["churned", "target", "label", "y", "quality", "income", "rate", "price"] {
            let folder = tempfile::tempdir().unwrap();
            let engine = Engine::builder(folder.path()).threads(2).open().unwrap();
            let mut request = TrainRequest {
                sources: table.clone().into(),
                config: folder.path().join("sisa.toml"),
                overrides: Overrides { label: Some(label.into()), ..Overrides::default() },
                keys: KeySource::Seed(1),
                only_shards: None,
                fresh: false,
            };
            let trained = match engine.train(&request, &Quiet) {
                Err(Error::NoIds { .. }) => {
                    request.overrides.no_ids = true;
                    engine.train(&request, &Quiet)
                }
                other => other,
            };
            if !trained.is_ok_and(|report| report.complete) {
                continue;
            }
            let name = case.file_name().unwrap().to_str().unwrap().to_owned();
            // Some tables are there because of a row that can't be answered.
            if engine.scores(&Input::from(table.as_path()), &Quiet).is_ok() {
                compare(folder.path(), &table, &fs::read(&table).unwrap(), &name);
                compared.push(name);
            }
            break;
        }
    }
    assert!(compared.len() >= 10, "{compared:?}");
}
