//! Cells as people and programs write them: what a column becomes, or what is said about it.

use super::*;
use crate::propose::ColumnNote;

/// What 600 cells of column `x` are declared to be, without its range, and what is said about it.
fn as_column(cell: impl Fn(usize) -> String) -> (String, ColumnNote) {
    let (line, proposal) = declared_in(600, cell);
    let note = proposal.columns.iter().find(|note| note.column == "x").unwrap().clone();
    (line, note)
}

fn declared_in(rows: usize, cell: impl Fn(usize) -> String) -> (String, Proposal) {
    declared_beside(rows, "z", |row| format!("{}.5", mix(row, 8) % 50), cell)
}

fn table_of(rows: usize, beside: &str, other: impl Fn(usize) -> String, cell: impl Fn(usize) -> String) -> Table {
    Table::new(&["person", "x", beside, "y"], rows, |row, column| match column {
        "person" => format!("p{}", row / 2),
        "x" => cell(row),
        "y" => ["sick", "well"][mix(row, 9) % 2].into(),
        _ => other(row),
    })
}

fn declared_beside(
    rows: usize,
    beside: &str,
    other: impl Fn(usize) -> String,
    cell: impl Fn(usize) -> String,
) -> (String, Proposal) {
    let proposal = unchecked(&table_of(rows, beside, other, cell), &Overrides::default()).unwrap();
    let line = proposal.text.lines().find_map(|line| line.strip_prefix("x = ")).unwrap();
    (without_range(line.split("  # ").next().unwrap_or_default()), proposal)
}

/// A proposal under which an import may stop at some cells.
fn unchecked(table: &Table, asked: &Overrides) -> Result<Proposal, ProposeError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, table.csv()).unwrap();
    let proposal = propose_from(|| Ok(vec![open(&path)?]), &["t.csv".into()], asked)?;
    resolve(&proposal, open(&path).unwrap().columns());
    Ok(proposal)
}

/// `x` as the label.
fn as_label(rows: usize, cell: impl Fn(usize) -> String) -> Result<Proposal, ProposeError> {
    let asked = Overrides { label: Some("x".into()), ..Overrides::default() };
    unchecked(&table_of(rows, "z", |row| format!("{}.5", mix(row, 8) % 50), cell), &asked)
}

fn cents(row: usize) -> String {
    format!("{}.{:02}", mix(row, 1) % 90, mix(row, 2) % 100)
}

fn commas(row: usize) -> String {
    cents(row).replace('.', ",")
}

/// `997`, `1.004`, `1.011`.
fn thousands(row: usize) -> String {
    let number = 500 + mix(row, 1) % 1500;
    if number < 1000 { number.to_string() } else { format!("{}.{:03}", number / 1000, number % 1000) }
}

#[test]
fn a_point_that_may_part_thousands_is_asked_about() {
    let (line, note) = as_column(thousands);
    assert_eq!(line, "\"ignore\"", "{note:?}");
    assert!(note.notable && note.place.is_some(), "{note:?}");
    for option in ["{ kind = \"number\", range = [1", "{ kind = \"number\", decimal = \",\", thousands = \".\", range = [5"] {
        assert!(note.remark.contains(option), "{option} in {note:?}");
    }
    // Another column of the table decides, and so does a number that could only be spelt with a decimal point.
    let (line, proposal) = declared_beside(600, "z", commas, thousands);
    assert_eq!(line, "{ kind = \"number\", decimal = \",\", thousands = \".\" }");
    let note = proposal.columns.iter().find(|note| note.column == "x").unwrap();
    assert!(note.notable && note.remark.contains("as other columns have decimal commas"), "{note:?}");
    for other in ["0.517", "1.5", "2004"] {
        let cell = |row: usize| if row.is_multiple_of(20) { other.into() } else { thousands(row) };
        assert_eq!(as_column(cell).0, "\"number\"", "{other}");
    }
    // All fractions with three digits and no whole number: a number, and said.
    let (line, note) = as_column(|row| format!("{}.{:03}", 1 + mix(row, 1) % 90, mix(row, 2) % 1000));
    assert_eq!((line.as_str(), note.notable), ("\"number\"", true), "{note:?}");
    // The same for the label, which is refused with its place.
    let error = as_label(600, thousands).unwrap_err();
    assert!(matches!(&error, ProposeError::LabelAsks { .. }), "{error}");
    for part in ["first at ", "t.csv: line ", "`decimal = \",\"`, `thousands = \".\"`, `range = [5"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn labels_with_marks_are_numbers_with_a_range() {
    let amount = |row: usize| (mix(row, 1) % 900 * 100 + mix(row, 2) % 100, mix(row, 3) % 9);
    let grouped = |row: usize, mark: &str, decimal: &str| {
        let (cents, more) = amount(row);
        format!("{}{mark}{:03}{decimal}{more:02}", 1 + cents / 1000, cents % 1000)
    };
    for (cell, lines) in [
        (Box::new(commas) as Box<dyn Fn(usize) -> String>, vec!["decimal = \",\""]),
        (Box::new(|row| format!("${}", cents(row))), vec!["symbols = [\"$\"]"]),
        (Box::new(|row| format!("{}%", cents(row))), vec!["symbols = [\"%\"]"]),
        (Box::new(move |row| grouped(row, ",", ".")), vec!["thousands = \",\""]),
        (Box::new(move |row| grouped(row, ".", ",") + " €"), vec!["decimal = \",\"", "thousands = \".\"", "symbols = [\"€\"]"]),
    ] {
        let proposal = as_label(600, cell).unwrap();
        for line in lines {
            assert!(proposal.text.contains(&format!("\n{line}\n")), "{line}\n{}", proposal.text);
        }
        let label = proposal.text.split("[label]").nth(1).unwrap().split("[columns]").next().unwrap();
        assert!(label.contains("\nrange = [") && !label.contains("values"), "{label}");
    }
}

#[test]
fn a_label_of_nearly_as_many_classes_as_rows_is_refused() {
    for (cell, part) in [
        (
            Box::new(|row: usize| format!("2023-{:02}-{:02}", 1 + row % 12, 1 + row / 12 % 28)) as Box<dyn Fn(usize) -> String>,
            "dates",
        ),
        (Box::new(|row: usize| format!("word {row}x")), "different texts"),
        (
            Box::new(|row: usize| if row.is_multiple_of(5) { "k.A.".into() } else { commas(row) }),
            "all but 120 of 600 cells are numbers",
        ),
        (
            Box::new(|row: usize| ["TRUE", "true", "1", "yes", "False", "0", "no", "FALSE"][row % 8].into()),
            "yes and no in 6 spellings",
        ),
    ] {
        let error = as_label(600, cell).unwrap_err();
        assert!(matches!(&error, ProposeError::LabelAsks { problem, .. } if problem.contains(part)), "{error}");
    }
}

#[test]
fn a_class_in_several_spellings_of_a_number_is_one() {
    let values = |cells: &[&str]| {
        let proposal = as_label(600, |row| cells[row % cells.len()].into()).unwrap();
        let line = proposal.text.lines().find(|line| line.starts_with("values = ")).unwrap();
        line.trim_start_matches("values = ").to_owned()
    };
    assert_eq!(values(&["1", "1.0", "0", "0.0"]), "[\"0\", \"1\"]");
    assert_eq!(values(&["1.0", "0.0"]), "[\"0\", \"1\"]");
    assert_eq!(values(&["+", "-"]), "[\"+\", \"-\"]");
    // Codes with leading zeros are others, and nothing is taken for one of them.
    assert_eq!(values(&["01", "1", "02"]), "[\"01\", \"1\", \"02\"]");
    let noted = as_label(600, |row| ["yes", "no", "unknown"][row % 3].into()).unwrap();
    assert!(noted.notes.iter().any(|note| note.contains("`unknown` counts as a value")), "{:?}", noted.notes);
}

#[test]
fn a_few_odd_cells_do_not_make_numbers_with_marks_text() {
    let with = |every: usize, odd: &'static [&'static str], cell: fn(usize) -> String| {
        move |row: usize| if row.is_multiple_of(every) { odd[row / every % odd.len()].to_owned() } else { cell(row) }
    };
    type Cell = Box<dyn Fn(usize) -> String>;
    for (cell, expected, odd) in [
        (Box::new(with(600, &["<0,1"], commas)) as Cell, "decimal = \",\"", 1),
        (Box::new(with(600, &["1.5"], commas)), "decimal = \",\"", 1),
        (Box::new(with(200, &["<0,1", "n. b.", "1.5"], commas)), "decimal = \",\"", 3),
        (Box::new(with(200, &["n. b."], |row| cents(row) + "%")), "symbols = [\"%\"]", 3),
        (Box::new(with(200, &["free", "1,5"], |row| format!("${}", cents(row)))), "symbols = [\"$\"]", 3),
        (
            Box::new(with(200, &["31.02.2023", "TBD"], |row| format!("{:02}.{:02}.2023", 1 + row % 28, 1 + row % 12))),
            "day-month-year",
            3,
        ),
        (
            Box::new(with(200, &["0000-00-00"], |row| format!("2023-{:02}-{:02}", 1 + row % 12, 1 + row % 28))),
            "year-month-day",
            3,
        ),
        (Box::new(with(200, &["$5"], cents)), "\"number\"", 3),
        (Box::new(with(200, &["maybe"], |row| ["true", "False", "TRUE", "no", "1"][row % 5].into())), "\"boolean\"", 3),
        (Box::new(with(100, &["1,000.5", "1e5"], cents)), "thousands = \",\"", 0),
    ] {
        let (line, note) = as_column(cell);
        assert!(line.contains(expected), "{expected}: {line} {note:?}");
        assert_eq!((note.odd_cells, note.notable, note.place.is_some()), (odd, odd > 0, odd > 0), "{expected}: {note:?}");
        assert!(odd == 0 || note.place.as_ref().unwrap().ends_with("line 2"), "{note:?}");
    }
}

#[test]
fn above_the_share_it_is_said_why_a_column_of_numbers_is_text() {
    for (odd, others, part) in [
        ("k.A.", 6, "all but 100 of 600 cells are numbers"),
        ("1e999", 6, "100 infinite or too large"),
        ("(3.5)", 6, "100 negative in parentheses"),
        ("3.5-", 6, "with the sign behind"),
        ("\u{2212}3.5", 6, "with another sign than `-`"),
    ] {
        let (_, note) = as_column(|row| if row % others == 1 { odd.into() } else { cents(row) });
        assert!(note.notable && note.remark.contains(part), "{odd}: {note:?}");
        assert!(note.remark.contains("write { kind = \"number\", range = ["), "{odd}: {note:?}");
        assert_eq!(note.place.as_deref().and_then(|place| place.split("line ").nth(1)), Some("3"), "{odd}: {note:?}");
    }
    let (_, note) = as_column(|row| if row % 6 == 1 { "some day".into() } else { format!("2023-{:02}-11", 1 + row % 12) });
    assert!(note.notable && note.remark.contains("all but 100 of 600 cells are dates (year-month-day)"), "{note:?}");
}

#[test]
fn several_units_are_asked_about() {
    let (line, note) =
        as_column(|row| if row % 2 == 0 { format!("${}", cents(row)) } else { format!("¥{}", mix(row, 1) % 9000) });
    assert_eq!(line, "\"ignore\"");
    for part in ["`$` in 300 cells", "`¥` in 300 cells", "symbols = [\"¥\", \"$\"], range"] {
        assert!(note.notable && note.remark.contains(part), "{part}: {note:?}");
    }
    let shares =
        |every: usize| move |row: usize| if row.is_multiple_of(every) { format!("0.{:03}", row) } else { cents(row) + "%" };
    let (line, note) = as_column(shares(2));
    assert!(line == "\"ignore\"" && note.remark.contains("none in 300 cells"), "{line} {note:?}");
    let (line, note) = as_column(shares(100));
    assert!(line.contains("[\"%\"]") && note.notable && note.remark.contains("`%` is missing in 6 cells"), "{line} {note:?}");
    // One currency in two spellings is one.
    let (line, _) = as_column(|row| if row % 2 == 0 { format!("€{}", cents(row)) } else { format!("EUR {}", cents(row)) });
    assert_eq!(line, "{ kind = \"number\", symbols = [\"EUR\", \"€\"] }");
}

#[test]
fn symbols_and_blanks_stand_where_people_put_them() {
    let grouped = |row: usize, mark: char| format!("{}{mark}{:03}.{:02}", 1 + row % 90, row, mix(row, 2) % 100);
    type Cell = Box<dyn Fn(usize) -> String>;
    for (cell, expected) in [
        (Box::new(|row| commas(row) + " €") as Cell, "decimal = \",\", symbols = [\"€\"]"),
        (Box::new(|row| commas(row) + "\u{a0}€"), "decimal = \",\", symbols = [\"€\"]"),
        (Box::new(|row| "R$ ".to_owned() + &cents(row)), "symbols = [\"R$\"]"),
        (Box::new(|row| cents(row) + " kr"), "symbols = [\"kr\"]"),
        (Box::new(|row| format!("{}${}", ["", "-"][row % 2], cents(row))), "symbols = [\"$\"]"),
        (Box::new(|row| format!("{} kg", mix(row, 1) % 90)), "symbols = [\"kg\"]"),
        (Box::new(move |row| grouped(row, '\u{202f}')), "thousands = \"\\u202F\""),
        (Box::new(move |row| grouped(row, ' ')), "thousands = \" \""),
        (Box::new(move |row| grouped(row, '\u{2019}')), "thousands = \"\u{2019}\""),
    ] {
        let table = table_of(600, "z", |row| format!("{}.5", mix(row, 8) % 50), cell);
        // Every row is read as it is declared.
        let proposal = table.propose();
        let line = proposal.text.lines().find(|line| line.starts_with("x = ")).unwrap();
        assert!(line.contains(expected) && line.contains("range = ["), "{expected}: {line}");
    }
    // Codes are none.
    for code in ["P", "V", "m", "w"] {
        let (line, note) = as_column(|row| format!("{code}{}", mix(row, 1) % 40));
        assert!(line.contains("buckets") && !note.notable, "{line} {note:?}");
        let (line, _) = as_column(|row| format!("{}{code}", mix(row, 1) % 40));
        assert!(line.contains("buckets"), "{line}");
    }
}

#[test]
fn spellings_of_missing_are_nobodys_id_and_values_where_they_are() {
    let table = table_of(600, "z", cents, cents);
    let mut shared = table.clone();
    shared
        .0
        .iter_mut()
        .skip(1)
        .step_by(40)
        .zip(["NA", "unknown", "?"].into_iter().cycle())
        .for_each(|(row, id)| row[0] = id.into());
    let proposal = unchecked(&shared, &Overrides::default()).unwrap();
    has(&proposal, "missing = [\"\", \"?\", \"NA\", \"unknown\"]");
    has(&proposal, "subject = \"person\"");
    assert!(proposal.notes.iter().any(|note| note.contains("15 rows have no `person`")), "{:?}", proposal.notes);
    // One empty cell hides no id.
    let mut one = table;
    one.0[7][0] = String::new();
    let proposal = unchecked(&one, &Overrides::default()).unwrap();
    has(&proposal, "subject = \"person\"");
    assert!(proposal.notes.iter().any(|note| note.contains("1 row has no `person`")), "{:?}", proposal.notes);

    let (line, _) = as_column(|row| ["+", "-"][mix(row, 1) % 2].into());
    assert_eq!(line, "{ kind = \"category\", values = [\"+\", \"-\"] }");
    let (line, _) = as_column(|row| ["?", "!"][mix(row, 1) % 2].into());
    assert_eq!(line, "{ kind = \"category\", values = [\"!\", \"?\"] }");
    let (line, _) = as_column(|row| ["red", "-", "blue"][mix(row, 1) % 3].into());
    assert_eq!(line, "{ kind = \"category\", values = [\"blue\", \"red\"] }");
}

#[test]
fn moments_that_are_not_read_or_unclear_are_told() {
    for cell in [
        |row: usize| format!("{}/{}/23", 1 + row % 12, 1 + row % 28),
        |row: usize| format!("{:02}-Mar-2023", 1 + row % 28),
        |row: usize| format!("{:02}:{:02}", row % 24, mix(row, 1) % 60),
    ] {
        let (line, note) = as_column(cell);
        assert!(
            note.notable && note.place.is_some() && note.remark.contains("600 of 600 cells look like dates or times"),
            "{line} {note:?}"
        );
    }
    let (line, note) =
        as_column(
            |row| if row == 5 { "25/12/2023".into() } else { format!("{:02}/{:02}/2023", 1 + row % 12, 1 + row / 12 % 12) },
        );
    assert_eq!(line, "\"ignore\"");
    for part in [
        "599 cells fit both, 1 cell fit day-month-year only",
        "order = \"day-month-year\", origin = \"2000-01-01\", range = [",
        "or {",
    ] {
        assert!(note.notable && note.place.is_some() && note.remark.contains(part), "{part}: {note:?}");
    }
}

#[test]
fn codes_that_are_digits_and_answers_beside_yes_and_no_are_told() {
    let (line, note) = as_column(|row| format!("{:05}", mix(row, 1) % 400 + 9800));
    assert!(line == "\"number\"" && note.notable && note.remark.contains("begin with a 0, as codes do"), "{line} {note:?}");
    let (line, note) = as_column(|row| if row < 3 { "maybe".into() } else { ["yes", "no"][mix(row, 1) % 2].into() });
    assert!(line.contains("values = [\"no\", \"yes\"]") && note.notable, "{line} {note:?}");
}

#[test]
fn a_table_whose_inputs_have_all_to_be_asked_about_says_so() {
    let table = Table::new(&["person", "x", "y"], 600, |row, column| match column {
        "person" => format!("p{}", row / 2),
        "x" => thousands(row),
        _ => ["sick", "well"][mix(row, 9) % 2].into(),
    });
    let error = unchecked(&table, &Overrides::default()).unwrap_err();
    assert!(
        matches!(&error, ProposeError::InputsAsk { asks } if asks.contains("`x`: numbers whose marks") && asks.contains("line ")),
        "{error}"
    );
}
