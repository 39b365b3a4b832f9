//! The judge: the bytes that every slice file and checkpoint file must have, computed from raw rows and keys.
//!
//! A second, plain and slow implementation of docs/TRAINING.md. It shares with the engine only BLAKE3 and the scalar
//! functions `sisa::num::poly::{exp, tanh, log1p}`; whatever else the page says is written here again, in loops.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a judge that can't judge must stop the test")]

mod keep;
mod net;
mod order;
mod rows;
mod slices;
mod tape;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;

pub(crate) use rows::Row;

/// What the files are a function of, beside the rows.
pub(crate) struct Setup {
    /// Turns ids into handles and assigns the holdout.
    pub(crate) handle_key: [u8; 32],
    /// Partition, order, initial states and slice digests.
    pub(crate) model_key: [u8; 32],
    /// The bytes of `partition.json`.
    pub(crate) partition_json: Vec<u8>,
    /// The bytes of `recipe.json`.
    pub(crate) recipe_json: Vec<u8>,
}

/// Path (`shards/0007/03.slice`, `shards/0007/holdout.slice`, `checkpoints/0007/03-<lineage>.ckpt`) to content.
pub(crate) type Store = BTreeMap<String, Vec<u8>>;

/// A handle of a record or a subject.
type Handle = [u8; 16];

// Other tests may need only one of the two.
const _: fn(&Setup, &[Row]) -> Store = expected;
const _: fn(&Setup, &[Vec<Row>]) -> Store = expected_of;
const _: fn(&Store, &Path, &Path) -> Option<String> = first_difference;

/// Every slice and checkpoint that importing `rows` and training from scratch must leave.
pub(crate) fn expected(setup: &Setup, rows: &[Row]) -> Store {
    expected_of(setup, &[rows.to_vec()])
}

/// The same after importing the first batch and appending the others in order.
pub(crate) fn expected_of(setup: &Setup, batches: &[Vec<Row>]) -> Store {
    let partition: Value = serde_json::from_slice(&setup.partition_json).unwrap();
    let recipe: Value = serde_json::from_slice(&setup.recipe_json).unwrap();
    let (shards, first) = (slices::blocks(&partition) * int(&partition["shards"]), int(&partition["slices"]));
    let schema = rows::Schema::new(&partition);
    // Of networks, which are all that is computed here.
    let base = if partition["merge"].is_null() { 16 } else { int(&partition["merge"]) };
    let later = slices::later(batches.len() as u32, base as usize);
    let steps = first + later.len() as u32;
    // The slice of a batch: none of its own for the first, or where later ones go among the others.
    let slice_of = |batch: u32| Some(first + 1 + later.iter().position(|(from, to)| (*from..=*to).contains(&batch))? as u32);
    let own = (1..).zip(batches).flat_map(|(batch, rows)| rows.iter().map(move |_| slice_of(batch)));
    let records = own.zip(rows::encode(setup, &schema, &batches.concat())).collect();
    let cells = slices::place(setup, &partition, steps, records);
    let fingerprint = derive("sisa 1 model key fingerprint", &[&setup.model_key]);
    let digests = [hash(&setup.recipe_json), hash(&setup.partition_json), fingerprint];
    let mut kept = keep::steps(&recipe["keep"], &recipe["schedule"], first);
    kept.resize(steps as usize, true);
    let mut store = Store::new();
    for shard in 0..shards {
        let interval = |part: u32| part.checked_sub(first + 1).map(|at| later[at as usize]);
        let files: Vec<Vec<u8>> =
            (0..=steps).map(|part| slices::file(setup, &schema, shard, (part, interval(part)), &cells[&(shard, part)])).collect();
        let [recipe_digest, partition_digest, key] = &digests;
        let mut lineage = derive("sisa 1 lineage root", &[recipe_digest, partition_digest, key, &shard.to_le_bytes()]);
        let seed = derive("sisa 1 initial state", &[&setup.model_key, &shard.to_le_bytes()]);
        let mut learner = Learner::new(&recipe["learner"], &schema, seed);
        let mut prefix: Vec<&[rows::Record]> = Vec::new();
        let mut alive = true;
        for step in 1..=steps {
            let new = &cells[&(shard, step)];
            prefix.push(new);
            lineage = derive("sisa 1 lineage step", &[&lineage, &step.to_le_bytes(), slices::content(&files[step as usize])]);
            if alive && !new.is_empty() {
                let visits = order::visits(setup, &recipe["schedule"], shard, first, &prefix);
                alive = learner.step(step, first, &prefix, &visits);
            }
            // A step that diverged leaves nothing, and neither do those after it.
            if alive && kept[step as usize - 1] {
                let name = format!("checkpoints/{shard:04}/{step:02}-{}.ckpt", hex(&lineage));
                store.insert(name, checkpoint(shard, step, &lineage, &learner.encode()));
            }
        }
        for (part, file) in files.into_iter().enumerate() {
            let name = if part == 0 { "holdout".to_owned() } else { format!("{part:02}") };
            store.insert(format!("shards/{shard:04}/{name}.slice"), file);
        }
    }
    store
}

/// A network, or a program of one's own.
enum Learner<'a> {
    Net(net::Net<'a>),
    Tape(tape::Tape<'a>),
}

impl<'a> Learner<'a> {
    fn new(settings: &'a Value, schema: &'a rows::Schema, seed: [u8; 32]) -> Learner<'a> {
        match settings["kind"].as_str().unwrap() {
            "external" => Learner::Tape(tape::Tape::new(settings, seed)),
            _ => Learner::Net(net::Net::new(settings, schema, seed)),
        }
    }

    /// False when it diverged.
    fn step(&mut self, r: u32, steps: u32, prefix: &[&[rows::Record]], visits: &[order::Visit]) -> bool {
        match self {
            Learner::Net(net) => net.step(r, steps, prefix, visits),
            Learner::Tape(tape) => {
                tape.step(r, steps, prefix, visits);
                true
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Learner::Net(net) => net.encode(),
            Learner::Tape(tape) => tape.encode(),
        }
    }
}

/// The first file, slices before checkpoints, that is missing, not expected, or different, with the first different byte.
/// `shards` is the generation's folder, `checkpoints` the recipe's; every file in a folder under them counts.
pub(crate) fn first_difference(expected: &Store, shards: &Path, checkpoints: &Path) -> Option<String> {
    [("shards", shards), ("checkpoints", checkpoints)].into_iter().find_map(|(top, dir)| {
        let actual = files_under(top, dir);
        let wanted = expected.iter().filter(|(name, _)| name.split('/').next() == Some(top));
        let wanted: Store = wanted.map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
        let names: BTreeSet<&String> = wanted.keys().chain(actual.keys()).collect();
        names.into_iter().find_map(|name| match (wanted.get(name), actual.get(name)) {
            (Some(_), None) => Some(format!("{name} is missing")),
            (None, _) => Some(format!("{name} is there and should not be")),
            (Some(a), Some(b)) if a == b => None,
            (Some(a), Some(b)) => {
                let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
                let (expected, got) = (a.get(at), b.get(at));
                let lengths = format!("of {} and {} bytes", a.len(), b.len());
                Some(format!("{name} ({lengths}) differs at byte {at}: expected {expected:02x?}, got {got:02x?}"))
            }
        })
    })
}

#[expect(clippy::disallowed_methods, reason = "the judge does not look through the engine's own disk module")]
fn files_under(top: &str, dir: &Path) -> Store {
    let mut found = Store::new();
    for folder in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
        if folder.file_type().unwrap().is_dir() {
            for file in std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap()) {
                let name = format!("{top}/{}/{}", folder.file_name().to_str().unwrap(), file.file_name().to_str().unwrap());
                found.insert(name, std::fs::read(file.path()).unwrap());
            }
        }
    }
    found
}

/// Table at the top of the engine's checkpoint format.
fn checkpoint(shard: u32, step: u32, lineage: &[u8; 32], payload: &[u8]) -> Vec<u8> {
    let mut file = b"\x89SISACP\n".to_vec();
    for field in [1, shard, step, 0] {
        file.extend(field.to_le_bytes());
    }
    file.extend((payload.len() as u64).to_le_bytes());
    file.extend(lineage);
    let digest = hash(&[&file, payload].concat());
    file.extend(digest);
    file.extend(payload);
    file
}

fn int(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

fn float(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

fn derive(context: &str, material: &[&[u8]]) -> [u8; 32] {
    blake3::derive_key(context, &material.concat())
}

fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    *blake3::keyed_hash(key, &parts.concat()).as_bytes()
}

/// Eight bytes as a number.
fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

/// SipHash-2-4 of a handle under the first 16 bytes of a key, from the algorithm as Aumasson and Bernstein (2012, section 2) give it.
fn draw(key: &[u8; 32], handle: Handle) -> u64 {
    let (k0, k1) = (number(&key[..8]), number(&key[8..16]));
    let constants = [0x736f_6d65_7073_6575, 0x646f_7261_6e64_6f6d, 0x6c79_6765_6e65_7261, 0x7465_6462_7974_6573_u64];
    let mut v = [k0 ^ constants[0], k1 ^ constants[1], k0 ^ constants[2], k1 ^ constants[3]];
    let round = |v: &mut [u64; 4]| {
        v[0] = v[0].wrapping_add(v[1]);
        v[2] = v[2].wrapping_add(v[3]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[1]);
        v[0] = v[0].wrapping_add(v[3]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].rotate_left(32);
    };
    // The last word holds the length in its highest byte.
    for word in [number(&handle[..8]), number(&handle[8..]), 16 << 56] {
        v[3] ^= word;
        round(&mut v);
        round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn handle(hash: [u8; 32]) -> Handle {
    hash[..16].try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
