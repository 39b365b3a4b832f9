//! What answers without its workspace: constituents that were lent, and sums that add up to those of one workspace with all rows.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests stop at what they do not expect")]

mod common;

use std::{path::Path, slice};

use common::{ADAM, BOOST, Bench, COUNTED, FOREST, LINEAR, MLP, RIDGE, Row, Setup, rows, without};
use sisa::{
    DeleteRequest, Engine, Error, ErrorKind, Input, KeySource, Quiet, TrainRequest,
    engine::{Lent, add_sums},
};

/// Features that follow from the declarations alone.
const BINS: &str = "kind = \"ridge\"\nstrength = 0.001\nbins = 4\nmap = { kind = \"bins\" }\n";

fn bench(learner: &'static str, shards: u32, seed: u64, rows: &[Row]) -> Bench {
    let setup = Setup { learner, shards, holdout: 0.0, ..Setup::default() };
    let bench = Bench::new(&setup, rows);
    let request = TrainRequest { keys: KeySource::Seed(seed), ..bench.request() };
    assert!(bench.engine().train(&request, &Quiet).unwrap().complete);
    bench
}

fn delete(bench: &Bench, person: u32, defer: bool) {
    let request = DeleteRequest { subjects: vec![person.to_string()], defer, ..DeleteRequest::default() };
    assert!(bench.delete(&request).accepted.outcomes[0].in_slices > 0);
}

fn sums(engine: &Engine) -> Vec<u8> {
    engine.serving().unwrap().sums().unwrap().0
}

fn lent(engine: &Engine) -> Vec<Vec<u8>> {
    engine.serving().unwrap().constituents().unwrap().0
}

fn open(constituents: &[Vec<u8>]) -> Result<Lent, Error> {
    Lent::open(constituents.iter().map(Vec::as_slice))
}

/// Bits of the scores of the rows of a table.
fn scores(lent: &Lent, table: &Path) -> Vec<u32> {
    let (classes, scores) = lent.scores(&Input::from(table.to_owned()), 2, &Quiet).unwrap();
    assert_eq!(*classes, ["few", "many"]);
    scores.values.iter().map(|score| score.to_bits()).collect()
}

fn scores_there(engine: &Engine, table: &Path) -> Vec<u32> {
    engine.scores(&Input::from(table.to_owned()), &Quiet).unwrap().scores.values.iter().map(|score| score.to_bits()).collect()
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    assert!(what.len() > 4, "there is something to look for");
    bytes.windows(what.len()).any(|window| window == what)
}

#[test]
fn sums_of_three_sites_are_those_of_the_centre() {
    let all = rows(60);
    let sites = [1, 2, 3].map(|site| bench(BINS, site, 20 + u64::from(site), &without(&all, |row| row.person % 3 != site - 1)));
    let centre = bench(BINS, 1, 7, &all);
    let table = centre.root().join("table.csv");
    // Before a deletion, and after one at the site that knows the person and at the centre.
    for gone in [None, Some(4)] {
        if let Some(person) = gone {
            delete(&sites[1], person, false);
            delete(&centre, person, false);
        }
        let parts = sites.each_ref().map(|site| sums(&site.engine()));
        let together = add_sums(parts.iter().map(Vec::as_slice)).unwrap();
        assert!(together == add_sums(parts.iter().rev().map(Vec::as_slice)).unwrap());
        assert!(together == sums(&centre.engine()));
        // The file itself, read by nothing of ours: behind its header and the seed, which the sums are without.
        let deepest = centre.artefacts().into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "ckpt"));
        let (_, file) = deepest.max_by_key(|(path, _)| path.clone()).unwrap();
        assert!(together.ends_with(&[&[0; 32], &file[96 + 32..]].concat()));
        let lent = Lent::open_sums(&together).unwrap();
        assert!(lent.members().is_empty());
        assert_eq!(scores(&lent, &table), scores_there(&centre.engine(), &table));
    }
}

#[test]
fn constituents_answer_as_in_their_workspace() {
    let all = rows(60);
    for learner in [LINEAR, MLP, ADAM, BOOST] {
        let bench = bench(learner, 3, 5, &all);
        let (engine, table) = (bench.engine(), bench.root().join("table.csv"));
        let whole = lent(&engine);
        assert_eq!(whole.len(), 3);
        // A deferred deletion: one shard answers from before, with less weight.
        delete(&bench, 7, true);
        let behind = lent(&engine);
        for (constituents, weighed) in [(&whole, false), (&behind, true)] {
            let opened = open(constituents).unwrap();
            assert_eq!(opened.members().iter().any(|member| member.weight < 1.0), weighed, "{learner}");
            let mut turned = constituents.clone();
            turned.reverse();
            assert_eq!(scores(&open(&turned).unwrap(), &table), scores(&opened, &table), "{learner}");
        }
        assert_eq!(scores(&open(&behind).unwrap(), &table), scores_there(&engine, &table), "{learner}");
        assert_ne!(scores(&open(&whole).unwrap(), &table), scores(&open(&behind).unwrap(), &table), "{learner}");
        // What they are called is what a receipt calls them: the lineage key at the end of a file's name.
        let opened = open(&behind).unwrap();
        for member in opened.members() {
            let name = format!("{:04}/{:02}-{}.ckpt", member.shard.0, member.step, member.lineage);
            assert!(bench.artefacts().keys().any(|path| path.ends_with(&name)), "{learner}: {name}");
        }
        let receipt = engine.receipt(None).unwrap();
        let gone = open(&whole)
            .unwrap()
            .members()
            .iter()
            .filter(|m| !opened.members().contains(m))
            .map(|m| m.lineage.to_string())
            .collect::<Vec<_>>();
        assert_eq!(gone.len(), 1, "{learner}");
        let purged = serde_json::to_string(&sisa::wire::Receipt::from(&receipt)).unwrap();
        assert!(purged.contains(&format!("-{}.ckpt", gone[0])), "{learner}: {purged}");
    }
}

#[test]
fn neither_rows_nor_keys_nor_ids_go_with_them() {
    let all = rows(60);
    let (net, bins) = (bench(MLP, 2, 5, &all), bench(BINS, 2, 5, &all));
    for (bench, out) in [(&net, lent(&net.engine()).concat()), (&bins, sums(&bins.engine()))] {
        let keys: Vec<_> = bench.files().into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "key")).collect();
        assert_eq!(keys.len(), 2);
        for (path, key) in keys {
            assert!(!holds(&out, key.trim_ascii()), "{}", path.display());
        }
        // The columns of ids are not even named, and what is named are the declared ones.
        assert!(!holds(&out, b"person") && holds(&out, b"visits"));
    }
}

#[test]
fn what_holds_rows_is_not_lent_and_what_does_not_add_up_is_not_added() {
    let all = rows(30);
    let refused = |result: Result<(), Error>, says: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    };
    for (learner, says) in [(FOREST, "hold the rows"), (COUNTED, "hold the rows"), (RIDGE, "are sums"), (BINS, "are sums")] {
        let here = bench(learner, 2, 5, &all);
        let serving = here.engine().serving().unwrap();
        refused(serving.constituents().map(|_| ()), says);
        let summed = serving.sums().map(|_| ());
        match learner {
            BINS => summed.unwrap(),
            RIDGE => refused(summed, "drawn from its seed"),
            _ => refused(summed, "do not add up"),
        }
    }
    // Sites that differ in a setting, or in a declaration.
    let one = sums(&bench(BINS, 1, 5, &all).engine());
    let other = sums(&bench("kind = \"ridge\"\nstrength = 0.002\nbins = 4\nmap = { kind = \"bins\" }\n", 1, 5, &all).engine());
    refused(add_sums([one.as_slice(), &other]).map(|_| ()), "other settings");
    refused(add_sums([]).map(|_| ()), "no bytes");
    let net = bench(LINEAR, 2, 5, &all);
    let lent = lent(&net.engine());
    refused(open(&[lent[0].clone(), lent[0].clone()]).map(|_| ()), "two constituents");
    refused(open(&[]).map(|_| ()), "no bytes");
    refused(open(slice::from_ref(&one)).map(|_| ()), "these are sums");
    refused(add_sums([lent[0].as_slice()]).map(|_| ()), "a constituent that was lent");
    let elsewhere = bench(ADAM, 2, 5, &all);
    refused(
        open(&[lent[0].clone(), elsewhere.engine().serving().unwrap().constituents().unwrap().0[1].clone()]).map(|_| ()),
        "different rules",
    );
}

#[test]
fn damaged_bytes_are_refused() {
    let all = rows(20);
    let constituent = lent(&bench(LINEAR, 1, 5, &all).engine()).remove(0);
    let sums = sums(&bench(BINS, 1, 5, &all).engine());
    assert!(open(slice::from_ref(&constituent)).is_ok() && Lent::open_sums(&sums).is_ok());
    for at in (0..constituent.len()).step_by(37).chain(0..70) {
        let mut flipped = constituent.clone();
        flipped[at] ^= 1;
        assert!(open(&[flipped]).is_err(), "byte {at}");
        assert!(open(&[constituent[..at].to_vec()]).is_err(), "up to {at}");
    }
    for at in (0..sums.len()).step_by(211).chain(0..70) {
        let mut flipped = sums.clone();
        flipped[at] ^= 1;
        assert!(Lent::open_sums(&flipped).is_err(), "byte {at}");
        assert!(Lent::open_sums(&sums[..at]).is_err(), "up to {at}");
    }
    // Bytes that say of themselves that they are sound: a head that somebody rewrote.
    let head = usize::try_from(u64::from_le_bytes(constituent[24..32].try_into().unwrap())).unwrap();
    let text = std::str::from_utf8(&constituent[64..64 + head]).unwrap();
    for (from, to) in [
        ("\"weight\":1065353216", "\"weight\":2143289344"),
        ("\"few\",\"many\"", ""),
        ("\"numerics\":2", "\"numerics\":9"),
        ("\"buckets\":8", "\"buckets\":4294967295"),
    ] {
        assert!(text.contains(from), "{text}");
        let text = text.replacen(from, to, 1);
        let mut forged = constituent[..64].to_vec();
        forged.extend(text.as_bytes());
        forged.extend(&constituent[64 + head..]);
        let (whole, length) = (forged.len() as u64, text.len() as u64);
        forged[16..24].copy_from_slice(&whole.to_le_bytes());
        forged[24..32].copy_from_slice(&length.to_le_bytes());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&forged[..32]);
        hasher.update(&forged[64..]);
        let digest = *hasher.finalize().as_bytes();
        forged[32..64].copy_from_slice(&digest);
        assert!(open(&[forged]).is_err(), "{to}");
    }
}
