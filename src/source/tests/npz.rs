//! NPZ: every type of item, both orders, both packings, and each error.

use super::super::npy::NpyError;
use super::super::{SourceError, open};
use super::make::{Packed, npy, npz, zip};
use super::testing::{Folder, Row, drain, read_bytes};

fn f4(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn i8s(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn x() -> (&'static str, Vec<u8>) {
    ("X", npy("<f4", false, "(3, 2)", &f4(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])))
}

fn y() -> (&'static str, Vec<u8>) {
    ("y", npy("<i8", false, "(3,)", &i8s(&[7, -8, 9])))
}

fn error(bytes: &[u8]) -> SourceError {
    read_bytes(bytes).unwrap_err()
}

fn float(value: f32) -> String {
    format!("f{:08x}", value.to_bits())
}

/// The column `y` of a container whose `X` has as many rows.
fn column(descr: &str, rows: usize, data: &[u8]) -> Result<Vec<String>, SourceError> {
    let x = npy("|u1", false, &format!("({rows}, 1)"), &vec![0; rows]);
    let y = npy(descr, false, &format!("({rows},)"), data);
    let (_, rows) = read_bytes(&npz(false, &[("X", x), ("y", y)]))?;
    Ok(rows.into_iter().map(|(_, cells)| cells[1].clone()).collect())
}

#[test]
fn all_four_arrays_in_both_packings_and_any_order() {
    let ids = ("ids", npy("<i4", false, "(3, 1)", &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]));
    let subjects = ("subjects", npy("|S2", false, "(3,)", b"a\0bbc\0"));
    let expected: Vec<Row> = (0..3u8)
        .map(|n| {
            let cells = [
                float(f32::from(2 * n + 1)),
                float(f32::from(2 * n + 2)),
                ["i7", "i-8", "i9"][usize::from(n)].to_owned(),
                format!("i{}", n + 1),
                ["a", "bb", "c"][usize::from(n)].to_owned(),
            ];
            (format!("Row {}", n + 1), cells.to_vec())
        })
        .collect();
    for deflate in [false, true] {
        let (columns, rows) = read_bytes(&npz(deflate, &[subjects.clone(), y(), ids.clone(), x()])).unwrap();
        assert_eq!(columns, ["x0", "x1", "y", "id", "subject"]);
        assert_eq!(rows, expected);
    }
}

#[test]
fn every_type_of_item() {
    assert_eq!(column("|b1", 2, &[0, 1]).unwrap(), ["i0", "i1"]);
    assert_eq!(column("|u1", 2, &[0, 255]).unwrap(), ["b0", "b255"]);
    assert_eq!(column("|i1", 2, &[1, 255]).unwrap(), ["i1", "i-1"]);
    assert_eq!(column("<i2", 1, &[0, 0x80]).unwrap(), ["i-32768"]);
    assert_eq!(column(">i2", 1, &[0x80, 1]).unwrap(), ["i-32767"]);
    assert_eq!(column("<u2", 1, &[0, 0x80]).unwrap(), ["i32768"]);
    assert_eq!(column("<u4", 1, &[255; 4]).unwrap(), ["i4294967295"]);
    assert_eq!(column("<u8", 1, &[5, 0, 0, 0, 0, 0, 0, 0]).unwrap(), ["i5"]);
    assert_eq!(column(">f4", 1, &1.5f32.to_be_bytes()).unwrap(), [float(1.5)]);
    // A double between two floats goes to the nearer one, and one half way to the even one.
    for (double, single) in [(0.1f64, 0.1f32), (1.0 + f64::from(f32::EPSILON) / 2.0, 1.0), (1e300, f32::INFINITY)] {
        assert_eq!(column("<f8", 1, &double.to_le_bytes()).unwrap(), [float(single)]);
        assert_eq!(column(">f8", 1, &double.to_be_bytes()).unwrap(), [float(single)]);
    }
    for bits in [0x7fc0_0000u32, 0xffc0_0001, 0x7f80_0001] {
        assert_eq!(column("<f4", 1, &bits.to_le_bytes()).unwrap(), ["f7fc00000"]);
        let double = u64::from(bits) << 32 | 1;
        assert_eq!(column("<f8", 1, &(double | 0x7ff0_0000_0000_0000).to_le_bytes()).unwrap(), ["f7fc00000"]);
    }
    for bits in [0x8000_0000u32, 1, 0x007f_ffff, 0xff80_0000, 0x7f7f_ffff] {
        assert_eq!(column("<f4", 1, &bits.to_le_bytes()).unwrap(), [format!("f{bits:08x}")]);
    }
    let little: Vec<u8> = ['ü', '\0', '𝄞', 'x'].iter().flat_map(|&c| (c as u32).to_le_bytes()).collect();
    let big: Vec<u8> = ['ü', '\0', '𝄞', 'x'].iter().flat_map(|&c| (c as u32).to_be_bytes()).collect();
    assert_eq!(column("<U2", 2, &little).unwrap(), ["ü", "𝄞x"]);
    assert_eq!(column(">U2", 2, &big).unwrap(), ["ü", "𝄞x"]);
    assert_eq!(column("|S2", 3, b"\0\0a\0\0b").unwrap(), ["", "a", "\0b"]);
}

#[test]
fn items_without_a_cell_name_their_row() {
    let mut large = i8s(&[1, -1]);
    assert!(matches!(column("<u8", 2, &large), Err(SourceError::Item { row: 2, .. })));
    large[8..12].copy_from_slice(&0xd800u32.to_le_bytes());
    assert!(matches!(column("<U1", 2, &[[b'a', 0, 0, 0], [0, 0xd8, 0, 0]].concat()), Err(SourceError::Item { row: 2, .. })));
}

#[test]
fn fortran_order_is_read_where_it_is_not_compressed() {
    let values: Vec<f32> = (0..20_000u16).map(f32::from).collect();
    let columns: Vec<f32> = (0..4).flat_map(|c| values.iter().skip(c).step_by(4).copied()).collect();
    let y = ("y", npy("<i8", true, "(5000,)", &[0; 40_000]));
    let c_order = npz(false, &[("X", npy("<f4", false, "(5000, 4)", &f4(&values))), y.clone()]);
    let f_order = ("X", npy("<f4", true, "(5000, 4)", &f4(&columns)));
    let expected = read_bytes(&c_order).unwrap();
    assert_eq!(expected.1.len(), 5000);
    assert_eq!(read_bytes(&npz(false, &[f_order.clone(), y.clone()])).unwrap(), expected);
    assert!(matches!(error(&npz(true, &[f_order.clone(), y.clone()])), SourceError::CompressedColumns { .. }));
    let mut damaged = npz(false, &[f_order, y]);
    damaged[5000] ^= 1;
    assert!(matches!(error(&damaged), SourceError::Checksum { .. }));
    let cube = npy("<f4", true, "(2, 2, 2)", &[0; 32]);
    assert!(matches!(error(&npz(false, &[("X", cube)])), SourceError::Shape { .. }));
}

#[test]
fn higher_dimensions_become_columns() {
    let cube = npy("|u1", false, "(2, 2, 2)", &[1, 2, 3, 4, 5, 6, 7, 8]);
    let y = npy("|u1", false, "(2,)", &[0, 1]);
    let (columns, rows) = read_bytes(&npz(true, &[("X", cube), ("y", y)])).unwrap();
    assert_eq!(columns, ["x0", "x1", "x2", "x3", "y"]);
    assert_eq!(rows[1].1, ["b5", "b6", "b7", "b8", "b1"]);
}

#[test]
fn many_rows_come_in_bounded_batches() {
    let x = npy("<f8", false, "(9000, 1)", &[0; 72_000]);
    let y = npy("|u1", false, "(9000,)", &[1; 9000]);
    let folder = Folder::new();
    let mut source = open(&folder.file("a.npz", &npz(true, &[("X", x), ("y", y)]))).unwrap();
    let rows = drain(source.as_mut()).unwrap();
    assert_eq!(rows.last().unwrap().0, "Row 9000");
    assert_eq!(source.bytes_read(), source.bytes_total());
}

#[test]
fn containers_must_hold_the_arrays_and_no_others() {
    assert!(matches!(error(&npz(false, &[y()])), SourceError::MissingArray { array: "X", .. }));
    // Rows that are to be scored need no labels.
    assert_eq!(read_bytes(&npz(false, &[x()])).unwrap().0, ["x0", "x1"]);
    assert!(matches!(error(&npz(false, &[])), SourceError::MissingArray { array: "X", .. }));
    match error(&npz(false, &[x(), y(), ("subject", y().1)])) {
        SourceError::UnknownArray { array, .. } => assert_eq!(array, "subject"),
        other => panic!("{other}"),
    }
}

#[test]
fn shapes_and_items_must_fit_the_role() {
    let wrong = |array: &str, file: Vec<u8>| {
        let arrays = [x(), y()].map(|(name, bytes)| (name, if name == array { file.clone() } else { bytes }));
        error(&npz(false, &arrays))
    };
    assert!(matches!(wrong("y", npy("|u1", false, "(2,)", &[0; 2])), SourceError::Shape { .. }));
    assert!(matches!(wrong("y", npy("|u1", false, "(3, 2)", &[0; 6])), SourceError::Shape { .. }));
    assert!(matches!(wrong("X", npy("|u1", false, "()", &[0])), SourceError::Shape { .. }));
    assert!(matches!(wrong("X", npy("|u1", false, "(3, 0)", &[])), SourceError::Shape { .. }));
    assert!(matches!(wrong("X", npy("|u1", false, "(0, 3)", &[])), SourceError::NoRows { .. }));
    assert!(matches!(wrong("X", npy("|S1", false, "(3, 1)", b"abc")), SourceError::Items { .. }));
    let wide = npy("|u1", false, "(3, 131069)", &vec![0; 3 * 131_069]);
    assert!(matches!(wrong("X", wide), SourceError::TooWide { .. }));
    let object = npy("|O", false, "(3,)", &[0; 24]);
    assert!(matches!(wrong("y", object), SourceError::Npy { cause: NpyError::Items { .. }, .. }));
    assert!(matches!(wrong("y", b"\x93NUM".to_vec()), SourceError::Npy { cause: NpyError::Short { got: 4, .. }, .. }));
    let cut = npy("|u1", false, "(3,)", &[])[..100].to_vec();
    assert!(matches!(wrong("y", cut), SourceError::Npy { cause: NpyError::Short { got: 100, .. }, .. }));
    for (shape, count) in [("(3,)", 2), ("(3,)", 4), ("(4294967296, 4294967296)", 3), ("(18446744073709551615,)", 3)] {
        let array = npy("|u1", false, shape, &vec![0; count]);
        assert!(matches!(wrong("y", array), SourceError::MemberSize { .. }), "{shape}");
    }
}

#[test]
fn damage_is_found() {
    let whole = npz(false, &[x(), y()]);
    let data = whole.windows(4).position(|bytes| bytes == 6.0f32.to_le_bytes()).unwrap();
    let mut flipped = whole.clone();
    flipped[data] ^= 1;
    assert!(matches!(error(&flipped), SourceError::Checksum { .. }));
    assert!(matches!(error(&whole[..whole.len() - 30]), SourceError::Zip { .. }));
    let mut packed = npz(true, &[x(), y()]);
    let body = 30 + "X.npy".len();
    packed[body + 4..body + 12].fill(0xff);
    assert!(matches!(error(&packed), SourceError::Member { .. } | SourceError::Npy { .. }));
    // The directory's method and flags.
    for (offset, value) in [(10, 12), (8, 1)] {
        let mut bytes = whole.clone();
        let entry = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        bytes[entry + offset] = value;
        assert!(matches!(error(&bytes), SourceError::Packing { .. }), "{offset}");
    }
    // A directory that announces fewer packed bytes than the member has.
    let mut bytes = whole.clone();
    let entry = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    bytes[entry + 20] -= 1;
    match error(&bytes) {
        SourceError::Member { array, detail, .. } => {
            assert_eq!((array.as_str(), detail.as_str()), ("X", "the data ends early"))
        }
        other => panic!("{other}"),
    }
    // A directory that announces more or fewer bytes than the member has.
    let member = Packed { name: "X.npy", data: x().1, deflate: true };
    let y = Packed { name: "y.npy", data: y().1, deflate: false };
    let bytes = zip(&[member, y]);
    let entry = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    for change in [-1i8, 1] {
        let mut bytes = bytes.clone();
        bytes[entry + 24] = bytes[entry + 24].wrapping_add_signed(change);
        assert!(matches!(error(&bytes), SourceError::MemberSize { .. }));
    }
}
