//! How forms are told apart.

use super::super::SourceError;
use super::make::{gzip, npy, npz};
use super::testing::{Folder, read, read_bytes};

#[test]
fn the_name_does_not_matter() {
    let folder = Folder::new();
    let arrays = [("X", npy("<f4", false, "(1, 1)", &[0; 4])), ("y", npy("|u1", false, "(1,)", &[3]))];
    let (columns, _) = read(&folder.file("a.csv", &npz(false, &arrays))).unwrap();
    assert_eq!(columns, ["x0", "y"]);
    let (columns, _) = read(&folder.file("a.npz", b"u,v\n1,2\n")).unwrap();
    assert_eq!(columns, ["u", "v"]);
}

#[test]
fn known_strangers_are_named() {
    for (bytes, name) in [
        (npy("<f4", false, "(1,)", &[0; 4]), "a single NumPy array"),
        (b"FEA1....".to_vec(), "a Feather file of the first version"),
        (b"\xff\xfea\0,\0b\0".to_vec(), "UTF-16 text"),
        (gzip(&gzip(b"a\n1\n")), "gzipped twice"),
        (gzip(&npz(false, &[])), "a gzipped NPZ"),
        (b"\x28\xb5\x2f\xfd....".to_vec(), "a zstd stream"),
    ] {
        match read_bytes(&bytes).unwrap_err() {
            SourceError::Foreign { found, .. } => assert_eq!(found, name),
            other => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn folders_and_missing_files_are_errors() {
    let folder = Folder::new();
    assert!(matches!(read(&folder.path("")), Err(SourceError::NotAFile { .. })));
    assert!(matches!(read(&folder.path("none.csv")), Err(SourceError::Open { .. })));
}
