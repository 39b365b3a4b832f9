//! Shards trained elsewhere: whatever executes bundles, how often, in which order, and whatever it loses, the workspace has the bytes of one
//! process; and a bundle holds neither key.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests look at files by hand, and stop at what they do not expect"
)]

mod common;

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use common::{ADAM, BOOST, Bench, COUNTED, FOREST, LINEAR, MLP, RIDGE, Row, Setup, assert_same, csv, rows};
use sisa::{
    AppendRequest, CorrectRequest, DeleteRequest, Engine, Error, ErrorKind, PackRequest, Quiet, ShardId, VerifyRequest,
    bundle::{BundleError, Checkpoints, Work},
    reports::Unpacked,
    train_bundle,
};

fn import(bench: &Bench) {
    let report = bench.engine().import(&bench.request(), &Quiet).unwrap();
    assert!(report.import.is_some());
}

fn pack(engine: &Engine, shard: u32) -> Option<Vec<u8>> {
    engine.pack(PackRequest { shard: ShardId(shard), serving: false }, &Quiet).unwrap().map(|packed| packed.bytes)
}

fn train(bundle: &[u8]) -> Vec<u8> {
    train_bundle(bundle, 1, &Quiet).unwrap()
}

fn unpack(engine: &Engine, made: &[u8]) -> Unpacked {
    engine.unpack(made).unwrap()
}

/// Trains all that is missing by way of bundles; returns how many went out.
fn fan_out(engine: &Engine) -> usize {
    let shards = engine.to_train(false).unwrap();
    let bundles: Vec<Vec<u8>> = shards.iter().filter_map(|shard| pack(engine, shard.0)).collect();
    for bundle in bundles.iter().rev() {
        assert_eq!(unpack(engine, &train(bundle)).overtaken, 0);
    }
    bundles.len()
}

fn person(person: u32, defer: bool) -> DeleteRequest {
    DeleteRequest { subjects: vec![person.to_string()], defer, ..DeleteRequest::default() }
}

/// A workspace in which one process trained, and one whose shards were trained elsewhere.
fn pair(setup: &Setup, rows: &[Row]) -> (Bench, Bench) {
    let one = Bench::trained(setup, rows);
    let many = Bench::new(setup, rows);
    import(&many);
    (one, many)
}

#[test]
fn every_learner_has_the_bytes_of_one_process() {
    let rows = rows(60);
    for (learner, schedule) in
        [(LINEAR, "replay"), (MLP, "cumulative"), (ADAM, "front"), (RIDGE, ""), (FOREST, ""), (COUNTED, ""), (BOOST, "window")]
    {
        for keep in [None, Some(1)] {
            let setup = Setup { learner, schedule, keep, ..Setup::default() };
            let (one, many) = pair(&setup, &rows);
            let engine = many.engine();
            assert_eq!(fan_out(&engine), 3);
            assert_same(&one.artefacts(), &many.artefacts(), learner);
            assert_eq!(pack(&engine, 0), None);
            // A deletion: what goes out is what it touched.
            for bench in [&one, &many] {
                bench.delete(&person(7, true));
            }
            one.engine().repair(&sisa::Input::new(), false, &Quiet).unwrap();
            assert!(fan_out(&engine) <= 1, "{learner}");
            assert_same(&one.artefacts(), &many.artefacts(), learner);
            assert!(engine.waiting().unwrap().unrepaired.is_empty());
            let verdict = engine.verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
            assert_eq!(verdict.findings, vec![]);
        }
    }
}

#[test]
fn batches_go_out_as_well() {
    let (first, second) = (rows(60), rows(90)[rows(60).len()..].to_vec());
    let setup = Setup { learner: LINEAR, ..Setup::default() };
    let (one, many) = pair(&setup, &first);
    let engine = many.engine();
    fan_out(&engine);
    for bench in [&one, &many] {
        fs::write(bench.root().join("batch.csv"), csv(&second)).unwrap();
        let sources = bench.root().join("batch.csv").into();
        let request = AppendRequest { sources, name: Some("b".into()), defer: true };
        bench.engine().append(&request, &Quiet, |_, _, _| {}).unwrap();
    }
    one.engine().repair(&sisa::Input::new(), false, &Quiet).unwrap();
    let bundle = pack(&engine, 0).unwrap();
    let work = Work::decode(&bundle).unwrap();
    assert_eq!(work.steps.iter().map(|step| step.step).collect::<Vec<_>>(), [5], "from the checkpoint below");
    fan_out(&engine);
    assert_same(&one.artefacts(), &many.artefacts(), "a batch");
}

#[test]
fn a_bundle_holds_neither_key_and_no_subject() {
    let setup = Setup { learner: RIDGE, ..Setup::default() };
    for setup in [setup, Setup::default()] {
        let bench = Bench::new(&setup, &rows(60));
        import(&bench);
        let engine = bench.engine();
        let key = |path: &str| {
            let text = fs::read_to_string(bench.root().join(path)).unwrap();
            let hex = text.trim_end().to_owned();
            let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
            [bytes, hex.into_bytes()]
        };
        let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        for shard in 0..3 {
            let bundle = pack(&engine, shard).unwrap();
            for bytes in [&bundle, &train(&bundle)] {
                for secret in [key("shards/handle.key"), key("shards/g0001/model.key")].iter().flatten() {
                    assert!(!has(bytes, secret), "a key is in the bundle of shard {shard}");
                }
            }
            let slices = fs::read_dir(bench.root().join(format!("shards/g0001/{shard:04}"))).unwrap();
            for path in slices.map(|entry| entry.unwrap().path()).filter(|p| !p.ends_with("holdout.slice")) {
                let slice = fs::read(path).unwrap();
                let rows = u64::from_le_bytes(slice[24..32].try_into().unwrap()) as usize;
                let (records, subjects) = slice[128..].split_at((16 * rows).next_multiple_of(64));
                for at in 0..rows {
                    assert!(has(&bundle, &records[16 * at..][..16]), "the look finds what is there");
                    assert!(!has(&bundle, &subjects[16 * at..][..16]), "a subject's handle is in the bundle");
                }
            }
        }
    }
}

#[test]
fn what_a_deletion_overtook_is_refused_and_twice_is_fine() {
    let (one, many) = pair(&Setup { learner: LINEAR, ..Setup::default() }, &rows(60));
    let engine = many.engine();
    let late: Vec<Vec<u8>> = (0..3).map(|shard| train(&pack(&engine, shard).unwrap())).collect();
    one.delete(&person(7, false));
    many.delete(&person(7, true));
    let came: Vec<Unpacked> = late.iter().map(|made| unpack(&engine, made)).collect();
    let overtaken: u32 = came.iter().map(|unpacked| unpacked.overtaken).sum();
    assert!((1..=4).contains(&overtaken), "{came:?}");
    assert_eq!(came.iter().map(|unpacked| unpacked.published).sum::<u32>(), 12 - overtaken);
    for made in &late {
        let again = unpack(&engine, made);
        assert_eq!(again.published, 0, "{again:?}");
    }
    assert_eq!(fan_out(&engine), 1);
    assert_same(&one.artefacts(), &many.artefacts(), "after a late result");
    // Another workspace's are nobody's.
    let other = Bench::new(&Setup { learner: LINEAR, ..Setup::default() }, &rows(60));
    let request = sisa::TrainRequest { keys: sisa::KeySource::Seed(6), ..other.request() };
    other.engine().import(&request, &Quiet).unwrap();
    let before = other.files();
    let refused = unpack(&other.engine(), &late[0]);
    assert_eq!((refused.published, refused.overtaken), (0, 4));
    assert_same(&before, &other.files(), "nothing of another workspace is taken");
}

#[test]
fn what_a_correction_overtook_is_refused() {
    let all = rows(60);
    let mut corrected = all[7].clone();
    corrected.cells = all.iter().map(|row| &row.cells).find(|cells| **cells != corrected.cells).unwrap().clone();
    let (one, many) = pair(&Setup { learner: LINEAR, ..Setup::default() }, &all);
    let engine = many.engine();
    let late: Vec<Vec<u8>> = (0..3).map(|shard| train(&pack(&engine, shard).unwrap())).collect();
    for (bench, defer) in [(&one, false), (&many, true)] {
        let path = bench.root().join("corrected.csv");
        fs::write(&path, csv(&[corrected.clone()])).unwrap();
        let request = CorrectRequest { sources: path.into(), defer, ..CorrectRequest::default() };
        let report = bench.engine().correct(&request, &Quiet, |_, _, _| {}).unwrap();
        assert_eq!(report.accepted.cells.len(), 1);
    }
    let overtaken: u32 = late.iter().map(|made| unpack(&engine, made).overtaken).sum();
    assert!((1..=4).contains(&overtaken), "{overtaken}");
    assert_eq!(fan_out(&engine), 1);
    assert_same(&one.artefacts(), &many.artefacts(), "after a late result of what was before");
}

/// A small generator, so that a failing number can be told and made again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ x >> 31) % n
    }
}

#[test]
fn random_histories_have_the_bytes_of_one_process() {
    let (mut refused, mut lost) = (0, 0);
    for number in 0..24 {
        let mut dice = Dice(number);
        let learner = [LINEAR, ADAM, RIDGE, FOREST, BOOST][dice.below(5) as usize];
        let setup = Setup { learner, slices: 1 + dice.below(4) as u32, epochs: 2, ..Setup::default() };
        let (one, many) = pair(&setup, &rows(40));
        let engine = many.engine();
        // What is on its way: bundles that nobody trained yet, and checkpoints that nobody took back yet.
        let (mut out, mut back): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        for _ in 0..40 {
            match dice.below(8) {
                0..=2 => out.extend(pack(&engine, dice.below(3) as u32)),
                3 | 4 if !out.is_empty() => back.push(train(&out[dice.below(out.len() as u64) as usize])),
                5 if !out.is_empty() => {
                    out.remove(dice.below(out.len() as u64) as usize);
                    lost += 1;
                }
                6 if !back.is_empty() => {
                    let at = dice.below(back.len() as u64) as usize;
                    refused += unpack(&engine, &back[at]).overtaken;
                    let cut = dice.below(back[at].len() as u64) as usize;
                    assert!(engine.unpack(&back[at][..cut]).is_err(), "history {number}");
                }
                7 => {
                    let who = dice.below(40) as u32;
                    one.delete(&person(who, false));
                    many.delete(&person(who, true));
                }
                _ => {}
            }
        }
        while fan_out(&engine) > 0 {}
        assert_same(&one.artefacts(), &many.artefacts(), &format!("history {number} of {learner}"));
        assert!(engine.waiting().unwrap().unrepaired.is_empty(), "history {number}");
        assert_eq!(engine.verify(&VerifyRequest::default(), &Quiet).unwrap().findings, vec![], "history {number}");
    }
    assert!(refused > 10 && lost > 10, "{refused} refused, {lost} lost");
}

/// The bytes with another digest, as somebody makes them who means it.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= 64 {
        let len = bytes.len() as u64;
        bytes[16..24].copy_from_slice(&len.to_le_bytes());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes[..32]).update(&bytes[64..]);
        let digest = *hasher.finalize().as_bytes();
        bytes[32..64].copy_from_slice(&digest);
    }
    bytes
}

#[test]
fn damage_is_named_and_nothing_is_done() {
    let bench = Bench::new(&Setup { learner: LINEAR, slices: 2, epochs: 1, ..Setup::default() }, &rows(12));
    import(&bench);
    let engine = bench.engine();
    let bundle = pack(&engine, 0).unwrap();
    let made = train(&bundle);
    let before = bench.files();
    for (bytes, stride) in [(&bundle, 7), (&made, 3)] {
        let refused = |bytes: &[u8]| Work::decode(bytes).err().zip(Checkpoints::decode(bytes).err()).map(|(work, _)| work);
        for at in (0..bytes.len()).step_by(stride) {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            assert!(refused(&bad).is_some(), "byte {at} passed");
            assert!(refused(&bytes[..at]).is_some(), "cut at {at}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(refused(&longer).is_some());
        let mut other = bytes.clone();
        other[8] = 2;
        assert!(matches!(refused(&other), Some(BundleError::OtherVersion { theirs: 2, ours: 1, .. })), "{:?}", refused(&other));
    }
    assert!(matches!(engine.unpack(&bundle), Err(Error::Bundle(BundleError::Other { .. }))));
    assert!(matches!(Work::decode(&made), Err(BundleError::Other { .. })));
    let error = engine.unpack(&made[..made.len() - 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("nothing was done"), "{error}");
    // A state that is none, under a digest that is right: refused before anything is written.
    let mut junk = Checkpoints::decode(&made).unwrap();
    junk.checkpoints[1].payload = b"junk".to_vec();
    assert!(matches!(engine.unpack(&junk.encode()), Err(Error::Bundle(BundleError::Damaged { .. }))));
    assert_same(&before, &bench.files(), "what was refused left nothing");
}

#[test]
fn whoever_seals_a_bundle_again_makes_no_panic() {
    let mut dice = Dice(1);
    for learner in [LINEAR, ADAM, RIDGE, FOREST, BOOST] {
        let bench = Bench::new(&Setup { learner, slices: 2, epochs: 1, ..Setup::default() }, &rows(12));
        import(&bench);
        let engine = bench.engine();
        let bundle = pack(&engine, 0).unwrap();
        let made = train(&bundle);
        let head = u64::from_le_bytes(bundle[24..32].try_into().unwrap()) as usize;
        let mut trained = 0;
        for turn in 0..400 {
            let mut bad = bundle.clone();
            // Most in the head, where settings and sizes are; digits become others there.
            let at = 64 + dice.below(if turn % 4 == 0 { bad.len() as u64 - 64 } else { head as u64 }) as usize;
            bad[at] = if bad[at].is_ascii_digit() { b'0' + dice.below(10) as u8 } else { bad[at] ^ 1 << dice.below(8) };
            if let Ok(work) = Work::decode(&sealed(bad))
                && work.steps.iter().map(|step| step.row_passes).sum::<u64>() < 10_000
            {
                let _ = sisa::bundle::train(&work, 1, &Nobody);
                trained += 1;
            }
            let mut bad = made.clone();
            let at = 64 + dice.below(bad.len() as u64 - 64) as usize;
            bad[at] ^= 1 << dice.below(8);
            let _ = engine.unpack(&sealed(bad));
        }
        assert!(trained > 20, "{trained} of {learner} were sound enough to be trained");
    }
}

/// Watches nothing.
#[derive(Debug)]
struct Nobody;

impl sisa::train::Watch for Nobody {
    fn visited(&self, _: ShardId, _: usize) -> bool {
        true
    }
}

/// The program on a workspace, with something on its stdin: its exit code, and what it says.
fn sisa(bench: &Bench, args: &[&str], stdin: &[u8]) -> (i32, Vec<u8>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
    command.arg("-w").arg(bench.root()).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let given = stdin.to_vec();
    // It may end before it has read all.
    let writer = std::thread::spawn(move || drop(to.write_all(&given)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (output.status.code().unwrap(), output.stdout, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_program_takes_bytes_and_gives_bytes() {
    let one = Bench::trained(&Setup { learner: LINEAR, ..Setup::default() }, &rows(60));
    let many = Bench::new(&Setup { learner: LINEAR, ..Setup::default() }, &rows(60));
    let (code, said, _) = sisa(&many, &["import", "--seed", "5"], b"");
    assert!(code == 0 && String::from_utf8(said).unwrap().contains("3 shards are to be trained"));
    for shard in ["0", "1", "2"] {
        let (code, bundle, said) = sisa(&many, &["shard", "pack", shard], b"");
        assert!(code == 0 && said.contains("packed shard"), "{code} {said}");
        let elsewhere = Bench::new(&Setup::default(), &[]);
        let before = fs::read_dir(elsewhere.root()).unwrap().count();
        let (code, made, said) = sisa(&elsewhere, &["--quiet", "shard", "train"], &bundle);
        assert_eq!((code, said.as_str()), (0, ""));
        assert_eq!(fs::read_dir(elsewhere.root()).unwrap().count(), before, "training a bundle made a file");
        assert_eq!(made, train(&bundle), "the same bytes by the library");
        let (code, cut, said) = sisa(&elsewhere, &["shard", "train"], &bundle[..bundle.len() / 2]);
        assert!(code == 3 && cut.is_empty() && said.contains("nothing was done") && said.contains("pack N"), "{code} {said}");
        let (code, _, said) = sisa(&many, &["shard", "unpack"], &bundle);
        assert!(code == 3 && said.contains("not trained yet"), "{code} {said}");
        assert_eq!(sisa(&many, &["shard", "unpack"], &made).0, 0);
    }
    assert_same(&one.artefacts(), &many.artefacts(), "by the program");
    let (code, bundle, said) = sisa(&many, &["shard", "pack", "1"], b"");
    assert!(code == 10 && bundle.is_empty() && said.contains("nothing is missing of shard 1"), "{code} {said}");
    let (code, _, said) = sisa(&many, &["shard", "train"], b"hello");
    assert!(code == 3 && said.contains("something else"), "{code} {said}");
    let (code, _, said) = sisa(&many, &["shard", "pack", "3"], b"");
    assert!(code == 3 && said.contains("shards 0 to 2"), "{code} {said}");
    // What a deletion overtook: refused, with the code that says to try again.
    let late: Vec<Vec<u8>> = {
        let (stale, engine) = (Bench::new(&Setup { learner: LINEAR, ..Setup::default() }, &rows(60)), many.engine());
        import(&stale);
        many.delete(&person(7, true));
        engine.to_train(true).unwrap().iter().map(|shard| train(&pack(&stale.engine(), shard.0).unwrap())).collect()
    };
    assert_eq!(late.len(), 1);
    let (code, said, _) = sisa(&many, &["shard", "unpack"], &late[0]);
    let said = String::from_utf8(said).unwrap();
    assert!(code == 5 && said.contains("refused") && said.contains("packs what it lacks now"), "{code} {said}");
    // A bundle in a file is its owner's alone, and takes the place of an older one and of nothing else.
    use std::os::unix::fs::PermissionsExt;
    let file = many.root().join("work.bundle");
    let out = file.to_str().unwrap();
    let shard = many.engine().to_train(true).unwrap()[0].0.to_string();
    for _ in 0..2 {
        let (code, said, _) = sisa(&many, &["--json", "shard", "pack", &shard, "--serving", "--out", out], b"");
        assert!(code == 0 && String::from_utf8(said).unwrap().starts_with(r#"{"type":"packed""#));
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let table = many.root().join("table.csv");
    assert_eq!(sisa(&many, &["shard", "pack", &shard, "--out", table.to_str().unwrap()], b"").0, 3);
    assert!(fs::read(&table).unwrap().starts_with(b"person,"), "a table was written over");
}
