//! Thousands of damaged slices and checkpoints, the same ones on every run, their digests made right again so that every
//! check behind the digest is reached: nothing panics, and nothing takes memory that the file does not have.
#![expect(clippy::indexing_slicing, reason = "a test that finds something else should stop")]

use std::{alloc::System, path::Path};

use cap::Cap;
use sisa::{
    digest::{Digest, ModelKey},
    fs::{AlignedBuf, Bytes},
    ids::{Cell, Handle, Part, ShardId, SliceId},
    learn::{Layout, LearnerSettings, Task},
    schema::RowLayout,
    shard::{Slice, SliceFile},
};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 64 << 20);

const CELL: Cell = Cell { shard: ShardId(2), part: Part::Slice(SliceId(3)) };
const ROW: RowLayout = RowLayout { numbers: 2, bytes: 3, categories: 2, class_label: true };

fn layout() -> Layout {
    Layout {
        numbers: 2,
        ranges: vec![None; 2],
        indicators: vec![1],
        byte_scales: vec![0.5; 3],
        categories: vec![4, 9],
        task: Task::Classes(3),
        label_range: None,
    }
}

/// splitmix64
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ x >> 31) % n as u64) as usize
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = 0xff,
                2 => bytes.truncate(at.max(1)),
                3 => bytes.extend_from_slice(&vec![self.below(256) as u8; self.below(200)]),
                4 => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].fill(0xff);
                }
                _ => {
                    let from = self.below(bytes.len());
                    let n = self.below(64).min(bytes.len() - from).min(bytes.len() - at);
                    bytes.copy_within(from..from + n, at);
                }
            }
        }
    }
}

#[test]
fn damaged_slices_are_errors_or_slices() {
    let key = ModelKey::from_bytes([1; 32]);
    let encoded: Vec<Vec<u8>> = (0..40_u32)
        .map(|i| {
            let mut row = Vec::new();
            row.extend((i % 3).to_le_bytes());
            row.extend((i as f32).to_le_bytes());
            row.extend(f32::NAN.to_le_bytes());
            row.extend((i % 4).to_le_bytes());
            row.extend((i % 9).to_le_bytes());
            row.extend([i as u8, 1, 2]);
            row
        })
        .collect();
    let handle = |i: usize| Handle(*Digest::of(&i.to_le_bytes()).0.first_chunk().unwrap());
    let rows: Vec<_> = encoded.iter().enumerate().map(|(i, e)| (handle(i), handle(i / 2), e.as_slice())).collect();
    let good = SliceFile::build((CELL, None), ROW, &rows, &key).unwrap();
    let mut random = Random(7);
    let mut opened = 0;
    for _ in 0..20_000 {
        let mut bytes = good.bytes().to_vec();
        random.damage(&mut bytes);
        if bytes.len() >= 80 {
            let digest = key.content(&[&bytes[..48], &bytes[80..]]);
            bytes[48..80].copy_from_slice(&digest.0);
        }
        let file = Bytes::owned(AlignedBuf::copy_of(&bytes));
        if let Ok(slice) = Slice::open(file, Path::new("x"), (CELL, None), &layout(), ROW, &key) {
            opened += 1;
            assert_eq!(slice.records().len() as u64, slice.header().rows);
            assert_eq!(slice.rows().features.rows() as u64, slice.header().rows);
            let gone = [handle(3)].into_iter().collect();
            assert!(SliceFile::without(&slice, &gone, &key).unwrap().rows <= slice.header().rows);
        }
    }
    assert!(opened > 100, "the damage never reaches past the header: {opened}");
}

#[test]
fn damaged_states_are_errors_or_states() {
    let settings = r#"{"kind":"mlp","hidden":[3],"activation":"relu","optimizer":{"kind":"sgd","momentum":0.9},"rate":0.1,"decay":"constant","l2":0,"batch":4}"#;
    let settings: LearnerSettings = serde_json::from_str(settings).unwrap();
    let learner = settings.check().unwrap();
    let good = learner.init(&layout(), [3; 32]).encode();
    assert_eq!(learner.decode(&layout(), &good).unwrap().encode(), good);
    let mut random = Random(9);
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        random.damage(&mut bytes);
        if let Ok(state) = learner.decode(&layout(), &bytes) {
            assert_eq!(state.encode(), bytes);
        }
    }
}
