//! Answers in a loop from an ensemble that stays loaded, while another process deletes persons from the same workspace.
//!
//! The other process is this program, started again. No lock is shared: the serving side looks at the ledger before and
//! after each answer, loads what changed, and says which entry of the ledger an answer stands on.
//!
//! ```text
//! cargo run --release --no-default-features --example serve_while_deleting
//! ```
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example prints, and removes the folder that it made")]

use std::{error::Error, path::PathBuf, process::Command};

use sisa::{DeleteRequest, Engine, Input, MemoryTable, Overrides, Quiet, TrainRequest};

/// `visits` rows, with or without labels.
fn table(visits: u32, labels: bool) -> MemoryTable {
    let table = MemoryTable::new("visits")
        .column("person", (0..visits).map(|i| format!("p{}", i % 250)).collect::<Vec<_>>())
        .column("age", (0..visits).map(|i| (18 + i * 7 % 60) as f32).collect::<Vec<_>>());
    if !labels {
        return table;
    }
    table.column("sick", (0..visits).map(|i| if i * 7 % 60 > 30 { "yes" } else { "no" }.to_owned()).collect::<Vec<_>>())
}

/// The other process: deletes five persons, one after the other.
fn delete(root: PathBuf) -> Result<(), Box<dyn Error>> {
    let engine = Engine::builder(root).wait(true).open()?;
    for person in 0..5 {
        let request = DeleteRequest { subjects: vec![format!("p{person}")], ..DeleteRequest::default() };
        engine.delete(&request, &Quiet, |accepted, _, _| println!("{} is in effect", accepted.request))?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(root) = std::env::args_os().nth(1) {
        return delete(root.into());
    }
    let root = std::env::temp_dir().join(format!("sisa-serving-{}", std::process::id()));
    let engine = Engine::open(&root)?;
    let request = TrainRequest {
        sources: Input::new().with(table(1000, true)),
        overrides: Overrides { label: Some("sick".into()), subject: Some("person".into()), ..Overrides::default() },
        ..TrainRequest::default()
    };
    engine.train(&request, &Quiet)?;

    let serving = engine.serving()?;
    let question = Input::new().with(table(3, false));
    let mut other = Command::new(std::env::current_exe()?).arg(&root).spawn()?;
    let (mut answers, mut stood_on) = (0_u64, None);
    while other.try_wait()?.is_none() {
        match serving.scores(&question, &Quiet) {
            Ok(answer) => {
                answers += 1;
                if stood_on.as_ref() != Some(&answer.epoch) {
                    println!("answers stand on {}: {:?}", answer.epoch, answer.scores.classes);
                    stood_on = Some(answer.epoch);
                }
            }
            // An accepted request is not in effect yet: nothing may answer for a moment.
            Err(e) if e.kind() == sisa::ErrorKind::Retry => {}
            Err(e) => return Err(e.into()),
        }
    }
    println!("{answers} answers while another process deleted");
    std::fs::remove_dir_all(&root)?;
    Ok(())
}
