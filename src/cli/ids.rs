//! Ids from a file: one a line, or the id columns of a CSV.

use std::{io::Read, path::Path};

use anyhow::Context;
use csv_core::{ReadRecordResult, Reader};
use sisa::engine::IdColumns;

/// The columns of a record id as typed: of several columns a line of CSV, so that a comma can be quoted.
pub(crate) fn record(typed: &str, columns: &IdColumns) -> Vec<String> {
    if columns.record.len() < 2 {
        return vec![typed.to_owned()];
    }
    records_of(typed.as_bytes()).into_iter().next().unwrap_or_default()
}

/// Reads ids. A file whose first line names the subject column (or all record columns) is a CSV; otherwise each line is a subject
/// id, or a record id where there are no subjects.
pub(crate) fn read(
    path: &Path,
    columns: &IdColumns,
    subjects: &mut Vec<String>,
    records: &mut Vec<Vec<String>>,
) -> anyhow::Result<()> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("reading ids from standard input")?;
    } else {
        let read = std::fs::File::open(path).and_then(|mut f| f.read_to_string(&mut text));
        read.with_context(|| format!("reading ids from {}", path.display()))?;
    }
    let mut rows = records_of(text.trim_start_matches('\u{feff}').as_bytes()).into_iter();
    let header = rows.next().unwrap_or_default();
    let at = |name: &String| header.iter().position(|c| c.trim() == name);
    let subject_at = columns.subject.as_ref().and_then(at);
    let record_at: Option<Vec<usize>> = columns.record.iter().map(at).collect();
    let record_at = record_at.filter(|r| !r.is_empty());
    if subject_at.is_none() && record_at.is_none() {
        let ids = text.lines().map(str::trim_ascii).filter(|l| !l.is_empty());
        match columns.subject {
            Some(_) => subjects.extend(ids.map(str::to_owned)),
            None => records.extend(ids.map(|id| record(id, columns))),
        }
        return Ok(());
    }
    for row in rows {
        let cell = |at: usize| row.get(at).map(|c| c.trim_ascii().to_owned()).unwrap_or_default();
        match (subject_at, &record_at) {
            (Some(at), _) => subjects.push(cell(at)),
            (None, Some(at)) => records.push(at.iter().map(|at| cell(*at)).collect()),
            (None, None) => {}
        }
    }
    Ok(())
}

/// The records of a small CSV.
fn records_of(input: &[u8]) -> Vec<Vec<String>> {
    let mut reader = Reader::new();
    // With a line end after the last record too, each call reads a whole one.
    let input = [input, b"\n"].concat();
    let mut input = input.as_slice();
    let (mut fields, mut ends) = (vec![0; input.len() + 1], vec![0; input.len() + 1]);
    let mut rows = Vec::new();
    loop {
        // Fields and ends are as long as the whole input, so they never fill up.
        let (result, read, _, fields_read) = reader.read_record(input, &mut fields, &mut ends);
        input = input.get(read..).unwrap_or_default();
        if result == ReadRecordResult::End {
            return rows;
        }
        if result == ReadRecordResult::Record {
            let ends = ends.get(..fields_read).unwrap_or_default();
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let cells = starts.zip(ends).map(|(start, end)| fields.get(start..*end).unwrap_or_default());
            rows.push(cells.map(|c| String::from_utf8_lossy(c).into_owned()).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_inside_a_column_of_a_record_id_can_be_quoted() {
        let columns = |n: usize| IdColumns { subject: None, record: vec!["c".to_owned(); n] };
        assert_eq!(record("17,2", &columns(1)), ["17,2"]);
        assert_eq!(record("17,2", &columns(2)), ["17", "2"]);
        assert_eq!(record("\"Doe, J\",2", &columns(2)), ["Doe, J", "2"]);
    }

    #[test]
    fn quoted_fields_and_missing_last_line_end() {
        let rows = records_of(b"id,x\n\"a,1\",2\r\n\"b\"\"c\",3");
        assert_eq!(rows, vec![vec!["id", "x"], vec!["a,1", "2"], vec!["b\"c", "3"]]);
    }
}
