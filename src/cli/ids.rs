//! Lists of ids: one a line, or columns of a table.

use std::{io::Read, num::NonZero, path::Path};

use anyhow::{Context, bail, ensure};
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use sisa::engine::{IdColumns, UnknownIds};

/// What separates the columns of a list, in the order in which they are tried.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The line of a list; `None` for what was typed.
type Line = Option<NonZero<u64>>;

/// The ids of a request, and the line of the list that each came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) subjects: Vec<String>,
    pub(crate) records: Vec<Vec<String>>,
    /// Of the subjects, then of the records.
    subject_lines: Vec<Line>,
    record_lines: Vec<Line>,
    /// Lines of the list that were taken for comments.
    pub(crate) comments: u64,
}

impl Ids {
    /// Ids as typed.
    pub(crate) fn typed(subjects: Vec<String>, records: Vec<Vec<String>>) -> Ids {
        let (subject_lines, record_lines) = (vec![None; subjects.len()], vec![None; records.len()]);
        Ids { subjects, records, subject_lines, record_lines, comments: 0 }
    }

    /// The lines of the list that hold unknown ids, ascending.
    pub(crate) fn lines_of(&self, unknown: &UnknownIds) -> Vec<u64> {
        let of = |at: &[usize], lines: &[Line]| -> Vec<u64> {
            at.iter().filter_map(|at| lines.get(*at).copied().flatten()).map(NonZero::get).collect()
        };
        let mut lines = of(&unknown.subjects, &self.subject_lines);
        lines.extend(of(&unknown.records, &self.record_lines));
        lines.sort_unstable();
        lines
    }

    /// Adds the ids of a list; of `column` (or several, separated by commas) where it is named, or numbered from 1 in a table without names.
    pub(crate) fn read(&mut self, path: &Path, columns: &IdColumns, column: Option<&str>) -> anyhow::Result<()> {
        let (mut bytes, name) = (Vec::new(), path.display().to_string());
        if path == Path::new("-") {
            std::io::stdin().read_to_end(&mut bytes).context("reading ids from standard input")?;
        } else {
            // Opening a pipe would wait for its writer.
            if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
                bail!(
                    "{} is a folder, pipe or device, not a file of ids; pipe ids to `--from -`, or save them to a file",
                    path.display()
                );
            }
            let read = std::fs::File::open(path).and_then(|mut f| f.read_to_end(&mut bytes));
            read.with_context(|| format!("reading ids from {name}"))?;
        }
        self.parse(&bytes, columns, column).with_context(|| format!("{name}: nothing was read from this list"))
    }

    fn parse(&mut self, bytes: &[u8], columns: &IdColumns, column: Option<&str>) -> anyhow::Result<()> {
        let text = text_of(bytes)?;
        let (lines, comments) = lines_of(text);
        self.comments += comments;
        let Some((first_line, first)) = lines.first().copied() else { return Ok(()) };
        if column.is_none() {
            refuse_both(first, first_line, columns)?;
        }
        // The names of the columns, where the first line holds them.
        let header = DELIMITERS.iter().find_map(|delimiter| {
            let names = fields(first, *delimiter);
            let places = places(&names, columns, column)?;
            Some((*delimiter, places))
        });
        let (delimiter, wanted, rows) = match (header, column) {
            (Some((delimiter, wanted)), _) => (delimiter, wanted, lines.get(1..).unwrap_or_default()),
            (None, None) => return self.plain(&lines, columns),
            (None, Some(column)) => {
                let Some(wanted) = numbered(column, columns) else {
                    let first: String = first.chars().take(80).collect();
                    bail!(
                        "line {first_line} has no column `{column}`: `{first}`; of a table without names give its number, from 1 on"
                    );
                };
                let delimiter = DELIMITERS.into_iter().max_by_key(|d| (fields(first, *d).len(), std::cmp::Reverse(*d)));
                (delimiter.unwrap_or(b','), wanted, lines.as_slice())
            }
        };
        for (number, line) in rows {
            let cells = split(line, delimiter, *number)?;
            let cell = |at: &usize| -> anyhow::Result<String> {
                let cell = cells
                    .get(*at)
                    .with_context(|| format!("line {number} has {} columns, and the id is in column {}", cells.len(), at + 1))?;
                ensure!(!cell.is_empty(), "line {number} has an empty id in column {}", at + 1);
                Ok(cell.clone())
            };
            match &wanted {
                Places::Subject(at) => self.push_subject(cell(at)?, *number),
                Places::Record(at) => self.push_record(at.iter().map(cell).collect::<Result<_, _>>()?, *number),
            }
        }
        Ok(())
    }

    /// One id a line; of a record of several columns their ids, separated by commas.
    fn plain(&mut self, lines: &[(u64, &str)], columns: &IdColumns) -> anyhow::Result<()> {
        let width = if columns.subject.is_some() { 1 } else { columns.record.len().max(1) };
        for (number, line) in lines {
            let delimiter = DELIMITERS.into_iter().find(|d| fields(line, *d).len() > 1);
            let cells = split(line, delimiter.filter(|d| width == 1 || *d == b',').unwrap_or(b','), *number)?;
            let names = match &columns.subject {
                Some(subject) => subject.clone(),
                None => columns.record.join(","),
            };
            ensure!(
                cells.len() == width,
                "line {number} has {} columns where an id has {width}, so this may be a table, and its first line does not name the \
                 column of the ids (`{names}`). Say with --column which one it is, by its name or, where the first line has no names, by \
                 its number (1 is the first); an id that holds a comma, semicolon, tab or bar belongs in double quotes",
                cells.len(),
            );
            ensure!(cells.iter().all(|c| !c.is_empty()), "line {number} has an empty id");
            match columns.subject {
                Some(_) => self.subjects.extend(cells),
                None => self.records.push(cells),
            }
            self.subject_lines.resize(self.subjects.len(), NonZero::new(*number));
            self.record_lines.resize(self.records.len(), NonZero::new(*number));
        }
        Ok(())
    }

    fn push_subject(&mut self, id: String, line: u64) {
        self.subjects.push(id);
        self.subject_lines.push(NonZero::new(line));
    }

    fn push_record(&mut self, id: Vec<String>, line: u64) {
        self.records.push(id);
        self.record_lines.push(NonZero::new(line));
    }
}

/// Which columns of a table hold the ids.
enum Places {
    Subject(usize),
    Record(Vec<usize>),
}

/// Where a column of this name stands; else one whose name differs in case, blanks and marks alone (`Patient ID` for `patient_id`).
fn position(names: &[String], name: &str) -> Option<usize> {
    let letters = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let wanted = letters(name);
    let exact = names.iter().position(|n| n == name);
    exact.or_else(|| names.iter().position(|n| !wanted.is_empty() && letters(n) == wanted))
}

/// Columns by their numbers, from 1 on: one of a subject, or all of a record.
fn numbered(column: &str, columns: &IdColumns) -> Option<Places> {
    let numbers: Option<Vec<usize>> = column.split(',').map(|n| n.trim_ascii().parse::<usize>().ok()?.checked_sub(1)).collect();
    match (columns.subject.is_some(), numbers?.as_slice()) {
        (true, [at]) => Some(Places::Subject(*at)),
        (_, at) => (at.len() == columns.record.len()).then(|| Places::Record(at.to_vec())),
    }
}

/// A list whose names could mean people as well as some of their records is for whoever made it to tell.
fn refuse_both(first: &str, line: u64, columns: &IdColumns) -> anyhow::Result<()> {
    let Some(subject) = &columns.subject else { return Ok(()) };
    let record = columns.record.join(",");
    for delimiter in DELIMITERS {
        let names = fields(first, delimiter);
        let there = |name: &String| position(&names, name).is_some();
        let more = columns.record.iter().any(|name| name != subject);
        ensure!(
            !(more && there(subject) && columns.record.iter().all(there)),
            "line {line} names the column of subjects (`{subject}`) and those of records (`{record}`). `--column {subject}` deletes \
             everything about these people, `--column {record}` these records alone"
        );
    }
    Ok(())
}

/// Finds the columns asked for, or those that the source has its ids in, whatever their case.
fn places(names: &[String], columns: &IdColumns, asked: Option<&str>) -> Option<Places> {
    let at = |name: &str| position(names, name);
    let all = |wanted: &mut dyn Iterator<Item = &str>| {
        let at: Option<Vec<usize>> = wanted.map(at).collect();
        at.filter(|at| !at.is_empty())
    };
    let Some(asked) = asked else {
        let subject = columns.subject.as_deref().and_then(at).map(Places::Subject);
        return subject.or_else(|| all(&mut columns.record.iter().map(String::as_str)).map(Places::Record));
    };
    // A column's name may hold a comma itself.
    let asked = at(asked).map(|at| vec![at]).or_else(|| all(&mut asked.split(',').map(str::trim_ascii)))?;
    match (&columns.subject, asked.as_slice()) {
        (Some(_), [subject]) => Some(Places::Subject(*subject)),
        _ => Some(Places::Record(asked)),
    }
}

/// UTF-8, with or without a byte order mark.
fn text_of(bytes: &[u8]) -> anyhow::Result<&str> {
    for (magic, what) in [
        (&b"PK\x03\x04"[..], "a workbook or a zip archive; save the sheet with the ids as CSV"),
        (&b"\xd0\xcf\x11\xe0"[..], "an old workbook; save the sheet with the ids as CSV"),
        (&b"\x1f\x8b"[..], "packed by gzip; unpack it"),
        (&b"PAR1"[..], "a Parquet file; save the column of ids as CSV"),
    ] {
        ensure!(!bytes.starts_with(magic), "it is {what}");
    }
    let utf8 = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let line = |upto: usize| utf8.get(..upto).unwrap_or_default().iter().filter(|b| **b == b'\n').count() + 1;
    if let Some(at) = utf8.iter().position(|b| *b == 0) {
        bail!("line {} holds a zero byte, as in UTF-16; save the list as UTF-8", line(at));
    }
    std::str::from_utf8(utf8).map_err(|e| anyhow::anyhow!("line {} is not UTF-8; save the list as UTF-8", line(e.valid_up_to())))
}

/// The lines that are neither blank nor comments, with their numbers from 1, and how many comments there are. Lines end in LF, CR LF or CR.
fn lines_of(text: &str) -> (Vec<(u64, &str)>, u64) {
    let (mut lines, mut comments) = (Vec::new(), 0);
    let mut number = 0;
    // Lists that are drawn with bars have lines that are drawn too.
    let drawn = text.lines().any(|line| line.trim_ascii_start().starts_with('|'));
    let rule = |line: &str| drawn && line.len() > 2 && line.bytes().all(|b| b"-=+|".contains(&b));
    for line in text.split_inclusive(['\n', '\r']) {
        // The LF of a CR LF ends no line of its own.
        let after_cr = line == "\n" && ends_in_cr(text, line);
        number += u64::from(!after_cr);
        let line = line.trim_ascii();
        if line.starts_with('#') {
            comments += 1;
        } else if !line.is_empty() && !rule(line) {
            lines.push((number, line));
        }
    }
    (lines, comments)
}

/// Whether a CR stands right before a part of the text.
fn ends_in_cr(text: &str, part: &str) -> bool {
    let at = part.as_ptr() as usize - text.as_ptr() as usize;
    text.get(..at).is_some_and(|before| before.ends_with('\r'))
}

/// The fields of a line, without the white space around them.
fn split(line: &str, delimiter: u8, number: u64) -> anyhow::Result<Vec<String>> {
    let quoted = line.split(char::from(delimiter)).any(|field| field.trim_ascii_start().starts_with('"'));
    ensure!(
        !quoted || line.matches('"').count().is_multiple_of(2),
        "line {number} opens a quote and does not close it; an id is on one line, and a quote inside it is written twice"
    );
    Ok(fields(line, delimiter))
}

fn fields(line: &str, delimiter: u8) -> Vec<String> {
    // A reader is dear to make, and a list may have a million lines.
    if !line.contains('"') {
        return line.split(char::from(delimiter)).map(|field| field.trim_ascii().to_owned()).collect();
    }
    fields_by_grammar(line, delimiter)
}

fn fields_by_grammar(line: &str, delimiter: u8) -> Vec<String> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    record_of(&mut reader, line.as_bytes()).iter().map(|field| field.trim_ascii().to_owned()).collect()
}

/// The columns of a record id as typed: of several columns a line of CSV, so that a comma can be quoted.
pub(crate) fn record(typed: &str, columns: &IdColumns) -> Vec<String> {
    if columns.record.len() < 2 { vec![typed.to_owned()] } else { fields(typed, b',') }
}

/// The one record of a line.
fn record_of(reader: &mut Reader, line: &[u8]) -> Vec<String> {
    // With a line end after it, one call reads the whole record.
    let line = [line, b"\n"].concat();
    // Fields and ends are as long as the line, so they never fill up.
    let (mut fields, mut ends) = (vec![0; line.len() + 1], vec![0; line.len() + 1]);
    let (result, _, _, count) = reader.read_record(&line, &mut fields, &mut ends);
    if result != ReadRecordResult::Record {
        return Vec::new();
    }
    let ends = ends.get(..count).unwrap_or_default();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let cells = starts.zip(ends).map(|(start, end)| fields.get(start..*end).unwrap_or_default());
    cells.map(|c| String::from_utf8_lossy(c).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_quotes_are_cut_as_the_grammar_does() {
        for line in ["a", "a,b", " a ;b\t, c", ",", "a,,b,", "1004.0", "-5", "\u{e9},\u{20ac}"] {
            for delimiter in DELIMITERS {
                assert_eq!(fields(line, delimiter), fields_by_grammar(line, delimiter), "{line:?}");
            }
        }
    }

    fn columns(subject: Option<&str>, record: &[&str]) -> IdColumns {
        IdColumns { subject: subject.map(Into::into), record: record.iter().map(|c| (*c).into()).collect() }
    }

    fn read(text: &[u8], columns: &IdColumns, column: Option<&str>) -> anyhow::Result<Ids> {
        let mut ids = Ids::default();
        ids.parse(text, columns, column)?;
        Ok(ids)
    }

    /// The ids and lines of a list of subjects.
    fn subjects(text: &[u8], column: Option<&str>) -> Vec<(String, u64)> {
        let ids = read(text, &columns(Some("Who"), &["row"]), column).unwrap();
        assert!(ids.records.is_empty());
        ids.subjects.into_iter().zip(ids.subject_lines.into_iter().map(|line| line.unwrap().get())).collect()
    }

    fn refused(text: &[u8], columns: &IdColumns, column: Option<&str>) -> String {
        format!("{:#}", read(text, columns, column).unwrap_err())
    }

    #[test]
    fn a_comma_inside_a_column_of_a_record_id_can_be_quoted() {
        let columns = |n: usize| IdColumns { subject: None, record: vec!["c".to_owned(); n] };
        assert_eq!(record("17,2", &columns(1)), ["17,2"]);
        assert_eq!(record("17,2", &columns(2)), ["17", "2"]);
        assert_eq!(record("\"Doe, J\",2", &columns(2)), ["Doe, J", "2"]);
    }

    #[test]
    fn one_list_in_every_form() {
        let expected = [("s3".to_owned(), 1), ("s4".to_owned(), 2)];
        for text in
            ["s3\ns4\n", "s3\ns4", "s3\r\ns4\r\n", "s3\rs4\r", "\u{feff}s3\ns4\n", "\u{feff}s3\r\n s4\t\r\n", "\"s3\"\n\"s4\"\n"]
        {
            assert_eq!(subjects(text.as_bytes(), None), expected, "{text:?}");
        }
        let expected = [("s3".to_owned(), 2), ("s4".to_owned(), 5)];
        for text in ["who\ns3\n\n# left in May\ns4\n", "WHO\r\ns3\r\n\r\n# left\r\ns4", "\u{feff}\"who\"\rs3\r\r#\rs4\r"] {
            assert_eq!(subjects(text.as_bytes(), None), expected, "{text:?}");
        }
        assert_eq!(read(b"# a\n#b\ns3", &columns(Some("who"), &[]), None).unwrap().comments, 2);
    }

    #[test]
    fn a_table_is_read_by_the_name_of_its_column() {
        let expected = [("s,3".to_owned(), 2), ("s4".to_owned(), 3)];
        for text in ["x,who\n1,\"s,3\"\n2,s4\n", "x;WHO\n1;s,3\n2;\"s4\"\n", "x\twho\n1\ts,3\n2\t s4 \n"] {
            assert_eq!(subjects(text.as_bytes(), None), expected, "{text:?}");
        }
        assert_eq!(subjects(b"mail;x\ns3;1\n", Some("Mail")), [("s3".to_owned(), 2)]);
        let by_record = read(b"b;a\n2;1\n", &columns(None, &["a", "b"]), None).unwrap();
        assert_eq!(by_record.records, [["1", "2"]]);
        let by_record = read(b"1,2\n\"Doe, J\",3\n", &columns(None, &["a", "b"]), None).unwrap();
        assert_eq!(by_record.records, [["1", "2"], ["Doe, J", "3"]]);
        let asked = read(b"x,y\n1,2\n", &columns(None, &["a", "b"]), Some("y, x")).unwrap();
        assert_eq!(asked.records, [["2", "1"]]);
    }

    #[test]
    fn what_can_be_misread_is_refused_with_its_line() {
        let who = columns(Some("who"), &["row"]);
        for (text, expected) in [
            (&b"mail,x\ns3,1\n"[..], "line 1 has 2 columns"),
            (b"s3\ns4;1\n", "line 2 has 2 columns"),
            (b"s3\ts4\n", "line 1 has 2 columns"),
            (b"Doe, J\n", "double quotes"),
            (b"x,who\n1,s3\n2\n", "line 3 has 1 columns"),
            (b"x,who\n1,\n", "line 2 has an empty id"),
            (b"s3\n\"\"\n", "line 2 has an empty id"),
            (b"s3\n\"s4\n", "line 2 opens a quote"),
            (b"s\x003\n", "zero byte"),
            (b"PK\x03\x04..", "a workbook or a zip archive"),
            (b"\x1f\x8b\x08..", "packed by gzip"),
            (b"row,who\n1,s3\n", "`--column who` deletes everything about these people, `--column row` these records alone"),
            (b"Who;ROW\ns3;1\n", "names the column of subjects (`who`) and those of records (`row`)"),
            (b"s3|x\n", "line 1 has 2 columns"),
            (b"s3\ns\xff\n", "line 2 is not UTF-8"),
        ] {
            let message = refused(text, &who, None);
            assert!(message.contains(expected), "{message}");
        }
        assert!(refused(b"x,y\n1,2\n", &who, Some("mail")).contains("no column `mail`"));
        assert!(refused(b"1,2\n1,2,3\n", &columns(None, &["a", "b"]), None).contains("line 2 has 3 columns"));
    }

    #[test]
    fn columns_are_named_loosely_or_by_number_and_bars_are_drawn() {
        let expected = [("s3".to_owned(), 4), ("s4".to_owned(), 5)];
        let drawn = b"-----------\n|WHO|NAME |\n|---|-----|\n|s3 |Meier|\n|s4|Ode|\n-----------\n";
        assert_eq!(subjects(drawn, None), expected);
        let patient = columns(Some("patient_id"), &["visit no."]);
        assert_eq!(read(b"Patient ID\ns3\n", &patient, None).unwrap().subjects, ["s3"]);
        assert_eq!(read(b"VisitNo\n7\n", &patient, None).unwrap().records, [["7"]]);
        for (column, expected) in [("1", ["s3", "s4"]), ("2", ["Meier", "Ode"])] {
            let read = read(b"s3;Meier\ns4;Ode\n", &patient, Some(column)).unwrap();
            assert!(
                read.subjects == expected
                    && read.lines_of(&UnknownIds { subjects: vec![0, 1], ..UnknownIds::default() }) == [1, 2]
            );
        }
        let pairs = columns(Some("who"), &["who", "visit"]);
        assert_eq!(read(b"s3,1\n", &pairs, Some("1,2")).unwrap().records, [["s3", "1"]]);
        assert_eq!(read(b"who,visit\ns3,1\n", &pairs, Some("who,visit")).unwrap().records, [["s3", "1"]]);
        assert_eq!(read(b"who,visit\ns3,1\n", &pairs, Some("who")).unwrap().subjects, ["s3"]);
        assert!(refused(b"who,visit\ns3,1\n", &pairs, None).contains("`--column who,visit` these records alone"));
        assert!(refused(b"s3;Meier\n", &patient, Some("p9")).contains("give its number"));
        assert!(refused(b"s3;Meier\n", &patient, Some("3")).contains("line 1 has 2 columns"));
        assert!(refused(b"s3;Meier\n", &patient, Some("0")).contains("give its number"));
    }

    #[test]
    fn an_id_that_holds_a_quote_stays_what_it_is() {
        assert_eq!(subjects(b"5\" pipe\n\"a \"\"b\"\"\"\n", None), [("5\" pipe".to_owned(), 1), ("a \"b\"".to_owned(), 2)]);
    }
}
