//! The form of a text table, guessed from its first lines, for a person to look at.

use std::collections::BTreeSet;
use std::path::Path;

use csv_core::ReadFieldResult;

use super::bytes::Bytes;
use super::csv::Quotes;
use super::decode::Decoded;
use super::error::SourceError;
use super::form::{Comment, Delimiter, Encoding, TextForm};
use super::input::{Input, Part};
use super::open;

/// Bytes that are looked at.
const HEAD: usize = 1 << 16;
/// Lines that are looked at.
const LINES_MAX: usize = 200;
/// Records that may stand before the header.
const PREAMBLE_MAX: usize = 20;
/// A header of which so many names are also cells of their columns is a row.
const AGAIN_MIN: usize = 2;
/// Lines of a record that are put together; a quote that is open for longer is taken for a stray one.
const RECORD_LINES_MAX: usize = 50;

/// A form, and a sentence on each part of it that is not the default, or that a person should look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guess {
    /// The form.
    pub form: TextForm,
    /// What to say about it.
    pub notes: Vec<String>,
}

impl Input {
    /// Guesses the form of the first source that is a text file; the default where there is none.
    ///
    /// # Errors
    ///
    /// Any [`SourceError`] of opening it.
    pub fn guess(&self) -> Result<Guess, SourceError> {
        for part in self.parts() {
            if let Part::File(path) = part
                && let Some(guess) = guess(path)?
            {
                return Ok(guess);
            }
        }
        Ok(Guess::default())
    }
}

/// The form of one file, `None` if it is no text.
fn guess(path: &Path) -> Result<Option<Guess>, SourceError> {
    let bytes = Bytes::open(path)?;
    let name = bytes.name().clone();
    let encoding = match bytes.head() {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Encoding::Utf16,
        _ if !open::is_text(&bytes) => return Ok(None),
        _ => Encoding::Utf8,
    };
    let mut guess = Guess::default();
    let mut text = head(bytes, encoding)?;
    let broken = std::str::from_utf8(&text).err().filter(|wrong| wrong.error_len().is_some());
    guess.form.encoding = match broken {
        Some(wrong) if !text.contains(&0) => {
            let byte = wrong.valid_up_to();
            guess.notes.push(format!(
                "{name} is not UTF-8 (byte {byte}), so `encoding = \"windows-1252\"` is taken: look at letters with accents, and \
                 write \"iso-8859-1\" or another if they are wrong"
            ));
            text = head(Bytes::open(path)?, Encoding::Windows1252)?;
            Encoding::Windows1252
        }
        _ => encoding,
    };
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    // The last one is cut where the look ends, or empty.
    if lines.len() > 1 {
        lines.pop();
    }
    lines.truncate(LINES_MAX);
    let records = records(&lines, Delimiter::Comma, false);
    let (mut delimiter, mut width) = best_delimiter(&records, false);
    let backslash = is_backslashed(&lines, delimiter);
    if backslash {
        guess.form.backslash = true;
        guess.notes.push(format!("quotes of {name} are escaped by a backslash"));
    }
    let records = self::records(&lines, delimiter, backslash);
    if backslash {
        (delimiter, width) = best_delimiter(&records, true);
    }
    if delimiter != Delimiter::Comma {
        guess.notes.push(format!("the columns of {name} are separated by {delimiter}"));
    }
    guess.form.delimiter = delimiter;
    let count = |record: &Record| fields(&record.text, delimiter, backslash);
    let is_comment = |record: &Record| record.text.first() == Some(&Comment::HASH.byte()) && count(record) != Some(width);
    if records.iter().find(|record| !record.text.is_empty()).is_some_and(is_comment) {
        guess.form.comment = Some(Comment::HASH);
        guess.notes.push(format!("lines of {name} that begin with `#` are passed over"));
    }
    let has_comments = guess.form.comment.is_some();
    let table: Vec<&Record> =
        records.iter().filter(|record| !(record.text.is_empty() || has_comments && is_comment(record))).collect();
    let first = if width > 1 { preamble(&table, width, delimiter, backslash) } else { 0 };
    let header = table.get(first);
    if let Some(skip) = header.map(|header| header.line).filter(|line| first > 0 && *line > 0) {
        guess.notes.push(format!("the first {skip} lines of {name} are not of the table, and passed over"));
        guess.form.skip = u32::try_from(skip).unwrap_or(0);
    }
    let mut rows = table.iter().skip(first).map(|record| split(&record.text, delimiter));
    if let Some(names) = rows.next() {
        match Header::of(&names, rows) {
            Header::Names => {}
            Header::Numbers => guess.notes.push(format!(
                "the first line of {name} looks like a row, as names of its columns are numbers: if it is one, write `header = false` \
                 under [data], and the columns are c0, c1 and so on"
            )),
            Header::Row => {
                guess.form.header = false;
                guess.notes.push(format!(
                    "the first line of {name} looks like a row, as its cells come again in the rows: \
                     `header = false` is taken, so that nobody's values are names, and the columns are c0, c1 and so on. If it names the \
                     columns, change a name that is a value too"
                ));
            }
        }
    }
    Ok(Some(guess))
}

/// The first bytes of a file's text.
fn head(bytes: Bytes, encoding: Encoding) -> Result<Vec<u8>, SourceError> {
    let mut text = vec![0; HEAD];
    let filled = Decoded::new(bytes, encoding)?.fill(&mut text)?;
    text.truncate(filled);
    Ok(text)
}

/// The fields of a line; `None` where a quote is left open, so that its record goes on. A quote may be escaped by a `backslash`.
fn fields(line: &[u8], delimiter: Delimiter, backslash: bool) -> Option<usize> {
    let mut quotes = Quotes::default();
    let mut count = 1;
    for byte in line {
        if backslash && matches!(quotes, Quotes::Within(true)) {
            quotes = Quotes::Within(false);
            continue;
        }
        if !matches!(quotes, Quotes::Within(_)) && *byte == delimiter.byte() {
            count += 1;
        }
        quotes.escaped(*byte, delimiter.byte());
    }
    (!matches!(quotes, Quotes::Within(_))).then_some(count)
}

/// A record, which goes on over lines while a quote in it is open, and how many lines come before it.
struct Record {
    line: usize,
    text: Vec<u8>,
}

/// The records that lines make up. A quote that nothing closes is part of its line.
fn records(lines: &[&[u8]], delimiter: Delimiter, backslash: bool) -> Vec<Record> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let mut text = line.to_vec();
        let mut until = at + 1;
        while fields(&text, delimiter, backslash).is_none()
            && let Some(more) = lines.get(until).filter(|_| until - at < RECORD_LINES_MAX)
        {
            text.push(b'\n');
            text.extend_from_slice(more);
            until += 1;
        }
        if fields(&text, delimiter, backslash).is_none() {
            (text, until) = (line.to_vec(), at + 1);
        }
        records.push(Record { line: at, text });
        at = until;
    }
    records
}

/// What cuts most records into the same number of fields, and that number.
fn best_delimiter(records: &[Record], backslash: bool) -> (Delimiter, usize) {
    let mut best = (Delimiter::Comma, 1, 0);
    for delimiter in Delimiter::ALL {
        let counts = records.iter().filter(|record| !record.text.is_empty());
        let mut counts: Vec<usize> =
            counts.filter_map(|record| fields(&record.text, delimiter, backslash)).filter(|n| *n > 1).collect();
        counts.sort_unstable();
        for run in counts.chunk_by(|a, b| a == b) {
            let (width, rows) = (run.first().copied().unwrap_or(1), run.len());
            if rows > best.2 || (rows == best.2 && width > best.1) {
                best = (delimiter, width, rows);
            }
        }
    }
    (best.0, best.1)
}

/// How many records stand before a table of such a width. None where records of other widths stand in it too, and none where one of
/// those before it has half as many fields or more: that is a header whose rows are wider, and no row is to become one in its place.
fn preamble(records: &[&Record], width: usize, delimiter: Delimiter, backslash: bool) -> usize {
    let count = |record: &Record| fields(&record.text, delimiter, backslash);
    // A title that a program filled up with empty fields is none of the table's.
    let filled = |record: &Record| split(&record.text, delimiter).iter().filter(|field| !field.is_empty()).count();
    let is_title = |record: &Record| width > 2 && filled(record) < 2;
    let starts = |record: &&Record| count(record) == Some(width) && !is_title(record);
    let Some(first) = records.iter().position(starts) else { return 0 };
    let (before, rest) = records.split_at(first);
    let even = rest.iter().all(|record| count(record).is_none_or(|n| n == width));
    let apart = before.iter().all(|record| is_title(record) || count(record).is_none_or(|n| n < (width / 2).max(2)));
    if even && apart && first <= PREAMBLE_MAX && rest.len() > first { first } else { 0 }
}

/// Whether a quote within quotes is escaped by a backslash.
fn is_backslashed(lines: &[&[u8]], delimiter: Delimiter) -> bool {
    let mut quotes = Quotes::default();
    lines.iter().any(|line| line.iter().chain(b"\n").any(|byte| quotes.escaped(*byte, delimiter.byte())))
}

/// The fields of a record, without blanks around them.
fn split(record: &[u8], delimiter: Delimiter) -> Vec<Vec<u8>> {
    let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter.byte()).build();
    let (mut rest, mut field, mut fields) = (record, vec![0; record.len() + 1], Vec::new());
    loop {
        let (result, used, written) = reader.read_field(rest, &mut field);
        rest = rest.get(used..).unwrap_or_default();
        match result {
            ReadFieldResult::InputEmpty if !rest.is_empty() => {}
            ReadFieldResult::OutputFull | ReadFieldResult::End => break,
            // The last field ends with the record.
            ReadFieldResult::Field { .. } | ReadFieldResult::InputEmpty => {
                fields.push(field.get(..written).unwrap_or_default().trim_ascii().to_vec());
                if result == ReadFieldResult::InputEmpty {
                    break;
                }
            }
        }
    }
    fields
}

/// What the first record of a table looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    /// Names of columns.
    Names,
    /// Names of which half are numbers, as those of years are, or one is not whole.
    Numbers,
    /// A row: several of its cells come again in their columns.
    Row,
}

impl Header {
    fn of(names: &[Vec<u8>], rows: impl Iterator<Item = Vec<Vec<u8>>>) -> Header {
        let number = |text: &Vec<u8>| fast_float2::parse::<f64, _>(text.as_slice()).ok().filter(|number| number.is_finite());
        let numbers: Vec<f64> = names.iter().filter_map(number).collect();
        // The numbers of columns are names.
        let counts = numbers.len() > 1 && numbers.iter().zip(numbers.iter().skip(1)).all(|(a, b)| *b == a + 1.0);
        let mut again = BTreeSet::new();
        // A header may be repeated within a table that is pasted together.
        for row in rows.filter(|row| row != names) {
            let same = names.iter().zip(&row).enumerate().filter(|(_, (name, cell))| !name.is_empty() && name == cell);
            again.extend(same.map(|(at, _)| at));
        }
        if !counts && again.len() >= AGAIN_MIN {
            return Header::Row;
        }
        let fractions = numbers.iter().any(|number| number.fract() != 0.0 || *number < 0.0);
        if fractions || 2 * numbers.len() >= names.len() { Header::Numbers } else { Header::Names }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::make::gzip;
    use super::super::tests::testing::Folder;
    use super::*;

    fn guess_of(text: &[u8]) -> Guess {
        let folder = Folder::new();
        Input::from(folder.file("t.csv", text)).guess().unwrap()
    }

    #[test]
    fn the_delimiter_is_what_cuts_all_lines_alike() {
        for (text, delimiter) in [
            ("a,b\n1,2\n3,4\n", Delimiter::Comma),
            ("a;b;c\n1,5;2,5;x\n3,0;4,25;y\n", Delimiter::Semicolon),
            ("a\tb\n1,5\t2\n", Delimiter::Tab),
            ("a|b\n1|\"x,y|z\"\n", Delimiter::Pipe),
            ("a\n1\n2\n", Delimiter::Comma),
            ("a,b\n1;x,2;y\n", Delimiter::Comma),
            ("a;b\n\"two\nlines\";1\n2;3\n", Delimiter::Semicolon),
            ("a,b", Delimiter::Comma),
            ("a;b", Delimiter::Semicolon),
            ("", Delimiter::Comma),
        ] {
            let guess = guess_of(text.as_bytes());
            assert_eq!(guess.form, TextForm { delimiter, ..TextForm::default() }, "{text:?}: {:?}", guess.notes);
            assert_eq!(guess_of(&gzip(text.as_bytes())).form, guess.form, "{text:?}");
        }
    }

    #[test]
    fn encodings_are_told_by_marks_and_by_what_is_no_text() {
        assert_eq!(guess_of(b"a,b\n\xe9,1\n").form.encoding, Encoding::Windows1252);
        let wide: Vec<u8> = "\u{feff}a;b\n1;2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let expected = TextForm { encoding: Encoding::Utf16, delimiter: Delimiter::Semicolon, ..TextForm::default() };
        assert_eq!(guess_of(&wide).form, expected);
        assert!(guess_of("a,b\né,1\n".as_bytes()).form.is_default());
    }

    #[test]
    fn what_is_not_of_the_table_is_passed_over() {
        let skipped = guess_of(b"Report of 2020\nmade by hand\na,b\n1,2\n3,4\n5,6\n");
        assert_eq!(skipped.form.skip, 2, "{skipped:?}");
        assert_eq!(guess_of(b"# made by hand\n#\na,b\n1,2\n# so far\n3,4\n").form.comment, Some(Comment::HASH));
        // A header may begin with it, and a ragged table is none with a preamble.
        assert!(guess_of(b"#a,b\n1,2\n3,4\n").form.is_default());
        assert!(guess_of(b"x\na,b\n1,2\n3\n4,5\n").form.is_default());
    }

    #[test]
    fn backslashes_and_lines_that_may_be_rows() {
        assert!(guess_of(b"a,b\n\"x \\\"y\\\" z\",1\n").form.backslash);
        // The header has fewer commas than the rows, and is no line before the table.
        let rows = guess_of(b"a,note,b\n1,\"said \\\"later\\\", ok\",2\n3,\"said \\\"later\\\", ok\",4\n");
        assert_eq!(rows.form, TextForm { backslash: true, ..TextForm::default() });
        assert!(!guess_of(b"a,b\n\"C:\\\",1\n\"x\"\"y\",2\n").form.backslash);
        for (text, row, header) in [
            ("5.1,red\n4,blue\n", true, true),
            ("1,2,a\n3,4,b\n", true, true),
            ("2019,2020,city,town,name\n", false, true),
            ("a,b\n1,2\n", false, true),
            // Nobody's values are names: `m` and `p7` are cells too.
            ("1000,27,m,0\n1001,31,f,1\n1002,27,m,1\n", true, false),
            ("p7,8,x,a\np7,22,y,b\np8,9,z,a\n", true, false),
            // Columns that are numbered, and a header that is repeated.
            ("1,2,3,4\n0,8,5,4\n1,2,5,0\n", true, true),
            ("a,b\n1,2\na,b\n3,4\n", false, true),
            // A name that is a value.
            ("person,y\n1,y\n2,n\n3,y\n", false, true),
        ] {
            let guess = guess_of(text.as_bytes());
            assert_eq!(guess.notes.iter().any(|note| note.contains("header = false")), row, "{text:?}: {guess:?}");
            assert_eq!(guess.form.header, header, "{text:?}: {guess:?}");
        }
    }

    #[test]
    fn no_row_becomes_the_header_because_the_header_looks_otherwise() {
        let rows = |row: &str| (10..40).map(|at| format!("{row}\n").replace('N', &at.to_string())).collect::<String>();
        for (header, row) in [
            // Names over several lines.
            ("patient,\"Blood\npressure\",y", "N,1N0,a"),
            ("\"patient\nnumber\",age,\"Blood\npressure\n(mmHg)\",y", "N,3N,1N0,a"),
            // Rows that end in a comma, R's row names, quotes of other kinds: the reader refuses them by their line.
            ("patient,age,bp,y", "N,3N,1N0,a,"),
            ("\"patient\",\"age\",\"y\"", "\"N\",7N,3N,a"),
            ("patient,t,y", "N,'a,N',1"),
            ("patient, t, y", "N, \"a, N\", 1"),
        ] {
            let guess = guess_of(format!("{header}\n{}", rows(row)).as_bytes());
            assert!(guess.form.is_default(), "{header}: {guess:?}");
        }
        // A title that is filled up with separators.
        let title = guess_of(format!("Export;;;\nof today;;;\nid;age;sex;y\n{}", rows("N;3N;m;1")).as_bytes());
        assert_eq!((title.form.skip, title.form.header), (2, true), "{title:?}");
    }
}
