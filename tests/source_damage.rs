//! Thousands of damaged files, the same ones on every run: nothing panics, hangs or takes memory without bound.
//! The allocator of this test stops the process at 64 MiB.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test reads its seeds by hand, and one that finds something else should stop"
)]

#[path = "../src/source/tests/make.rs"]
mod make;
#[cfg(feature = "parquet")]
#[path = "../src/source/tests/make_columnar.rs"]
mod make_columnar;

use std::alloc::System;
use std::io::Write;

use cap::Cap;
use make::{Random, gzip, idx, npy, npz};
use sisa::source::idx::IdxHeader;
use sisa::source::npy::NpyHeader;
use sisa::source::{Batch, SourceError, open};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 64 << 20);

/// Writes the bytes to a new file, reads it to its end, and returns the count of rows.
fn read(bytes: &[u8]) -> Result<usize, SourceError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut source = open(file.path())?;
    let mut batch = Batch::new();
    let mut rows = 0;
    while let count @ 1.. = source.next(&mut batch)? {
        for row in 0..count {
            for column in 0..source.columns().len() {
                let _ = batch.cell(row, column);
            }
        }
        rows += count;
    }
    Ok(rows)
}

/// Files of every form, small so that each mutation matters.
fn seeds() -> Vec<Vec<u8>> {
    let csv = b"a,b,c\n1,2,3\r\n\"x\"\"y\",\"l\n\",\n4.5,-1e9,  z\n".to_vec();
    let floats: Vec<u8> = (0..12u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
    let arrays = |fortran| {
        [
            ("X", npy("<f4", fortran, "(4, 3)", &floats)),
            ("y", npy("<U2", false, "(4,)", &[65, 0, 0, 0].repeat(8))),
            ("ids", npy(">u8", false, "(4,)", &[0; 32])),
            ("subjects", npy("|S3", false, "(4,)", b"abcdefghijkl")),
        ]
    };
    let matrix = idx(&[4, 3], &[5; 12]);
    vec![gzip(&csv), csv, npz(false, &arrays(false)), npz(true, &arrays(false)), npz(false, &arrays(true)), gzip(&matrix), matrix]
}

/// Small columnar files: of the same four rows, and those of every packing and type that tests/data/columnar has.
#[cfg(feature = "parquet")]
fn columnar_seeds() -> Vec<Vec<u8>> {
    use make_columnar::Data;
    let columns = || {
        let text = ["p1", "p1", "a longer text", ""].map(|text| Some(text.to_owned()));
        [
            ("a", Data::Ints(vec![Some(1), None, Some(-3), Some(1 << 40)])),
            ("b", Data::Floats(vec![None, Some(0.5), Some(2.0), None])),
            ("c", Data::Text(text.to_vec())),
        ]
    };
    let mut seeds = vec![
        make_columnar::parquet(&columns(), 3, false),
        make_columnar::parquet(&columns(), 4, true),
        make_columnar::arrow(&columns(), 3),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/columnar");
    let rows = ["zstd.parquet", "zstd-v2.parquet", "snappy-v2.parquet", "gzip.parquet", "lz4.parquet", "lz4.arrow"];
    let lists = ["lists.parquet", "lists-v2.parquet", "lists-old.parquet", "lists.arrow"];
    for name in rows.into_iter().chain(lists) {
        seeds.push(std::fs::read(folder.join(name)).unwrap());
    }
    seeds
}

#[cfg(feature = "parquet")]
#[test]
fn damaged_columnar_files_end_in_rows_or_errors() {
    let seeds = columnar_seeds();
    let mut random = Random(4);
    let (mut good, mut bad) = (0, 0);
    let rows: Vec<usize> = seeds.iter().map(|seed| read(seed).unwrap()).collect();
    assert_eq!(rows, [4, 4, 4, 90, 90, 90, 90, 90, 90, 90, 90, 90, 90]);
    for case in 0..13_000 {
        let mut bytes = seeds[case % seeds.len()].clone();
        // Most of a file is its footer, and most of what is declared stands there.
        let other = random.below(seeds.len());
        mutate(&mut bytes, &seeds[other], &mut random);
        match read(&bytes) {
            Ok(_) => good += 1,
            Err(error) => {
                assert!(error.to_string().contains(';'), "case {case}, no advice: {error}");
                bad += 1;
            }
        }
    }
    assert!(good > 300 && bad > 3000, "{good} read, {bad} refused");
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b',', b'\n'][random.below(8)],
            2 => bytes.truncate(at),
            3 => {
                // A length that is as large as it can be.
                let end = bytes.len().min(at + [2, 4, 8][random.below(3)]);
                bytes[at..end].fill(0xff);
            }
            4 => {
                let from = random.below(other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            5 => {
                let end = at + random.below(bytes.len() - at);
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let end = bytes.len().min(at + 1 + random.below(8));
                bytes.drain(at..end);
            }
        }
    }
}

#[test]
fn damaged_files_end_in_rows_or_errors() {
    let seeds = seeds();
    let mut random = Random(2);
    let (mut good, mut bad) = (0, 0);
    let rows: Vec<usize> = seeds.iter().map(|seed| read(seed).unwrap()).collect();
    assert_eq!(rows, [3, 3, 4, 4, 4, 4, 4]);
    for case in 0..6000 {
        let mut bytes = seeds[case % seeds.len()].clone();
        let other = random.below(seeds.len());
        mutate(&mut bytes, &seeds[other], &mut random);
        match read(&bytes) {
            Ok(_) => good += 1,
            Err(error) => {
                assert!(error.to_string().contains(';'), "case {case}, no advice: {error}");
                bad += 1;
            }
        }
    }
    // Both happen often, or the mutations are too tame or too wild to test anything.
    assert!(good > 300 && bad > 3000, "{good} read, {bad} refused");
}

#[test]
fn damaged_headers_end_in_headers_or_errors() {
    let mut random = Random(3);
    let header = npy("<f4", false, "(4, 3)", &[]);
    let images = idx(&[4, 3, 5], &[]);
    for _ in 0..20_000 {
        let mut bytes = header.clone();
        mutate(&mut bytes, &images, &mut random);
        if let Ok(header) = NpyHeader::parse(&bytes) {
            let _ = header.data_bytes();
        }
        let mut bytes = images.clone();
        mutate(&mut bytes, &header, &mut random);
        let _ = IdxHeader::parse(&bytes);
    }
}

#[test]
fn small_files_that_unpack_to_large_ones_are_read_in_bounded_memory() {
    let long = |piece: &[u8], count: usize| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let block = piece.repeat(1 << 16);
        (0..count).for_each(|_| encoder.write_all(&block).unwrap());
        encoder.finish().unwrap()
    };
    // Each of these is at least 100 MB when unpacked.
    for piece in [&b"aa"[..], b",,", b"\"\"", b"\",", b"\0\0"] {
        let bomb = long(piece, 800);
        assert!(read(&bomb).is_err(), "{piece:?}");
        assert!(read(&[gzip(b"a,b\n1,"), bomb].concat()).is_err(), "{piece:?}");
    }
    assert_eq!(read(&[gzip(b"a,b\n"), long(b"1,\n", 600)].concat()).unwrap(), 600 << 16);
    // Blank lines are skipped without end.
    assert_eq!(read(&[gzip(b"a,b\n1,2"), long(b"\r\n", 800)].concat()).unwrap(), 1);
    let rows = idx(&[u32::MAX, 300, 400], &[]);
    assert!(matches!(read(&[gzip(&rows), long(b"\0", 1600)].concat()), Err(SourceError::NoLabels { .. })));
    let matrix = idx(&[u32::MAX, 120_000], &[]);
    assert!(matches!(read(&[gzip(&matrix), long(b"\0", 1600)].concat()), Err(SourceError::IdxShort { .. })));
}
