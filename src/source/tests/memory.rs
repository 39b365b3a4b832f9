//! Tables in memory: the cells of each kind, masks, chunks, projections, bounds and errors.

use std::ops::Range;
use std::sync::Arc;

use super::super::{
    BATCH_BYTES, BATCH_ROWS_MAX, BadItem, Batch, Cell, CellKind, Cells, Chunk, Chunks, Column, Delimiter, FIELD_BYTES_MAX, Input,
    MemoryTable, Part, Source, SourceError, Table, TextForm, Values,
};
use super::testing::{Folder, drain};

fn first_row<'a>(batch: &'a mut Batch, table: &MemoryTable) -> Vec<Cell<'a>> {
    let mut source = table.open().unwrap();
    assert!(source.next(batch).unwrap() > 0);
    (0..source.columns().len()).map(|column| batch.cell(0, column)).collect()
}

#[test]
fn every_kind_has_its_cells() {
    let table = MemoryTable::new("t")
        .column("f", vec![f32::NAN])
        .column("d", vec![0.1_f64])
        .column("i", vec![-7_i64])
        .column("b", vec![200_u8])
        .column("flag", vec![true])
        .column("s", vec!["é "])
        .column("none", vec![None::<String>])
        .column("nan", Values::from(vec![f64::NAN]).with_nan_missing());
    let mut batch = Batch::new();
    let cells = first_row(&mut batch, &table);
    assert!(matches!(cells[0], Cell::Float(nan) if nan.to_bits() == 0x7fc0_0000));
    let text = "é ".as_bytes();
    let expected =
        [Cell::Float(0.1), Cell::Int(-7), Cell::Byte(200), Cell::Int(1), Cell::Text(text), Cell::Missing, Cell::Missing];
    assert_eq!(cells[1..], expected);
    assert_eq!(batch.place(0).to_string(), "t: row 1");
}

#[test]
fn chunks_follow_each_other_and_empty_ones_are_passed_over() {
    let chunk = |from: i64, rows: i64| vec![Arc::new(Values::from((from..from + rows).collect::<Vec<_>>())) as Arc<dyn Column>];
    let table = MemoryTable::of_chunks("t", vec!["n".into()], vec![chunk(0, 0), chunk(0, 5000), chunk(5000, 0), chunk(5000, 2)]);
    // It can be read as often as is asked for.
    for _ in 0..2 {
        let rows = drain(table.open().unwrap().as_mut()).unwrap();
        assert_eq!(rows.len(), 5002);
        assert!(rows.iter().enumerate().all(|(at, row)| *row == (format!("Row {}", at + 1), vec![format!("i{at}")])));
    }
    let mut ahead = Input::from(table).open_ahead(&TextForm::default()).unwrap();
    assert_eq!(drain(ahead[0].as_mut()).unwrap().len(), 5002);
}

#[test]
fn batches_are_bounded_by_rows_and_by_text() {
    let mut batch = Batch::new();
    let mut narrow = MemoryTable::new("t").column("n", vec![1_u8; 10_000]).open().unwrap();
    assert_eq!(narrow.next(&mut batch).unwrap(), BATCH_ROWS_MAX);
    let mut long = MemoryTable::new("t").column("s", vec!["x".repeat(BATCH_BYTES / 2); 10]).open().unwrap();
    assert_eq!(long.next(&mut batch).unwrap(), 2);
    let mut longer = MemoryTable::new("t").column("s", vec!["x".repeat(FIELD_BYTES_MAX + 1)]).open().unwrap();
    assert!(matches!(longer.next(&mut batch), Err(SourceError::LongText { row: 1, .. })));
    assert!(matches!(longer.next(&mut batch), Err(SourceError::Stopped { .. })));
}

#[test]
fn columns_that_nobody_looks_at_are_not_read() {
    #[derive(Debug)]
    struct Untouchable;
    impl Column for Untouchable {
        fn kind(&self) -> CellKind {
            CellKind::Text
        }
        fn rows(&self) -> usize {
            1
        }
        fn text_bytes(&self, _: usize) -> usize {
            panic!("was looked at")
        }
        fn read(&self, _: Range<usize>, _: &mut Part) -> Result<(), BadItem> {
            panic!("was read")
        }
    }
    let chunk = vec![Arc::new(Untouchable) as Arc<dyn Column>, Arc::new(Values::from(vec![3_i64]))];
    let table = MemoryTable::of_chunks("t", vec!["a".into(), "b".into()], vec![chunk]);
    let mut source = table.open().unwrap();
    source.only(&[1]);
    let mut batch = Batch::new();
    assert_eq!(source.next(&mut batch).unwrap(), 1);
    assert_eq!([batch.cell(0, 0), batch.cell(0, 1)], [Cell::Missing, Cell::Int(3)]);
}

#[test]
fn columns_of_a_matrix_and_items_without_a_cell() {
    /// Two columns; row 5000 holds a number that does not fit.
    #[derive(Debug)]
    struct Wide;
    impl Column for Wide {
        fn kind(&self) -> CellKind {
            CellKind::Int
        }
        fn width(&self) -> usize {
            2
        }
        fn rows(&self) -> usize {
            6000
        }
        fn read(&self, rows: Range<usize>, out: &mut Part) -> Result<(), BadItem> {
            if rows.contains(&5000) {
                return Err(BadItem { row: 5000, found: "2^63".into(), advice: "use numbers below 2^63" });
            }
            if let Cells::Ints(cells) = out.cells() {
                cells.extend(rows.flat_map(|row| [row as i64, -(row as i64)]));
            }
            Ok(())
        }
    }
    let name: Arc<str> = "m".into();
    let chunk = Chunk::new(&name, vec![Arc::new(Wide)]).unwrap();
    let mut source = Chunks::new(&name, vec!["a".into(), "b".into()], Box::new([Ok(chunk)].into_iter()), 6000).unwrap();
    let mut batch = Batch::new();
    assert_eq!(source.next(&mut batch).unwrap(), BATCH_ROWS_MAX);
    assert_eq!(batch.cell(4095, 1), Cell::Int(-4095));
    let error = source.next(&mut batch).unwrap_err();
    assert_eq!(error.to_string(), "m: row 5001: array `a` holds 2^63; use numbers below 2^63");
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let error = |table: MemoryTable| match table.open() {
        Err(error) => error.to_string(),
        Ok(mut source) => source.next(&mut Batch::new()).unwrap_err().to_string(),
    };
    let table = MemoryTable::new("t").column("a", vec![1_i64]);
    assert!(error(table.clone().column("b", vec![1_i64, 2])).contains("t: column 2 has 2 rows where the first has 1"));
    assert!(error(table.clone().column("a", vec![1_i64])).contains("columns 1 and 2 are both named `a`"));
    let unnamed = MemoryTable::of_chunks("t", Vec::new(), vec![vec![Arc::new(Values::from(vec![1_i64]))]]);
    assert!(error(unnamed).contains("holds 1 columns where 0 are named"));
}

#[test]
fn files_and_tables_stand_in_the_order_given() {
    let folder = Folder::new();
    let path = folder.file("a.csv", b"n\n1\n");
    let table = || MemoryTable::new("m").column("n", vec![2_i64]);
    let sources = Input::new().with(table()).with_file(path).with(table()).open(&TextForm::default()).unwrap();
    let names: Vec<&str> = sources.iter().map(|source| source.name().rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["m", "a.csv", "m"]);
}

/// Text in memory is read as a file with the same bytes is, packed or not, with the same places in messages.
#[test]
fn text_in_memory_is_a_file_without_a_path() {
    let folder = Folder::new();
    let text = b"a;b\n1;\"x;\ny\"\n\n2;z\n";
    let form = TextForm { delimiter: Delimiter::Semicolon, ..TextForm::default() };
    let cells = |input: Input| {
        let (mut batch, mut found) = (Batch::new(), Vec::new());
        for mut source in input.open(&form).unwrap() {
            assert_eq!(source.columns(), ["a", "b"]);
            while source.next(&mut batch).unwrap() > 0 {
                for row in 0..batch.rows() {
                    found.push((batch.line(row), batch.cell(row, 0).to_string(), batch.cell(row, 1).to_string()));
                }
            }
        }
        found
    };
    let file = cells(Input::from(folder.file("t.csv", text)));
    assert_eq!(file.len(), 2);
    assert_eq!(cells(Input::new().with_text("t", text.as_slice())), file);
    let packed = [super::make::gzip(&text[..7]), super::make::gzip(&text[7..])].concat();
    assert_eq!(cells(Input::new().with_text("t", packed)), file);
    let error = Input::new().with_text("the body", b"BZh9".as_slice()).open(&form).err().unwrap();
    assert!(error.to_string().contains("the body"), "{error}");
}
