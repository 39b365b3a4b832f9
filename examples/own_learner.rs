//! A learner of one's own in Rust: the nearest of the means of all classes. The same program trains with itself as the worker, deletes a
//! person, and checks every byte.
//!
//! ```text
//! cargo run --release --no-default-features --example own_learner
//! ```
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example prints, and writes and removes files of its own"
)]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a worker that is asked something else should stop: its end is an error"
)]

use std::{
    collections::BTreeMap,
    io::{Read, Write, stdin, stdout},
};

use sisa::{DeleteRequest, Engine, Input, MemoryTable, Quiet, TrainRequest, VerifyRequest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return worker();
    }
    let root = std::env::temp_dir().join(format!("sisa-own-{}", std::process::id()));
    std::fs::create_dir_all(&root)?;
    let program = std::env::current_exe()?;
    let (program, learner) = (program.display(), "kind = \"external\"\nname = \"means\"\nbatch = 64");
    let config = format!(
        "[data]\nsubject = \"person\"\n[label]\ncolumn = \"sick\"\nvalues = [\"no\", \"yes\"]\n[columns]\nage = \"number\"\nheight = \
         \"number\"\n[shards]\nshards = 2\nslices = 3\n[learner]\n{learner}\ncommand = [\"{program}\", \"worker\"]\ncode = [\"{program}\"]\n"
    );
    std::fs::write(root.join("sisa.toml"), config)?;
    let visits = 0..600_u32;
    let table = MemoryTable::new("visits")
        .column("person", visits.clone().map(|i| format!("p{}", i % 150)).collect::<Vec<_>>())
        .column("age", visits.clone().map(|i| (18 + i * 7 % 60) as f32).collect::<Vec<_>>())
        .column("height", visits.clone().map(|i| (150 + i * 11 % 50) as f32).collect::<Vec<_>>())
        .column("sick", visits.map(|i| if i * 7 % 60 > 30 { "yes" } else { "no" }.to_owned()).collect::<Vec<_>>());
    let engine = Engine::open(&root)?;
    let trained = engine.train(&TrainRequest { sources: Input::new().with(table), ..TrainRequest::default() }, &Quiet)?;
    println!("trained {} steps", trained.report.shards.iter().map(|s| s.steps).sum::<u32>());

    // Bringing a deletion into effect starts no worker; training what remains does.
    let request = DeleteRequest { subjects: vec!["p7".into()], ..DeleteRequest::default() };
    let deleted = engine.delete(&request, &Quiet, |accepted, effective, _| {
        println!("{} is in effect after {:.1} ms", accepted.request, 1e3 * effective.seconds);
    })?;
    println!("repaired: {}", deleted.repair.is_some_and(|r| r.complete));
    let verdict = engine.verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet)?;
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    println!("{} steps trained again, not a byte differs", verdict.retrained);
    std::fs::remove_dir_all(&root)?;
    Ok(())
}

/// Frames in, frames out (docs/OWN-MODELS.md), until there are no more.
fn worker() -> Result<(), Box<dyn std::error::Error>> {
    let (mut stdin, mut stdout) = (stdin().lock(), stdout().lock());
    let (mut numbers, mut classes) = (0, 0);
    let (mut state, mut states) = (Vec::new(), BTreeMap::new());
    let mut head = [0; 9];
    while stdin.read_exact(&mut head).is_ok() {
        let mut payload = vec![0; u64::from_le_bytes(head[1..].try_into()?) as usize];
        stdin.read_exact(&mut payload)?;
        let (kind, answer) = match head[0] {
            b'H' => {
                let hello: serde_json::Value = serde_json::from_slice(&payload)?;
                let int = |name: &str| hello[name].as_u64().unwrap() as usize;
                (numbers, classes) = (int("numbers"), int("outputs"));
                (b'R', b"{\"environment\": {}}".to_vec())
            }
            // The state: for each class how many rows, and the sum of each number. In f64 and in the order of the visits: the same bits.
            b'I' => (b'S', vec![0; 8 * classes * (1 + numbers)]),
            b'T' => {
                state = floats(&payload[48..]);
                (b'K', Vec::new())
            }
            b'B' => {
                let (rows, labels) = rows(&payload, numbers);
                for (row, label) in rows.iter().zip(labels) {
                    let own = &mut state[label * (1 + numbers)..][..1 + numbers];
                    own[0] += 1.0;
                    own[1..].iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
                }
                (b'K', Vec::new())
            }
            b'E' => (b'S', state.iter().flat_map(|x| x.to_le_bytes()).collect()),
            b'L' => {
                states.insert(payload[..4].to_vec(), floats(&payload[4..]));
                (b'K', Vec::new())
            }
            b'Q' => {
                let means = &states[&payload[..4]];
                let (rows, _) = rows(&payload[4..], numbers);
                let scores = rows.iter().flat_map(|row| nearness(means, row));
                (b'P', scores.flat_map(|score| (score as f32).to_le_bytes()).collect())
            }
            other => (b'X', format!("a frame {:?} is not known here", char::from(other)).into_bytes()),
        };
        stdout.write_all(&[&[kind][..], &(answer.len() as u64).to_le_bytes(), &answer].concat())?;
        stdout.flush()?;
    }
    Ok(())
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(8).map(|x| f64::from_le_bytes(x.try_into().unwrap())).collect()
}

/// The numbers of each row, and the labels if there are any; there are no other columns here.
fn rows(payload: &[u8], numbers: usize) -> (Vec<Vec<f32>>, Vec<usize>) {
    let count = u32::from_le_bytes(payload[..4].try_into().unwrap()) as usize;
    let words: Vec<u32> = payload[8..].chunks_exact(4).map(|x| u32::from_le_bytes(x.try_into().unwrap())).collect();
    let (values, labels) = words.split_at(count * numbers);
    let rows = values.chunks_exact(numbers).map(|row| row.iter().map(|x| f32::from_bits(*x)).collect()).collect();
    (rows, labels.iter().map(|label| *label as usize).collect())
}

/// Shares by how near a row is to the mean of each class.
fn nearness(means: &[f64], row: &[f32]) -> Vec<f64> {
    let of = |class: &[f64]| {
        let away = class[1..].iter().zip(row).map(|(sum, x)| sum / class[0].max(1.0) - f64::from(*x));
        1.0 / (1.0 + away.map(|x| x * x).fold(0.0, |all, x| all + x))
    };
    let near: Vec<f64> = means.chunks_exact(1 + row.len()).map(of).collect();
    let all = near.iter().fold(0.0, |all, x| all + x);
    near.into_iter().map(|x| x / all).collect()
}
