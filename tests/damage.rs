//! Damage is seen: every byte of every file of a small workspace, and files cut, swapped, removed, added and put back.
#![expect(clippy::disallowed_methods, reason = "tests damage files by hand")]

mod common;

use std::{fs, path::PathBuf};

use common::{Bench, LINEAR, Setup, assert_same, rows};
use sisa::engine::{DeleteRequest, Engine, Input, Quiet, VerifyRequest};

fn small() -> Setup {
    Setup { shards: 2, slices: 2, holdout: 0.2, learner: LINEAR, epochs: 1, ..Setup::default() }
}

fn delete(person: u32) -> DeleteRequest {
    DeleteRequest { subjects: vec![person.to_string()], ..DeleteRequest::default() }
}

/// Whether verification finds something wrong, or refuses with an error; a panic fails the test.
fn seen(engine: &Engine) -> bool {
    engine.verify(&VerifyRequest::default(), &Quiet).map_or(true, |v| !v.findings.is_empty())
}

#[test]
fn every_byte_of_every_file_matters() {
    let bench = Bench::trained(&small(), &rows(12));
    bench.delete(&delete(3));
    let engine = bench.engine();
    assert!(!seen(&engine));
    for (path, bytes) in bench.files() {
        let full = bench.root().join(&path);
        let key = path.extension().is_some_and(|e| e == "key");
        // Large files are sampled at a stride that is prime to their sections.
        let stride = if bytes.len() > 4096 { 13 } else { 1 };
        for at in (0..bytes.len()).step_by(stride) {
            let mut bad = bytes.clone();
            bad[at] ^= 0x04;
            if key && bad.trim_ascii_end() == bytes.trim_ascii_end() {
                continue;
            }
            fs::write(&full, &bad).unwrap();
            assert!(seen(&engine), "{} byte {at} flipped unseen", path.display());
        }
        for len in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            if key && len == bytes.len() - 1 {
                continue;
            }
            fs::write(&full, &bytes[..len]).unwrap();
            assert!(seen(&engine), "{} cut to {len} unseen", path.display());
        }
        let mut longer = bytes.clone();
        longer.push(0);
        fs::write(&full, &longer).unwrap();
        assert!(seen(&engine), "{} longer by a byte unseen", path.display());
        fs::remove_file(&full).unwrap();
        let checkpoint = path.extension().is_some_and(|e| e == "ckpt");
        let last_entry = bench.files().keys().filter(|p| p.starts_with("shards/ledger")).all(|p| *p < path)
            && path.starts_with("shards/ledger");
        // A missing checkpoint is work to do and no breach; a dropped tail of the ledger shows only against a receipt.
        assert!(seen(&engine) != (checkpoint || last_entry), "{} removed", path.display());
        fs::write(&full, &bytes).unwrap();
        if key {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&full, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    assert!(!seen(&engine));
}

#[test]
fn planted_breaches_are_reported() {
    let rows = rows(30);
    let bench = Bench::trained(&small(), &rows);
    let before = bench.files();
    let person = (0..30).find(|p| bench.engine().forecast(&delete(*p)).unwrap().accepted.outcomes[0].in_slices > 0).unwrap();
    bench.delete(&DeleteRequest { request_id: Some("x".into()), ..delete(person) });
    let after = bench.files();
    let engine = bench.engine();
    let put = |path: &PathBuf, bytes: &[u8]| fs::write(bench.root().join(path), bytes).unwrap();

    // A stale checkpoint put back.
    let stale = before.keys().find(|p| p.extension().is_some_and(|e| e == "ckpt") && !after.contains_key(*p)).unwrap();
    put(stale, &before[stale]);
    let found = engine.verify(&VerifyRequest::default(), &Quiet).unwrap().findings;
    assert!(found.iter().any(|f| f.path.ends_with(stale) && f.what.contains("stale")), "{found:?}");
    fs::remove_file(bench.root().join(stale)).unwrap();

    // A slice with an erased record.
    let slice = before.keys().find(|p| p.extension().is_some_and(|e| e == "slice") && before.get(*p) != after.get(*p)).unwrap();
    put(slice, &before[slice]);
    let found = engine.verify(&VerifyRequest::default(), &Quiet).unwrap().findings;
    assert!(found.iter().any(|f| f.path.ends_with(slice) && f.what.contains("erased")), "{found:?}");
    assert!(bench.engine().evaluate(&Input::new(), &Quiet).is_err(), "a damaged slice serves");
    put(slice, &after[slice]);

    // Strangers, also temporary ones.
    for stranger in
        ["shards/x", "shards/g0001/0000/03.slice", "shards/g0001/0000/.sisa-tmp-1-1", "checkpoints/y", "shards/ledger/note.txt"]
    {
        put(&stranger.into(), b"x");
        assert!(seen(&engine), "{stranger}");
        fs::remove_file(bench.root().join(stranger)).unwrap();
    }

    // Two slices swapped.
    let slices: Vec<_> = after.keys().filter(|p| p.extension().is_some_and(|e| e == "slice")).collect();
    put(slices[0], &after[slices[1]]);
    put(slices[1], &after[slices[0]]);
    assert!(seen(&engine));
    put(slices[0], &after[slices[0]]);
    put(slices[1], &after[slices[1]]);

    // A ledger with an entry dropped from the end, against a receipt; a forged receipt.
    let receipt = engine.receipt(Some("x")).unwrap();
    let file = bench.root().join("receipt.json");
    fs::write(&file, receipt.encode()).unwrap();
    let with = VerifyRequest { receipts: vec![file.clone()], ..VerifyRequest::default() };
    assert_eq!(engine.verify(&with, &Quiet).unwrap().findings, vec![]);
    let last = after.keys().rfind(|p| p.starts_with("shards/ledger")).unwrap();
    fs::remove_file(bench.root().join(last)).unwrap();
    assert!(!engine.verify(&with, &Quiet).unwrap().findings.is_empty());
    put(last, &after[last]);
    let forged = String::from_utf8(receipt.encode()).unwrap().replace("\"in_slices\": ", "\"in_slices\": 1");
    fs::write(&file, forged).unwrap();
    assert!(!engine.verify(&with, &Quiet).unwrap().findings.is_empty());

    // An entry dropped from the middle.
    let entries: Vec<_> = after.keys().filter(|p| p.starts_with("shards/ledger")).collect();
    fs::remove_file(bench.root().join(entries[2])).unwrap();
    assert!(seen(&engine));
    put(entries[2], &after[entries[2]]);
    assert!(!seen(&engine));
}

#[test]
fn a_forged_state_is_found_by_training_again() {
    let bench = Bench::trained(&small(), &rows(30));
    let files = bench.artefacts();
    let (path, bytes) = files.iter().rfind(|(p, _)| p.extension().unwrap() == "ckpt").unwrap();
    // A digest made right again is no defence against who can write; only training again is.
    let mut forged = bytes.clone();
    let last = forged.len() - 24;
    forged[last] ^= 1;
    let digest = blake3::Hasher::new().update(&forged[..64]).update(&forged[96..]).finalize();
    forged[64..96].copy_from_slice(digest.as_bytes());
    fs::write(bench.root().join(path), forged).unwrap();
    let verdict = bench.engine().verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert!(verdict.findings.iter().any(|f| f.path.ends_with(path) && f.offset.is_some()), "{:?}", verdict.findings);
}

#[test]
fn damage_is_mended() {
    let rows = rows(30);
    let bench = Bench::trained(&small(), &rows);
    bench.delete(&delete(3));
    let good = bench.artefacts();
    let flip = |path: &PathBuf| {
        let mut bytes = good[path].clone();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::write(bench.root().join(path), bytes).unwrap();
    };
    // A checkpoint is built again.
    let checkpoint = good.keys().find(|p| p.extension().unwrap() == "ckpt").unwrap();
    flip(checkpoint);
    let report = bench.engine().repair(&Input::new(), false, &Quiet).unwrap();
    assert_eq!(report.rebuilt, 1);
    assert_same(&good, &bench.artefacts(), "a rebuilt checkpoint");
    // A slice is written again from its source, without the erased person.
    let slice = good.keys().filter(|p| p.extension().unwrap() == "slice").find(|p| good[*p].len() > 400).unwrap();
    flip(slice);
    assert!(bench.engine().repair(&Input::new(), false, &Quiet).is_err() || seen(&bench.engine()));
    bench.engine().repair(&bench.root().join("table.csv").into(), false, &Quiet).unwrap();
    assert_same(&good, &bench.artefacts(), "a slice from its source");
    // Or given up, in the ledger; what remains is exact again.
    flip(slice);
    bench.engine().repair(&Input::new(), true, &Quiet).unwrap();
    let verify = VerifyRequest { retrain: true, ..VerifyRequest::default() };
    assert_eq!(bench.engine().verify(&verify, &Quiet).unwrap().findings, vec![]);
}

/// A model that is built beside the one in service is not whole yet, and its damage is damage all the same.
#[test]
fn damage_of_a_model_that_does_not_serve_yet_is_mended_too() {
    let bench = Bench::trained(&small(), &rows(30));
    let mut request = bench.request();
    request.overrides.epochs = Some(5);
    request.only_shards = Some(vec![sisa::ids::ShardId(0)]);
    bench.engine().train(&request, &Quiet).unwrap();
    let serving = bench.engine().status().unwrap();
    let recipe = serving.serving.recipe.to_string();
    let files = bench.artefacts();
    let (path, bytes) = files
        .iter()
        .find(|(p, _)| p.extension().is_some_and(|e| e == "ckpt") && !p.to_string_lossy().contains(&recipe))
        .expect("a checkpoint of the new model");
    fs::write(bench.root().join(path), &bytes[..bytes.len() - 1]).unwrap();
    assert!(seen(&bench.engine()));
    bench.engine().repair(&Input::new(), false, &Quiet).unwrap();
    assert!(!seen(&bench.engine()), "what the advice says works");
    request.only_shards = None;
    bench.engine().train(&request, &Quiet).unwrap();
    assert_same(&bench.artefacts(), &Bench::trained(&Setup { epochs: 5, ..small() }, &rows(30)).artefacts(), "the new model");
}

/// Another version would write other bytes under the names of this one.
#[test]
fn what_another_version_made_is_refused_by_name() {
    let bench = Bench::trained(&Setup::default(), &rows(40));
    let disk = sisa::fs::Files::new(std::sync::Arc::new(sisa::engine::RealDisk::new()));
    let workspace = sisa::workspace::Workspace::new(disk, bench.root().to_owned());
    let snapshot = workspace.snapshot().unwrap();
    let (generation, record) = snapshot.history.newest().unwrap();
    let recipe = &record.recipes[0].recipe;
    assert!(workspace.model(generation, record, recipe).is_ok());
    for (name, what) in [
        ("partition.json", "slice_format"),
        ("partition.json", "encoder"),
        ("recipe.json", "numerics"),
        ("recipe.json", "checkpoint_format"),
    ] {
        let path = bench.files().into_keys().find(|path| path.ends_with(name)).unwrap();
        let (path, mut record) = (bench.root().join(path), record.clone());
        let good = std::fs::read_to_string(&path).unwrap();
        let at = good.find(&format!("\"{what}\": ")).unwrap() + what.len() + 4;
        let other = format!("{}9{}", &good[..at], &good[at..]);
        std::fs::write(&path, &other).unwrap();
        // As if the ledger had it so from the beginning.
        let digest = sisa::digest::Digest::of(other.as_bytes());
        if name == "recipe.json" {
            record.recipes[0].digest = digest
        } else {
            record.imported.partition = digest
        }
        let refusal = workspace.model(generation, &record, recipe).unwrap_err().to_string();
        assert!(refusal.contains(&format!("says {} 9", what.replace('_', " "))), "{refusal}");
        std::fs::write(&path, good).unwrap();
    }
}

/// Scratch space on another disk by a link is a thing people do, and a link can be aimed by whoever may write to the folder.
#[test]
fn a_linked_scratch_folder_loses_nothing_and_holds_nothing_up() {
    let bench = Bench::trained(&small(), &rows(30));
    let victim = tempfile::tempdir().unwrap();
    fs::create_dir_all(victim.path().join("verify-1-0")).unwrap();
    fs::write(victim.path().join("verify-1-0/precious"), b"x").unwrap();
    fs::write(victim.path().join("precious"), b"x").unwrap();
    let scratch = bench.root().join(".scratch");
    let link = || std::os::unix::fs::symlink(victim.path(), &scratch).unwrap();
    link();
    let engine = bench.engine();
    engine.repair(&Input::new(), false, &Quiet).unwrap();
    let findings = engine.verify(&VerifyRequest::default(), &Quiet).unwrap().findings;
    assert!(findings.len() == 1 && findings[0].path == scratch, "what is behind the link is not looked at: {findings:?}");
    assert!(scratch.is_symlink(), "only a deletion takes it away");
    bench.delete(&delete(3));
    assert!(!scratch.is_symlink());
    for path in ["precious", "verify-1-0/precious"] {
        assert!(victim.path().join(path).exists(), "{path}");
    }
    // Where it is a folder, what others put there stays.
    fs::create_dir_all(scratch.join("somebody's")).unwrap();
    fs::create_dir_all(scratch.join("verify-1-0")).unwrap();
    bench.delete(&delete(4));
    assert!(scratch.join("somebody's").exists() && !scratch.join("verify-1-0").exists());
}
