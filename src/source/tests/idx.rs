//! IDX: images with labels, each error, and how partners are found.

use super::super::{Input, SourceError, TextForm, open_pair};
use super::make::{gzip, idx};
use super::testing::{Folder, Row, drain, read};

fn images() -> Vec<u8> {
    idx(&[3, 1, 2], &[1, 2, 3, 4, 5, 6])
}

fn labels() -> Vec<u8> {
    idx(&[3], &[7, 8, 9])
}

fn expected() -> Vec<Row> {
    let rows = [(1, ["b1", "b2", "b7"]), (2, ["b3", "b4", "b8"]), (3, ["b5", "b6", "b9"])];
    rows.iter().map(|(n, cells)| (format!("Row {n}"), cells.map(str::to_owned).to_vec())).collect()
}

#[test]
fn images_find_their_labels_packed_or_not() {
    for (images_name, labels_name) in [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"),
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte.gz"),
    ] {
        let folder = Folder::new();
        let pack = |name: &str, bytes: Vec<u8>| if name.ends_with(".gz") { gzip(&bytes) } else { bytes };
        let path = folder.file(images_name, &pack(images_name, images()));
        folder.file(labels_name, &pack(labels_name, labels()));
        let (columns, rows) = read(&path).unwrap();
        assert_eq!(columns, ["p0", "p1", "label"]);
        assert_eq!(rows, expected());
    }
}

#[test]
fn a_pair_by_any_names_and_all_in_one_call() {
    let folder = Folder::new();
    let (a, b) = (folder.file("a", &images()), folder.file("b", &gzip(&labels())));
    assert_eq!(drain(open_pair(&a, &b).unwrap().as_mut()).unwrap(), expected());
    assert!(matches!(open_pair(&b, &a).err(), Some(SourceError::Role { .. })));
    assert!(matches!(open_pair(&a, &a).err(), Some(SourceError::Role { .. })));
    let table = folder.file("t.csv", b"a\n1\n");
    let mut all = Input::from(vec![b.clone(), table.clone(), a.clone()]).open(&TextForm::default()).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].columns(), ["a"]);
    assert_eq!(drain(all[1].as_mut()).unwrap(), expected());
    assert!(matches!(
        Input::from(vec![table, b.clone()]).open(&TextForm::default()).err(),
        Some(SourceError::LabelsAlone { .. })
    ));
    assert!(matches!(
        Input::from(vec![a.clone(), a, b.clone(), b]).open(&TextForm::default()).err(),
        Some(SourceError::LabelsAlone { .. })
    ));
}

#[test]
fn sets_in_one_call_are_paired_by_name() {
    let folder = Folder::new();
    let names = ["t10k-labels-idx1-ubyte", "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"];
    let other = idx(&[1, 1, 2], &[10, 11]);
    let data = [idx(&[1], &[12]), images(), labels(), other];
    let paths: Vec<_> = names.iter().zip(&data).map(|(name, bytes)| folder.file(name, bytes)).collect();
    let mut all = Input::from(paths.clone()).open(&TextForm::default()).unwrap();
    assert_eq!(drain(all[0].as_mut()).unwrap(), expected());
    assert_eq!(drain(all[1].as_mut()).unwrap(), [("Row 1".to_owned(), vec!["b10".to_owned(), "b11".into(), "b12".into()])]);
    // Labels that were not named are found on the disk.
    assert_eq!(drain(Input::from(paths[1].clone()).open(&TextForm::default()).unwrap()[0].as_mut()).unwrap(), expected());
}

#[test]
fn a_matrix_may_stand_alone_and_images_may_not() {
    let folder = Folder::new();
    let (columns, rows) = read(&folder.file("m", &idx(&[2, 2], &[1, 2, 3, 4]))).unwrap();
    assert_eq!((columns.len(), rows.len()), (2, 2));
    let error = read(&folder.file("train-images-idx3-ubyte", &images())).unwrap_err();
    assert!(matches!(error, SourceError::NoLabels { .. }), "{error}");
    assert!(error.to_string().contains("train-labels-idx1-ubyte.gz"), "{error}");
    let error = read(&folder.file("a", &images())).unwrap_err();
    assert!(error.to_string().contains("no `images` in it"), "{error}");
    assert!(matches!(read(&folder.file("l", &labels())), Err(SourceError::LabelsAlone { .. })));
}

#[test]
fn lengths_are_held_against_the_header() {
    let folder = Folder::new();
    let whole = idx(&[3, 2], &[1, 2, 3, 4, 5, 6]);
    for pack in [false, true] {
        let file = |bytes: &[u8]| folder.file("m", &if pack { gzip(bytes) } else { bytes.to_vec() });
        assert_eq!(read(&file(&whole)).unwrap().1.len(), 3);
        assert!(matches!(read(&file(&whole[..whole.len() - 3])), Err(SourceError::IdxShort { row: 2, rows: 3, .. })));
        let long = [whole.clone(), vec![0]].concat();
        assert!(matches!(read(&file(&long)), Err(SourceError::IdxLong { rows: 3, .. })));
        assert!(matches!(read(&file(&whole[..7])), Err(SourceError::Idx { .. })));
        assert!(matches!(read(&file(&idx(&[0, 2], &[]))), Err(SourceError::NoRows { .. })));
    }
    let images = folder.file("a", &images());
    let labels = folder.file("b", &idx(&[2], &[1, 2]));
    let error = open_pair(&images, &labels).err().unwrap();
    assert!(matches!(error, SourceError::PairRows { image_rows: 3, label_rows: 2, .. }), "{error}");
}
