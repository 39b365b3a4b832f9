//! CSV: what is read, each error, and the two roads held against each other.

use super::super::bytes::Bytes;
use super::super::csv::Csv;
use super::super::form::TextForm;
use super::super::{Batch, COLUMNS_MAX, Comment, Delimiter, Encoding, FIELD_BYTES_MAX, Input, Source, SourceError, open};
use super::make::{Random, gzip};
use super::testing::{Folder, Row, drain, read, read_bytes};

fn rows(text: &str) -> Vec<Row> {
    read_bytes(text.as_bytes()).unwrap().1
}

fn row(line: u64, cells: &[&str]) -> Row {
    (format!("Line {line}"), cells.iter().map(|&cell| cell.to_owned()).collect())
}

fn error(bytes: &[u8]) -> SourceError {
    read_bytes(bytes).unwrap_err()
}

#[test]
fn header_and_rows_with_their_lines() {
    let (columns, rows) = read_bytes(b"a, b,\n1,2,3\n,, x \n").unwrap();
    assert_eq!(columns, ["a", " b", ""]);
    assert_eq!(rows, [row(2, &["1", "2", "3"]), row(3, &["", "", " x "])]);
}

#[test]
fn line_ends_byte_order_mark_and_gzip_make_no_difference() {
    let plain = "a,b\n1,2\n3,4\n";
    let expected = read_bytes(plain.as_bytes()).unwrap();
    assert_eq!(expected.1, [row(2, &["1", "2"]), row(3, &["3", "4"])]);
    for text in [
        plain.trim_end().to_owned(),
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\r\n").trim_end().to_owned(),
        plain.replace('\n', "\r"),
        format!("\u{feff}{plain}"),
        "\"a\",b\n\"1\",2\n3,\"4\"".to_owned(),
    ] {
        assert_eq!(read_bytes(text.as_bytes()).unwrap(), expected, "{text:?}");
        assert_eq!(read_bytes(&gzip(text.as_bytes())).unwrap(), expected, "{text:?}");
    }
}

#[test]
fn quotes_hold_commas_quotes_and_line_ends_and_lines_are_still_counted() {
    let text = "a,b\n\"x,y\",\"say \"\"hi\"\"\"\n\"two\nlines\",\"\"\n\n\r\n1,2\r3,4\r\n\"\r\n\",5\n6,7";
    let expected = [
        row(2, &["x,y", "say \"hi\""]),
        row(3, &["two\nlines", ""]),
        row(7, &["1", "2"]),
        row(8, &["3", "4"]),
        row(9, &["\r\n", "5"]),
        row(11, &["6", "7"]),
    ];
    assert_eq!(rows(text), expected);
}

#[test]
fn cells_need_not_be_utf8() {
    let folder = Folder::new();
    let mut source = open(&folder.file("a.csv", b"a\n\xff\n")).unwrap();
    let mut batch = Batch::new();
    assert_eq!(source.next(&mut batch).unwrap(), 1);
    assert_eq!(batch.cell(0, 0), super::super::Cell::Text(b"\xff"));
    assert!(batch.place(0).to_string().ends_with("a.csv: line 2"));
}

#[test]
fn batches_are_bounded_and_bytes_are_counted() {
    let folder = Folder::new();
    let text = format!("a,b\n{}", "12,34\n".repeat(10_000));
    let mut source = open(&folder.file("a.csv", text.as_bytes())).unwrap();
    let mut batch = Batch::new();
    let mut counts = Vec::new();
    while let count @ 1.. = source.next(&mut batch).unwrap() {
        counts.push(count);
    }
    assert_eq!(counts, [4096, 4096, 1808]);
    assert_eq!((source.bytes_read(), source.bytes_total()), (60_004, 60_004));
    assert_eq!(source.next(&mut batch).unwrap(), 0);
    let wide = format!("a,b\n{}", format!("{},\"{}\"\n", "x".repeat(300_000), "y".repeat(300_000)).repeat(5));
    let rows = rows(&wide);
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(|(_, cells)| cells.iter().all(|cell| cell.len() == 300_000)));
}

#[test]
fn no_content_is_an_error() {
    for text in [&b""[..], b"\n\r\n\n", b"\xef\xbb\xbf", &gzip(b"")] {
        assert!(matches!(error(text), SourceError::Empty { .. }), "{text:?}");
    }
    for text in [&b"a,b"[..], b"a,b\n", b"a,b\n\n\n", &gzip(b"a,b\n")] {
        assert!(matches!(error(text), SourceError::NoRows { .. }), "{text:?}");
    }
}

#[test]
fn ragged_rows_name_line_and_counts() {
    for (text, at, count) in [
        ("a,b\n1,2\n3\n", 3, 1),
        ("a,b\n1,2\n3,4,5\n", 3, 3),
        ("a,b\n\"1\n\",2\n\"3\",4,5\n", 4, 3),
        ("a,b\n1,2\n3", 3, 1),
        ("a,b\r\n1,2\r\n3\r\n", 3, 1),
    ] {
        match error(text.as_bytes()) {
            SourceError::Ragged { line, expected: 2, got, .. } => assert_eq!((line, got), (at, count), "{text:?}"),
            other => panic!("{text:?}: {other}"),
        }
    }
    let error = error(b"a,b\n3\n");
    assert!(
        error.to_string().contains("t.dat: line 2: expected 2 fields as in the first line, got 1 (commas separate them);"),
        "{error}"
    );
}

#[test]
fn headers_must_be_text_and_each_name_once() {
    match error(b"a,b,a\n1,2,3\n") {
        SourceError::DuplicateColumn { name, first: 1, second: 3, line: 1, .. } => assert_eq!(name, "a"),
        other => panic!("{other}"),
    }
    assert!(matches!(error(b"\n\na,b\xff\n1,2\n"), SourceError::HeaderUtf8 { line: 3, column: 2, byte: 1, .. }));
}

#[test]
fn fields_records_and_rows_are_bounded() {
    let long = "x".repeat(FIELD_BYTES_MAX);
    assert_eq!(rows(&format!("a,b\n1,{long}\n")).len(), 1);
    for text in [format!("a,b\n1,{long}x\n"), format!("a,b\n1,\"{long}x\"\n"), format!("a,b\n1,\"{long}{long}")] {
        assert!(matches!(error(text.as_bytes()), SourceError::FieldTooLong { line: 2, column: 2, .. }));
    }
    let text = format!("a,b\n{}1\n", format!("{long},").repeat(9));
    assert!(matches!(error(text.as_bytes()), SourceError::RecordTooLong { line: 2, .. }));
    let text = format!("a{}\n1\n", ",".repeat(COLUMNS_MAX));
    assert!(matches!(error(text.as_bytes()), SourceError::TooWide { .. }));
    let text = format!("a,b\n1{}\"\n", ",".repeat(3 * COLUMNS_MAX));
    assert!(matches!(error(text.as_bytes()), SourceError::TooWide { .. }));
}

#[test]
fn a_quote_left_open_is_an_error() {
    for text in ["a,b\n1,2\n3,\"4\n5,6\n", "a,b\n1,2\n3,\"", "a,b\n1,2\n3,\"4\"\""] {
        assert!(matches!(error(text.as_bytes()), SourceError::UnclosedQuote { line: 3, .. }), "{text:?}");
    }
    assert!(matches!(error(b"\"a"), SourceError::UnclosedQuote { line: 1, .. }));
}

#[test]
fn a_cut_gzip_gives_its_rows_but_never_an_end() {
    let text: String = (0..50_000).map(|i: u64| format!("{},{i}\n", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let whole = gzip(format!("a,b\n{text}").as_bytes());
    let folder = Folder::new();
    let path = folder.file("a.csv.gz", &whole[..whole.len() - 3]);
    match read(&path).unwrap_err() {
        SourceError::Gzip { byte, bytes, found: "cut short", .. } => {
            assert_eq!((byte, bytes), (whole.len() as u64 - 3, whole.len() as u64 - 3));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_file_that_grows_while_it_is_read_is_refused_at_the_end() {
    let folder = Folder::new();
    let text = format!("a,b\n{}", "12,34\n".repeat(100_000));
    let path = folder.file("a.csv", text.as_bytes());
    let mut source = open(&path).unwrap();
    assert!(source.next(&mut Batch::new()).unwrap() > 0);
    folder.file("a.csv", format!("{text}5,6\n").as_bytes());
    assert!(matches!(drain(source.as_mut()), Err(SourceError::Changed { .. })));
}

/// The rows by csv-core alone, one byte at a time, as the reference.
fn reference(text: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv_core::Reader::new();
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), Vec::new());
    let mut at = 0;
    loop {
        let mut out = [0; 4];
        let (result, used, written) = reader.read_field(&text[at..text.len().min(at + 1)], &mut out);
        at += used;
        field.extend_from_slice(&out[..written]);
        match result {
            csv_core::ReadFieldResult::Field { record_end } => {
                record.push(String::from_utf8_lossy(&std::mem::take(&mut field)).into_owned());
                if record_end {
                    records.push(std::mem::take(&mut record));
                }
            }
            csv_core::ReadFieldResult::End => return records,
            _ => {}
        }
    }
}

#[test]
fn both_roads_cut_as_csv_core_does_at_any_edge_of_the_buffer() {
    let folder = Folder::new();
    let mut random = Random(1);
    let pieces = ["1", "22", "x y", "", "\"q\"", "\"a,b\"", "\"\"\"\"", "\"l\n\"", "\"\r\n\"", "i\"n", "ü"];
    let ends = ["\n", "\r\n", "\r", "\n\n", "\r\n\r\n"];
    for case in 0..3000 {
        let width = 1 + random.below(4);
        let one_end = random.below(2) == 0;
        let plain = random.below(3) == 0;
        let mut end = random.below(ends.len());
        let mut text = (0..width).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",");
        for _ in 0..1 + random.below(8) {
            end = if one_end { end } else { random.below(ends.len()) };
            text += ends[end];
            let fields: Vec<&str> = (0..width).map(|_| pieces[random.below(if plain { 4 } else { pieces.len() })]).collect();
            text += &fields.join(",");
        }
        text += ["", "\n", "\r\n", "\r"][random.below(4)];
        let expected = reference(text.as_bytes());
        let path = folder.fresh("t.csv", text.as_bytes());
        let buffer = 3 + random.below(20);
        let mut source = Csv::with_buffer(Bytes::open(&path).unwrap(), &TextForm::default(), buffer).unwrap();
        let columns = source.columns().to_vec();
        let got = match drain(&mut source) {
            Ok(rows) => rows,
            Err(SourceError::NoRows { .. }) => Vec::new(),
            Err(other) => panic!("case {case}: {other} in {text:?}"),
        };
        let mut cells = vec![columns];
        cells.extend(got.iter().map(|(_, cells)| cells.clone()));
        assert_eq!(cells, expected, "case {case}: {text:?}");
        // The lines are those of the whole file in one buffer, and never fall.
        if let Ok((_, whole)) = read(&path) {
            assert_eq!(whole, got, "case {case}: {text:?}");
        }
    }
}

fn rows_as(form: &TextForm, bytes: &[u8]) -> Result<(Vec<String>, Vec<Row>), SourceError> {
    let folder = Folder::new();
    let mut source = Input::from(folder.file("t.dat", bytes)).open(form)?.remove(0);
    let columns = source.columns().to_vec();
    Ok((columns, drain(source.as_mut())?))
}

#[test]
fn every_delimiter_gives_the_same_rows() {
    let text = "a,b,c\n1,\"x,y\",3\n,\"q\"\"q\",\r\n4,\"l\n\",6";
    for (delimiter, sign) in
        [(Delimiter::Comma, ","), (Delimiter::Semicolon, ";"), (Delimiter::Tab, "\t"), (Delimiter::Pipe, "|")]
    {
        let form = TextForm { delimiter, ..TextForm::default() };
        let (columns, rows) = rows_as(&form, text.replace(',', sign).as_bytes()).unwrap();
        assert_eq!(columns, ["a", "b", "c"]);
        let quoted = format!("x{sign}y");
        assert_eq!(rows, [row(2, &["1", &quoted, "3"]), row(3, &["", "q\"q", ""]), row(4, &["4", "l\n", "6"])]);
    }
}

#[test]
fn a_header_in_one_piece_names_what_separates_it() {
    let error = read_bytes(b"a;b\n1;2\n").unwrap_err();
    assert!(matches!(error, SourceError::Delimiter { line: 1, found: Delimiter::Semicolon, .. }), "{error}");
    assert!(
        error.to_string().contains("separated by semicolons") && error.to_string().contains("`delimiter = \";\"`"),
        "{error}"
    );
    let form = TextForm { delimiter: Delimiter::Tab, ..TextForm::default() };
    assert!(matches!(rows_as(&form, b"a,b\n1,2\n"), Err(SourceError::Delimiter { found: Delimiter::Comma, .. })));
    // A name may hold one.
    assert_eq!(read_bytes(b"a;b,c\n1,2\n").unwrap().0, ["a;b", "c"]);
}

#[test]
fn a_quote_behind_a_backslash_is_read_where_that_is_declared_and_refused_elsewhere() {
    let text = b"a,b\n1,\"say \\\"hi\\\", twice\"\n2,\"\"\"\"\n";
    match error(text) {
        SourceError::Backslash { line: 2, .. } => {}
        other => panic!("{other}"),
    }
    let form = TextForm { backslash: true, ..TextForm::default() };
    assert_eq!(rows_as(&form, text).unwrap().1, [row(2, &["1", "say \"hi\", twice"]), row(3, &["2", "\""])]);
    // A backslash that is no escape, before the end of a field.
    assert_eq!(rows("a,b\n\"C:\\\",\"x\\\"\n"), [row(2, &["C:\\", "x\\"])]);
}

#[test]
fn lines_before_the_table_and_comments_are_passed_over_and_still_counted() {
    let form = TextForm { skip: 2, comment: Some(Comment::HASH), ..TextForm::default() };
    for end in ["\n", "\r\n", "\r"] {
        let text = "a \"report\n\n# made by hand\na,b\n# so far\n1,2\n#\n\n3,\"#4\"\n#5,6\n# last".replace('\n', end);
        let (columns, rows) = rows_as(&form, text.as_bytes()).unwrap();
        assert_eq!((columns.len(), rows), (2, vec![row(6, &["1", "2"]), row(9, &["3", "#4"])]), "{end:?}");
    }
    assert!(matches!(rows_as(&TextForm { skip: 9, ..form }, b"a,b\n1,2\n"), Err(SourceError::Empty { .. })));
}

#[test]
fn a_table_without_a_header_has_its_first_row() {
    let form = TextForm { header: false, ..TextForm::default() };
    let (columns, rows) = rows_as(&form, b"1,\"x\"\n3,4\n").unwrap();
    assert_eq!(columns, ["c0", "c1"]);
    assert_eq!(rows, [row(1, &["1", "x"]), row(2, &["3", "4"])]);
    assert_eq!(rows_as(&form, b"1,2").unwrap().1, [row(1, &["1", "2"])]);
}

#[test]
fn declared_encodings_become_utf8() {
    let text = "n,stra\u{df}e\r\n1,\u{e9}\u{a3}\n".to_owned();
    let utf16 = |text: &str, to: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let marked = format!("\u{feff}{text}");
    for (encoding, bytes) in [
        (Encoding::Utf8, text.clone().into_bytes()),
        (Encoding::Windows1252, latin.clone()),
        (Encoding::Latin1, latin.clone()),
        (Encoding::Utf16, utf16(&marked, u16::to_le_bytes)),
        (Encoding::Utf16, utf16(&marked, u16::to_be_bytes)),
        (Encoding::Utf16Le, utf16(&text, u16::to_le_bytes)),
        (Encoding::Utf16Be, utf16(&text, u16::to_be_bytes)),
    ] {
        let form = TextForm { encoding, ..TextForm::default() };
        for bytes in [gzip(&bytes), bytes] {
            let (columns, rows) = rows_as(&form, &bytes).unwrap();
            assert_eq!((columns[1].as_str(), rows), ("stra\u{df}e", vec![row(2, &["1", "\u{e9}\u{a3}"])]), "{encoding}");
        }
    }
    // Where the two differ, and a text beyond one piece of decoding.
    let form = |encoding| TextForm { encoding, ..TextForm::default() };
    assert_eq!(rows_as(&form(Encoding::Windows1252), b"a\n\x80\n").unwrap().1, [row(2, &["\u{20ac}"])]);
    assert_eq!(rows_as(&form(Encoding::Latin1), b"a\n\x80\n").unwrap().1, [row(2, &["\u{80}"])]);
    let long = format!("a\n{}", "\u{e9}\u{1f600}\n".repeat(40_000));
    let rows = rows_as(&form(Encoding::Utf16Le), &utf16(&long, u16::to_le_bytes)).unwrap().1;
    assert!(rows.len() == 40_000 && rows.iter().all(|(_, cells)| cells == &["\u{e9}\u{1f600}"]));
}

#[test]
fn what_is_no_text_in_the_declared_encoding_is_refused_with_its_byte() {
    let form = |encoding| TextForm { encoding, ..TextForm::default() };
    let lone: Vec<u8> = [u16::from(b'a'), 10, 0xd800, 10].iter().flat_map(|unit| unit.to_le_bytes()).collect();
    match rows_as(&form(Encoding::Utf16Le), &lone) {
        Err(SourceError::Undecodable { byte: 4, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(matches!(rows_as(&form(Encoding::Utf16Le), &lone[..3]), Err(SourceError::Undecodable { byte: 2, .. })));
    for (encoding, bytes) in
        [(Encoding::Utf16, &b"a\0"[..]), (Encoding::Windows1252, b"\xef\xbb\xbfa\n1\n"), (Encoding::Utf16Le, b"\xfe\xff\0a")]
    {
        assert!(matches!(rows_as(&form(encoding), bytes), Err(SourceError::Mark { .. })), "{encoding}");
    }
}
