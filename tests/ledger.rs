//! The ledger by itself: long chains, what opening them reads, and entries that nobody with the key wrote.
#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]
#![expect(clippy::indexing_slicing, reason = "likewise")]

mod common;
mod sim;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use sim::{Fault, SimDisk, World, workspace};
use sisa::{
    digest::{Digest, HandleKey},
    fs::Files,
    ids::{Cell, GenerationId, Handle, Part, RecipeId, ShardId, SliceId},
    ledger::{
        Accepted, CellChange, Cost, ENTRIES_IN_FOLDER, Effective, Event, History, Imported, Ledger, LedgerError, Outcome,
        OutcomeKind, RecipeFrozen, Repaired, Replay, ShardRepair, Unsuppressed,
    },
    shard::Cells,
};

const GENERATION: GenerationId = GenerationId(1);

fn key() -> HandleKey {
    HandleKey::from_bytes([3; 32])
}

fn ledger(disk: &SimDisk) -> Ledger {
    Ledger::new(Files::new(Arc::new(disk.clone())), PathBuf::from("/l"), Some(key().seal()))
}

fn handle(n: u64) -> Handle {
    Handle(Digest::of(&n.to_le_bytes()).0[..16].try_into().unwrap())
}

/// A ledger with a generation of 4 x 2 cells and a recipe.
fn begun() -> (SimDisk, History) {
    let disk = SimDisk::of(sim::Image::new());
    disk.put(Path::new("/l/x"), b"");
    let (ledger, mut history) = (ledger(&disk), History::default());
    let cells = Cells::new(4, 2, (0..12).map(|n| Digest::of(&[n])).collect(), Some(vec![1000; 12])).unwrap();
    let imported = Imported {
        generation: GENERATION,
        rekeys: None,
        handle_key: key().fingerprint(),
        model_key: Digest::of(b"m"),
        partition: Digest::of(b"p"),
        records: 8000,
        held_out: 4000,
        refused: 0,
        root: cells.root(),
        list: None,
        cells: BTreeMap::new(),
    };
    ledger.append_import(&mut history, imported, cells).unwrap();
    let recipe = RecipeFrozen { generation: GENERATION, recipe: recipe(), digest: Digest::of(b"r"), declared: Digest::of(b"r") };
    ledger.append(&mut history, Event::Recipe(recipe)).unwrap();
    (disk, history)
}

fn recipe() -> RecipeId {
    RecipeId("0123456789abcdef".into())
}

/// Request number `n` of so many ids, accepted, in effect and repaired.
fn request(ledger: &Ledger, history: &mut History, n: u64, ids: u64) {
    let name = format!("request-{n}");
    let shard = ShardId((n % 4) as u32);
    let cell = Cell { shard, part: Part::Slice(SliceId(1 + (n / 4 % 2) as u32)) };
    let before = *history.generations[&GENERATION].cells.get(&cell).unwrap();
    let after = Digest::of(name.as_bytes());
    let kind = |id: u64| [OutcomeKind::Erased, OutcomeKind::NotFound, OutcomeKind::AlreadyErased][(id % 3) as usize];
    let outcome =
        |id: u64| Outcome { handle: handle(n * 7 + id), subject: true, outcome: kind(n + id), in_slices: 1, held_out: 0 };
    let accepted = Accepted {
        request: name.clone(),
        ids: Digest::of(&n.to_le_bytes()),
        suppress: n.is_multiple_of(2),
        corrects: false,
        returned: Vec::new(),
        outcomes: (0..ids).map(outcome).collect(),
        list: None,
        cells: vec![CellChange { generation: GENERATION, cell, before, after, records: 1, come: 0 }],
        purge: Vec::new(),
        exports: Vec::new(),
        predicted: Cost::default(),
    };
    ledger.append(history, Event::Accepted(accepted)).unwrap();
    let roots = [(GENERATION, history.generations[&GENERATION].root())].into_iter().collect();
    ledger.append(history, Event::Effective(Effective { request: name.clone(), roots, seconds: 0.25 })).unwrap();
    let whole = ShardRepair { shard, from_step: 0, before, after, steps: 2, row_passes: 5 };
    let repaired = Repaired {
        requests: vec![name],
        generation: GENERATION,
        recipe: recipe(),
        root: history.lineages_root(GENERATION, &recipe(), [(shard, after)]),
        shards: vec![whole],
        lineages: Vec::new(),
        actual: Cost::default(),
        seconds: 0.5,
        replay: Replay::default(),
    };
    ledger.append(history, Event::Repaired(repaired)).unwrap();
    if n.is_multiple_of(50) {
        ledger.append(history, Event::Unsuppressed(Unsuppressed { handles: vec![handle(n * 7)] })).unwrap();
    }
}

fn reads(disk: &SimDisk) -> u64 {
    let meter = disk.meter();
    meter.reads + meter.lists
}

/// What a history says, for comparing: cells, durable steps, open requests, and the flags of some handles.
fn said(ledger: &Ledger, history: &History) -> String {
    let record = &history.generations[&GENERATION];
    let handles = ledger.handles(history).unwrap();
    let flags: Vec<_> =
        (0..2000).map(|n| (handles.is_suppressed(handle(n)).unwrap(), handles.is_erased(handle(n)).unwrap())).collect();
    let names: Vec<_> = (0..400).map(|n| ledger.request_ids(history, &format!("request-{n}")).unwrap()).collect();
    let open: Vec<_> = history.unfinished().into_iter().chain(history.unrepaired()).cloned().collect();
    format!(
        "{:?} {} {:?} {:?} {open:?} {} {flags:?} {names:?}",
        history.head,
        record.root(),
        record.cells.rows_of(ShardId(1)),
        record.durable,
        handles.count_suppressed().unwrap()
    )
}

#[test]
fn opening_reads_a_summary_and_the_tail_and_says_what_the_whole_chain_says() {
    let (disk, mut history) = begun();
    let ledger = ledger(&disk);
    let mut most = 0;
    for n in 0..310 {
        // One large request, whose outcomes are in a file of their own.
        request(&ledger, &mut history, n, if n == 40 { 700 } else { 1 + n % 3 });
        if n % 13 == 0 || n > 295 {
            let fresh = disk.restarted(Fault::None);
            let opened = self::ledger(&fresh).read().unwrap();
            most = most.max(reads(&fresh));
            assert_eq!(said(&ledger, &opened), said(&ledger, &history), "after request {n}");
        }
    }
    assert!(history.head.sequence > 9 * ENTRIES_IN_FOLDER);
    // The entries of a folder and its summary.
    assert!(most <= ENTRIES_IN_FOLDER + 10, "{most} files and folders are read to open the ledger");
    // The whole chain, with every summary made again.
    let mut entries = 0;
    let whole = ledger.read_entries(|_, _| entries += 1).unwrap();
    assert_eq!((entries, said(&ledger, &whole)), (history.head.sequence, said(&ledger, &history)));
    assert!(ledger.strangers().unwrap().iter().all(|path| path.ends_with("x")));
    let (requests, _) = ledger.requests().unwrap();
    assert_eq!((requests.len(), requests[40].accepted.outcomes.len()), (310, 700));
    assert!(requests.iter().all(|r| r.effective.is_some() && r.repaired.is_some()));
}

#[test]
fn a_look_whether_something_is_new_costs_the_same_in_a_long_ledger() {
    let (disk, mut history) = begun();
    let (ledger, mut follower) = (ledger(&disk), history.clone());
    let mut costs = Vec::new();
    for n in 0..120 {
        let fresh = disk.restarted(Fault::None);
        assert!(!self::ledger(&fresh).is_behind(&history).unwrap());
        costs.push((fresh.meter().looks, reads(&fresh)));
        request(&ledger, &mut history, n, 1);
        // A reader that stays takes in what is new, and nothing else.
        let fresh = disk.restarted(Fault::None);
        let here = self::ledger(&fresh);
        assert!(here.is_behind(&follower).unwrap());
        let new = here.extend(&mut follower).unwrap();
        assert_eq!((new, reads(&fresh)), (if n.is_multiple_of(50) { 4 } else { 3 }, new));
        assert_eq!(follower.head, history.head);
    }
    assert!(costs.iter().all(|cost| *cost == (1, 0)), "{costs:?}");
}

/// The bytes of an entry as who has no key can make it: everything right but the seal.
fn forged(history: &History, event: &str, format: u32) -> Vec<u8> {
    let sequence = history.head.sequence + 1;
    let text = |digest: &str| {
        format!(
            "{{\n  \"format\": {format},\n  \"sequence\": {sequence},\n  \"previous\": \"{}\",\n  \"time\": \"2026-11-26T00:00:00Z\",\n  \
             \"event\": {event},\n  \"digest\": \"{digest}\"\n}}\n",
            history.head.digest
        )
    };
    text(&Digest::of(text(&"0".repeat(64)).as_bytes()).to_string()).into_bytes()
}

#[test]
fn an_appended_entry_that_is_not_sealed_with_the_key_is_damage() {
    let (disk, mut history) = begun();
    request(&ledger(&disk), &mut history, 0, 1);
    let name = format!("{:08}.json", history.head.sequence + 1);
    let unsuppressed = "{\n    \"type\": \"unsuppressed\",\n    \"handles\": []\n  }";
    let purged = "{\n    \"type\": \"purged\",\n    \"generations\": [\n      1\n    ],\n    \"recipes\": []\n  }";
    for (format, event) in [1, 2, 3].into_iter().flat_map(|format| [(format, unsuppressed), (format, purged)]) {
        // Where format 2 had its entries, and where all others do.
        for path in [format!("/l/0000/{name}"), format!("/l/{name}")] {
            let attacked = disk.restarted(Fault::None);
            attacked.put(Path::new(&path), &forged(&history, event, format));
            let in_place = !path.contains("0000/");
            for whole in [false, true] {
                let read = ledger(&attacked);
                let read = if whole { read.read_entries(|_, _| {}) } else { read.read() };
                match read {
                    Err(LedgerError::Damaged { .. }) => {}
                    // Where format 2 had them nothing counts any more; the whole check finds it out of place.
                    Ok(read) => assert!(!in_place && !whole && read.head == history.head, "{path} {format} {event}"),
                    Err(e) => panic!("{e}"),
                }
            }
            // A reader that stays does not believe it either.
            let mut follower = history.clone();
            assert!(!matches!(ledger(&attacked).extend(&mut follower), Ok(1..)), "{path} {format} {event}");
        }
    }
    // Under another key nothing holds, and nobody is told that the ledger is damaged.
    let other = HandleKey::from_bytes([4; 32]).seal();
    let files = Files::new(Arc::new(disk.clone()));
    let read = Ledger::new(files.clone(), PathBuf::from("/l"), Some(other)).read();
    assert!(matches!(read, Err(LedgerError::OtherKey)), "{read:?}");
    // Who has no key reads the chain, and can't write.
    let keyless = Ledger::new(files, PathBuf::from("/l"), None);
    let mut read = keyless.read().unwrap();
    assert_eq!(read.head, history.head);
    let nothing = Event::Unsuppressed(Unsuppressed { handles: Vec::new() });
    assert!(matches!(keyless.append(&mut read, nothing), Err(LedgerError::NoKey)));
}

#[test]
fn a_changed_byte_in_a_summary_or_beside_an_entry_is_found() {
    let (disk, mut history) = begun();
    let ledger = ledger(&disk);
    for n in 0..36 {
        request(&ledger, &mut history, n, if n == 34 { 300 } else { 1 });
    }
    assert!(history.head.sequence > ENTRIES_IN_FOLDER);
    let (files, _) = disk.image().tree();
    let mut looked = 0;
    for (path, bytes) in
        files.iter().filter(|(path, _)| path.extension().is_some_and(|e| e != "json") || path.ends_with("summary.json"))
    {
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let damaged = disk.restarted(Fault::None);
            damaged.put(&Path::new("/").join(path), &other);
            let read = self::ledger(&damaged).read_entries(|_, _| {});
            assert!(matches!(read, Err(LedgerError::Damaged { .. })), "{} byte {at}", path.display());
            looked += 1;
        }
    }
    assert!(looked >= 3 * 6, "{looked}");
    // An entry that is missing in between is found by opening, too.
    for sequence in [ENTRIES_IN_FOLDER + 1, history.head.sequence - 1] {
        let holed = disk.restarted(Fault::None);
        Files::new(Arc::new(holed.clone())).unlink(Path::new(&format!("/l/{sequence:08}.json"))).unwrap();
        assert!(matches!(self::ledger(&holed).read(), Err(LedgerError::Damaged { .. })), "{sequence}");
    }
}

#[test]
fn a_refused_append_leaves_history_and_disk_as_they_were() {
    let (disk, mut history) = begun();
    let ledger = ledger(&disk);
    request(&ledger, &mut history, 0, 1);
    let (before, tree) = (said(&ledger, &history), disk.image().tree());
    let again = Effective { request: "nobody".into(), roots: BTreeMap::new(), seconds: 0.0 };
    assert!(matches!(ledger.append(&mut history, Event::Effective(again)), Err(LedgerError::Damaged { .. })));
    let full = disk.restarted(Fault::Full(1));
    let nothing = Event::Unsuppressed(Unsuppressed { handles: Vec::new() });
    assert!(matches!(self::ledger(&full).append(&mut history, nothing), Err(LedgerError::Fs(_))));
    assert_eq!((said(&ledger, &history), disk.image().tree()), (before, tree));
}

/// One subject is deleted and repaired; files read and folders looked into.
fn deletion(shards: u32, entries: u64) -> (u64, u64) {
    let disk = World::cut(shards, 3, 120).trained_long_ago(entries).restarted(Fault::None);
    let engine = World::engine(&disk);
    let request = sisa::engine::DeleteRequest { subjects: vec!["7".into()], ..Default::default() };
    let report = engine.delete(&request, &sisa::engine::Quiet, |_, _, _| {}).unwrap();
    assert!(report.repair.unwrap().complete);
    let meter = disk.meter();
    (meter.reads + meter.lists, meter.looks)
}

#[test]
fn a_deletion_reads_what_it_touches_however_many_shards_there_are() {
    let [few, many] = [6, 48].map(|shards| deletion(shards, 0));
    assert!(many.0 <= few.0 + 4 && many.1 <= few.1 + 4, "{few:?} with 6 shards, {many:?} with 48");
    assert!(many.0 < 160, "{many:?}");
    // And however long the ledger is: what is read more is a few times a folder of entries.
    let late = deletion(6, 1000);
    assert!(late.0 <= few.0 + 2 * ENTRIES_IN_FOLDER, "{few:?} early, {late:?} late");
}

#[test]
fn one_shard_with_nothing_to_do_and_status_look_at_no_other_shards_slices() {
    let cost = |shards: u32| {
        let disk = World::cut(shards, 3, 120).trained();
        let only = disk.restarted(Fault::None);
        World::train_only(&World::engine(&only), &[ShardId(1)]).unwrap();
        let status = disk.restarted(Fault::None);
        assert!(World::engine(&status).status().unwrap().complete());
        (reads(&only), reads(&status))
    };
    let [few, many] = [6, 48].map(cost);
    assert!(many.0 <= few.0 + 2 && many.1 <= few.1 + 2, "{few:?} with 6 shards, {many:?} with 48");
}

#[test]
fn shards_that_are_trained_one_by_one_are_whole_in_the_end() {
    let world = World::cut(5, 3, 60);
    let (together, apart) = (world.trained(), world.empty());
    for shard in 0..5 {
        World::train_only(&World::engine(&apart), &[ShardId(shard)]).unwrap();
    }
    let history = workspace(&apart).ledger().read().unwrap();
    let (_, record) = history.newest().unwrap();
    assert!(record.not_whole(&record.recipes[0].recipe).is_empty());
    assert!(World::engine(&apart).status().unwrap().complete());
    let reads_before = sim::Reference::of(&together);
    assert_eq!(sim::Reference::of(&apart).files, reads_before.files);
}
