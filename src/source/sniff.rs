//! The form of a text table, guessed from its first lines, for a person to look at.

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
/// Lines that may stand before the header.
const PREAMBLE_MAX: usize = 20;

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
    let (mut delimiter, mut width) = best_delimiter(&lines, false);
    let backslash = is_backslashed(&lines, delimiter);
    if backslash {
        guess.form.backslash = true;
        guess.notes.push(format!("quotes of {name} are escaped by a backslash"));
        (delimiter, width) = best_delimiter(&lines, true);
    }
    if delimiter != Delimiter::Comma {
        guess.notes.push(format!("the columns of {name} are separated by {delimiter}"));
    }
    guess.form.delimiter = delimiter;
    let is_comment =
        |line: &[u8]| line.first() == Some(&Comment::HASH.byte()) && fields(line, delimiter, backslash) != Some(width);
    if lines.iter().any(|line| is_comment(line))
        && lines.iter().position(|line| is_comment(line)) == lines.iter().position(|l| !l.is_empty())
    {
        guess.form.comment = Some(Comment::HASH);
        guess.notes.push(format!("lines of {name} that begin with `#` are passed over"));
    }
    let commented = |line: &&&[u8]| guess.form.comment.is_none() || !is_comment(line);
    let fits = |line: &[u8]| fields(line, delimiter, backslash).map(|n| n == width);
    let skip = if width > 1 { preamble(&lines, fits, |line| guess.form.comment.is_some() && is_comment(line)) } else { 0 };
    if skip > 0 {
        guess.notes.push(format!("the first {skip} lines of {name} are not of the table, and passed over"));
        guess.form.skip = u32::try_from(skip).unwrap_or(0);
    }
    let table = lines.get(skip..).unwrap_or_default();
    let header = table.iter().filter(|line| !line.is_empty()).find(commented);
    if header.is_some_and(|line| looks_like_a_row(line, delimiter)) {
        guess.notes.push(format!(
            "the first line of {name} looks like a row, as names of its columns are numbers: if it is one, write `header = false` \
             under [data], and the columns are c0, c1 and so on"
        ));
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

/// What cuts most lines into the same number of fields, and that number.
fn best_delimiter(lines: &[&[u8]], backslash: bool) -> (Delimiter, usize) {
    let mut best = (Delimiter::Comma, 1, 0);
    for delimiter in Delimiter::ALL {
        let counts = lines.iter().filter(|line| !line.is_empty()).filter_map(|line| fields(line, delimiter, backslash));
        let mut counts: Vec<usize> = counts.filter(|n| *n > 1).collect();
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

/// How many lines stand before a table; none where lines of other widths than its own stand in it too. `fits` says whether a line has
/// its width, and nothing of one whose quotes are open.
fn preamble(lines: &[&[u8]], fits: impl Fn(&[u8]) -> Option<bool>, comment: impl Fn(&[u8]) -> bool) -> usize {
    let Some(first) = lines.iter().position(|line| fits(line) == Some(true)) else { return 0 };
    let rest = lines.get(first..).unwrap_or_default();
    let others = rest.iter().filter(|line| !line.is_empty() && !comment(line) && fits(line) == Some(false));
    let before = lines.get(..first).unwrap_or_default();
    let words = before.iter().any(|line| !line.is_empty() && !comment(line));
    if words && first <= PREAMBLE_MAX && rest.len() > first && others.count() == 0 { first } else { 0 }
}

/// Whether a quote within quotes is escaped by a backslash.
fn is_backslashed(lines: &[&[u8]], delimiter: Delimiter) -> bool {
    let mut quotes = Quotes::default();
    lines.iter().any(|line| line.iter().chain(b"\n").any(|byte| quotes.escaped(*byte, delimiter.byte())))
}

/// Whether a name is a number that is not whole, or half of the names are numbers.
fn looks_like_a_row(line: &[u8], delimiter: Delimiter) -> bool {
    let mut reader = csv_core::ReaderBuilder::new().delimiter(delimiter.byte()).build();
    let (mut rest, mut name, mut names, mut numbers, mut fractions) = (line, vec![0; line.len() + 1], 0, 0, 0);
    loop {
        let (result, used, written) = reader.read_field(rest, &mut name);
        rest = rest.get(used..).unwrap_or_default();
        match result {
            ReadFieldResult::InputEmpty if !rest.is_empty() => {}
            ReadFieldResult::OutputFull | ReadFieldResult::End => break,
            // The last field ends with the line.
            ReadFieldResult::Field { .. } | ReadFieldResult::InputEmpty => {
                let text = name.get(..written).unwrap_or_default().trim_ascii();
                names += 1;
                if let Ok(number) = fast_float2::parse::<f64, _>(text) {
                    numbers += 1;
                    fractions += usize::from(number.fract() != 0.0 || number < 0.0);
                }
                if result == ReadFieldResult::InputEmpty {
                    break;
                }
            }
        }
    }
    fractions > 0 || 2 * numbers >= names
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
        for (text, row) in
            [("5.1,red\n4,blue\n", true), ("1,2,a\n3,4,b\n", true), ("2019,2020,city,town,name\n", false), ("a,b\n1,2\n", false)]
        {
            let notes = guess_of(text.as_bytes()).notes;
            assert_eq!(notes.iter().any(|note| note.contains("header = false")), row, "{text:?}: {notes:?}");
        }
    }
}
