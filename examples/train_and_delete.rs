//! Trains on a table, deletes a person exactly, and checks that every file is as if the person had never been there.
//!
//! ```text
//! cargo run --release --no-default-features --example train_and_delete
//! ```
#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example prints, and removes the folder that it made")]

use sisa::{DeleteRequest, Engine, Input, MemoryTable, Overrides, Quiet, TrainRequest, VerifyRequest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::temp_dir().join(format!("sisa-example-{}", std::process::id()));
    let engine = Engine::open(&root)?;

    // 1,000 visits of 250 persons. The rows could as well come from files: `Input::from(vec!["visits.csv"])`.
    let visits = 0..1000_u32;
    let table = MemoryTable::new("visits")
        .column("person", visits.clone().map(|i| format!("p{}", i % 250)).collect::<Vec<_>>())
        .column("age", visits.clone().map(|i| (18 + i * 7 % 60) as f32).collect::<Vec<_>>())
        .column("sick", visits.map(|i| if i * 7 % 60 > 30 { "yes" } else { "no" }.to_owned()).collect::<Vec<_>>());

    // A configuration is proposed and written to `sisa.toml` in the workspace; it is yours from then on.
    let trained = engine.train(
        &TrainRequest {
            sources: Input::new().with(table),
            overrides: Overrides { label: Some("sick".into()), subject: Some("person".into()), ..Overrides::default() },
            ..TrainRequest::default()
        },
        &Quiet,
    )?;
    println!("trained {} steps", trained.report.shards.iter().map(|s| s.steps).sum::<u32>());

    // In effect before anything is trained again: from then on nothing that saw the person answers.
    let request = DeleteRequest { subjects: vec!["p7".into()], ..DeleteRequest::default() };
    let deleted = engine.delete(&request, &Quiet, |accepted, effective, _| {
        println!("{} is in effect after {:.1} ms", accepted.request, 1e3 * effective.seconds);
    })?;
    println!("repaired: {}", deleted.repair.is_some_and(|r| r.complete));

    // Everything is trained again elsewhere from what remains, and every byte is compared.
    let verdict = engine.verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet)?;
    assert!(verdict.findings.is_empty(), "{:?}", verdict.findings);
    println!("{} steps trained again, not a byte differs", verdict.retrained);
    std::fs::remove_dir_all(&root)?;
    Ok(())
}
