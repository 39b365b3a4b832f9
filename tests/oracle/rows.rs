//! Raw rows to encoded records: ids to handles, cells to numbers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Handle, Setup, derive, float, handle, int, keyed, number};

/// A row as a source holds it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The cell of the subject column, where there is one.
    pub(crate) subject: Option<String>,
    /// The cells of the record columns; empty when content names the record.
    pub(crate) record: Vec<String>,
    /// Column and text of every other cell that the schema uses.
    pub(crate) cells: Vec<(String, String)>,
    /// The cell of the label.
    pub(crate) label: String,
}

/// A row as slices hold it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) record: Handle,
    pub(super) subject: Handle,
    /// A class index, or the bits of a number.
    pub(super) label: u32,
    pub(super) numbers: Vec<f32>,
    pub(super) categories: Vec<u32>,
    pub(super) bytes: Vec<u8>,
    /// The year and month of the column that cohorts go by; none where it is missing, or there are no cohorts.
    pub(super) month: Option<(u32, u32)>,
}

/// What the columns mean, in their order in `partition.json`.
pub(super) struct Schema {
    /// The class values, or whether a number goes through log1p.
    pub(super) label: Result<Vec<String>, bool>,
    missing: Vec<String>,
    /// The column that cohorts go by.
    cohorts_by: Option<String>,
    pub(super) numbers: Vec<Number>,
    pub(super) categories: Vec<Category>,
    /// Name and scale.
    pub(super) bytes: Vec<(String, f32)>,
}

pub(super) struct Number {
    name: String,
    log1p: bool,
    pub(super) indicator: bool,
    /// Of a date, the first day.
    origin: Option<String>,
}

pub(super) struct Category {
    name: String,
    /// Declared values, or a number of buckets.
    kind: Result<Vec<String>, u32>,
}

impl Category {
    /// How many indices there are: values, other, missing; or buckets, missing.
    pub(super) fn size(&self) -> usize {
        match &self.kind {
            Ok(values) => values.len() + 2,
            Err(buckets) => *buckets as usize + 1,
        }
    }
}

impl Schema {
    pub(super) fn new(partition: &Value) -> Schema {
        let json = &partition["schema"];
        let label = &json["label"];
        let label = match label["kind"].as_str().unwrap() {
            "class" => Ok(strings(&label["values"])),
            "number" => Err(label["log1p"].as_bool().unwrap()),
            other => panic!("label of kind {other}"),
        };
        let mut schema = Schema {
            label,
            missing: strings(&json["missing"]),
            cohorts_by: None,
            numbers: Vec::new(),
            categories: Vec::new(),
            bytes: Vec::new(),
        };
        schema.cohorts_by = partition["cohort"]["column"].as_str().map(str::to_owned);
        for column in json["columns"].as_array().unwrap() {
            let name = column["name"].as_str().unwrap().to_owned();
            let Some((kind, options)) = column["kind"].as_object().and_then(|kind| kind.iter().next()) else {
                assert_eq!(column["kind"], "ignore");
                continue;
            };
            let flag = |option: &str| options[option].as_bool().unwrap();
            match kind.as_str() {
                "number" => {
                    schema.numbers.push(Number { name, log1p: flag("log1p"), indicator: flag("indicator"), origin: None })
                }
                "date" => {
                    let (order, unit) = (&options["order"], &options["unit"]);
                    assert!(
                        order == "year-month-day" && unit == "days" && options["parts"] == serde_json::json!([]),
                        "{options}"
                    );
                    let origin = options["origin"].as_str().unwrap().to_owned();
                    schema.numbers.push(Number { name, log1p: false, indicator: flag("indicator"), origin: Some(origin) });
                }
                "byte" => schema.bytes.push((name, float(&options["scale"]))),
                "values" => schema.categories.push(Category { name, kind: Ok(strings(&options["values"])) }),
                "buckets" => schema.categories.push(Category { name, kind: Err(int(&options["buckets"])) }),
                other => panic!("column of kind {other}"),
            }
        }
        schema
    }

    fn is_missing(&self, text: &str) -> bool {
        self.missing.iter().any(|spelling| spelling == text)
    }

    fn number(&self, text: &str, log1p: bool, origin: Option<&str>) -> f32 {
        if self.is_missing(text) {
            return f32::from_bits(0x7fc0_0000);
        }
        if let Some(origin) = origin {
            return (day(text) - day(origin)) as f32;
        }
        let number: f32 = text.parse().unwrap();
        assert!(number.is_finite(), "{text}");
        // Adding +0.0 turns -0.0 into +0.0 and nothing else into anything else.
        0.0 + if log1p { sisa::num::poly::log1p(number) } else { number }
    }

    fn category(&self, column: &Category, text: &str) -> u32 {
        let missing = self.missing.iter().any(|spelling| spelling == text);
        match &column.kind {
            Ok(values) => match values.iter().position(|value| value.trim_ascii() == text) {
                Some(index) => index as u32,
                None => values.len() as u32 + u32::from(missing),
            },
            Err(buckets) if missing => *buckets,
            Err(buckets) => {
                (number(&keyed(&derive("sisa 1 category bucket", &[]), &[text.as_bytes()])[..8]) % u64::from(*buckets)) as u32
            }
        }
    }

    fn record(&self, row: &Row) -> Record {
        let cell = |name: &str| row.cells.iter().find(|(column, _)| column == name).unwrap().1.trim_ascii();
        let label = row.label.trim_ascii();
        Record {
            record: Handle::default(),
            subject: Handle::default(),
            month: self.cohorts_by.as_deref().map(&cell).filter(|text| !self.is_missing(text)).map(|text| {
                let [year, month, _] = date(text);
                (year, month)
            }),
            label: match &self.label {
                Ok(classes) => classes.iter().position(|class| class.trim_ascii() == label).unwrap() as u32,
                Err(log1p) => self.number(label, *log1p, None).to_bits(),
            },
            numbers: self.numbers.iter().map(|c| self.number(cell(&c.name), c.log1p, c.origin.as_deref())).collect(),
            categories: self.categories.iter().map(|column| self.category(column, cell(&column.name))).collect(),
            bytes: self.bytes.iter().map(|(name, _)| cell(name).parse().unwrap()).collect(),
        }
    }
}

impl Record {
    /// Label, numbers, categories, bytes.
    fn encoded(&self) -> Vec<u8> {
        let mut out = self.label.to_le_bytes().to_vec();
        self.numbers.iter().for_each(|x| out.extend(x.to_bits().to_le_bytes()));
        self.categories.iter().for_each(|x| out.extend(x.to_le_bytes()));
        out.extend(&self.bytes);
        out
    }
}

/// The records of all rows, in the order of the rows.
pub(super) fn encode(setup: &Setup, schema: &Schema, rows: &[Row]) -> Vec<Record> {
    let key = |use_: &str| derive(use_, &[&setup.handle_key]);
    let (subject_key, record_key, content_key) =
        (key("sisa 1 subject handle"), key("sisa 1 record handle"), key("sisa 1 content handle"));
    let mut seen: BTreeMap<(Handle, Vec<u8>), u32> = BTreeMap::new();
    let mut records = Vec::new();
    for row in rows {
        let mut record = schema.record(row);
        let subject = row.subject.as_ref().map(|id| handle(keyed(&subject_key, &[id.trim_ascii().as_bytes()])));
        record.record = if row.record.is_empty() {
            let (subject, encoded) = (subject.unwrap_or_default(), record.encoded());
            let occurrence = seen.entry((subject, encoded.clone())).or_insert(0);
            let name = handle(keyed(&content_key, &[&subject, &occurrence.to_le_bytes(), &encoded]));
            *occurrence += 1;
            name
        } else {
            let mut ids = Vec::new();
            for id in row.record.iter().map(|id| id.trim_ascii().as_bytes()) {
                ids.extend((id.len() as u32).to_le_bytes());
                ids.extend(id);
            }
            handle(keyed(&record_key, &[&ids]))
        };
        // Without a subject each record is its own.
        record.subject = subject.unwrap_or(record.record);
        records.push(record);
    }
    records
}

/// Year, month and day of a date, with or without marks between them.
fn date(text: &str) -> [u32; 3] {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    [&digits[..4], &digits[4..6], &digits[6..]].map(|part| part.parse().unwrap())
}

/// Days of a date since the beginning of the year 1.
fn day(text: &str) -> i64 {
    let [year, month, day] = date(text);
    let leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let of_years: i64 = (1..year).map(|year| 365 + i64::from(leap(year))).sum();
    let february = 28 + i64::from(leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    of_years + lengths[..month as usize - 1].iter().sum::<i64>() + i64::from(day) - 1
}

fn strings(json: &Value) -> Vec<String> {
    json.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}
