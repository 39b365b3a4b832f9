//! Records to cells, and the file of a cell.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Setup, derive, draw, int, keyed,
    rows::{Record, Schema},
};

/// The records of every cell (shard from 0; slice from 1, 0 is the held-out part), ascending by record handle.
///
/// `records` come with the slice that those of their batch go to, if it is not that of their hash.
pub(super) fn place(
    setup: &Setup,
    partition: &Value,
    steps: u32,
    records: Vec<(Option<u32>, Record)>,
) -> BTreeMap<(u32, u32), Vec<Record>> {
    let (shards, slices) = (int(&partition["shards"]), int(&partition["slices"]));
    let held_out_below = (partition["holdout"].as_f64().unwrap() * 18_446_744_073_709_551_616.0).floor() as u64;
    let shard_key = derive("sisa 1 shard", &[&setup.model_key]);
    let slice_key = derive("sisa 1 slice", &[&setup.model_key]);
    let holdout_key = derive("sisa 1 holdout", &[&setup.handle_key]);
    let mut cells: BTreeMap<(u32, u32), Vec<Record>> = BTreeMap::new();
    for shard in 0..blocks(partition) * shards {
        for part in 0..=steps {
            cells.insert((shard, part), Vec::new());
        }
    }
    for (own, record) in records {
        let of = |key: &[u8; 32]| draw(key, record.subject);
        let shard = block(partition, &record) * shards + (of(&shard_key) % u64::from(shards)) as u32;
        let slice = 1 + (of(&slice_key) % u64::from(slices)) as u32;
        let part = if of(&holdout_key) < held_out_below { 0 } else { own.unwrap_or(slice) };
        cells.get_mut(&(shard, part)).unwrap().push(record);
    }
    for rows in cells.values_mut() {
        rows.sort_by_key(|row| row.record);
        assert!(rows.windows(2).all(|pair| pair[0].record < pair[1].record), "two rows have one record id");
    }
    cells
}

/// How many blocks of shards there are: one for each cohort, and one for the records of none.
pub(super) fn blocks(partition: &Value) -> u32 {
    let cohort = &partition["cohort"];
    if cohort.is_null() { 1 } else { (int(&cohort["to"]) + 1 - int(&cohort["from"])) * months(cohort) + 1 }
}

/// Cohorts of a year.
fn months(cohort: &Value) -> u32 {
    match cohort["unit"].as_str().unwrap() {
        "year" => 1,
        "month" => 12,
        other => panic!("cohorts by {other}"),
    }
}

/// The block of a record.
fn block(partition: &Value, record: &Record) -> u32 {
    let cohort = &partition["cohort"];
    if cohort.is_null() {
        return 0;
    }
    let (from, to) = (int(&cohort["from"]), int(&cohort["to"]));
    match record.month {
        Some((year, month)) if (from..=to).contains(&year) => {
            (year - from) * months(cohort) + if months(cohort) == 12 { month - 1 } else { 0 }
        }
        _ => blocks(partition) - 1,
    }
}

/// What follows the first slices once there are so many batches: the first and the last batch of each slice. Batch after batch becomes a
/// slice, and as many last ones of one size as `base` become one.
pub(super) fn later(batches: u32, base: usize) -> Vec<(u32, u32)> {
    let mut slices: Vec<(u32, u32)> = Vec::new();
    for batch in 2..=batches {
        slices.push((batch, batch));
        loop {
            let size = |slice: &(u32, u32)| slice.1 - slice.0 + 1;
            let alike = slices.iter().rev().take_while(|slice| size(slice) == size(&slices[slices.len() - 1])).count();
            if alike < base {
                break;
            }
            let joined = (slices[slices.len() - base].0, batch);
            slices.truncate(slices.len() - base);
            slices.push(joined);
        }
    }
    slices
}

/// The file of a cell: the table at the top of the engine's slice format.
pub(super) fn file(
    setup: &Setup,
    schema: &Schema,
    shard: u32,
    (part, batches): (u32, Option<(u32, u32)>),
    rows: &[Record],
) -> Vec<u8> {
    let mut file = b"\x89SISASL\n".to_vec();
    for field in [if batches.is_some() { 2 } else { 1 }, shard, part, u32::from(schema.label.is_err())] {
        file.extend(field.to_le_bytes());
    }
    file.extend((rows.len() as u64).to_le_bytes());
    for field in [schema.numbers.len(), schema.categories.len(), schema.bytes.len(), 0] {
        file.extend((field as u32).to_le_bytes());
    }
    file.resize(80, 0);
    if let Some((first, last)) = batches {
        file.extend([first.to_le_bytes(), last.to_le_bytes()].concat());
    }
    file.resize(128, 0);
    let mut section = |bytes: &dyn Fn(&Record) -> Vec<u8>| {
        rows.iter().for_each(|row| file.extend(bytes(row)));
        file.resize(file.len().next_multiple_of(64), 0);
    };
    section(&|row| row.record.to_vec());
    section(&|row| row.subject.to_vec());
    section(&|row| row.label.to_le_bytes().to_vec());
    section(&|row| row.numbers.iter().flat_map(|x| x.to_bits().to_le_bytes()).collect());
    section(&|row| row.categories.iter().flat_map(|x| x.to_le_bytes()).collect());
    section(&|row| row.bytes.clone());
    let key = derive("sisa 1 slice content", &[&setup.model_key]);
    let digest = keyed(&key, &[&file[..48], &file[80..]]);
    file[48..80].copy_from_slice(&digest);
    file
}

/// The content digest that a file states.
pub(super) fn content(file: &[u8]) -> &[u8] {
    &file[48..80]
}
