//! Tables as people have them: each folder of `tests/data/cases` is one that was once read as something else in silence, or answered with
//! advice that did not work. The real command is asked.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests make and look at files by hand")]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

/// A copy of a case's folder.
struct Case(tempfile::TempDir);

/// What a command answered.
struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Case {
    fn new(name: &str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases").join(name);
        for entry in fs::read_dir(&from).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Case(folder)
    }

    /// Runs `sisa`, words apart by blanks.
    fn run(&self, line: &str) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sisa"));
        command.current_dir(self.0.path()).args(line.split(' ')).args(["--threads", "2"]).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Answer { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs what must be done without an error.
    fn done(&self, line: &str) -> Answer {
        let answer = self.run(line);
        assert_eq!(answer.code, 0, "{line}\n{}\n{}", answer.out, answer.err);
        answer
    }

    fn toml(&self) -> String {
        fs::read_to_string(self.0.path().join("w/sisa.toml")).unwrap()
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

#[test]
fn semicolons_and_decimal_commas_are_understood() {
    let case = Case::new("01-semicolon-decimal-comma");
    case.done("-w w train t.csv --label churned --seed 1");
    has(&case.toml(), &["delimiter = \";\"", "spend = { kind = \"number\", decimal = \",\", range"]);
}

#[test]
fn thousands_are_numbers() {
    let case = Case::new("03-thousands-separator");
    has(&case.done("schema t.csv --label churned").out, &["spend = { kind = \"number\", thousands = \",\""]);
    has(&case.done("-w w train t.csv --label churned --seed 1").out, &["imported"]);
}

#[test]
fn rows_without_a_label_are_left_out_and_counted() {
    let case = Case::new("04-label-missing-some-rows");
    has(&case.done("-w w train t.csv --label churned --seed 1").out, &["left out", "without a label"]);
    // Without that declaration the error says how many there are, and how to go on.
    let config = case.toml().replace("missing = \"skip\"\n", "");
    fs::write(case.0.path().join("e.toml"), config).unwrap();
    let error = case.run("-w v train t.csv --config e.toml --seed 1");
    assert_eq!(error.code, 3);
    has(&error.err, &["missing = \"skip\"", "rows in all have such a cell", "line "]);
}

#[test]
fn ids_that_look_like_floats_are_found_as_they_are_typed() {
    let case = Case::new("07-float-ids");
    case.done("-w w train t.csv --label churned --seed 1");
    has(&case.toml(), &["id_form = \"integer\""]);
    has(&case.done("-w w delete --from ids.txt").out, &["erased: 2 ids, 4 records"]);
}

#[test]
fn predictions_ask_for_the_inputs_and_for_nothing_else() {
    let case = Case::new("09-predict-columns-order-extra-missing");
    case.done("-w w train t.csv --label churned --seed 1");
    let answer = case.done("-w w predict order_extra.csv");
    assert_eq!(answer.out.lines().count(), 3, "{}", answer.out);
    assert_eq!(answer.err.matches("passed over").count(), 1, "{}", answer.err);
    has(&answer.err, &["note"]);
    let missing = case.run("-w w predict missing.csv");
    assert_eq!(missing.code, 3);
    has(&missing.err, &["`spend`"]);
    fs::write(case.0.path().join("empty.csv"), "age,spend,city\n").unwrap();
    assert_eq!(case.done("-w w predict empty.csv").out, "row,prediction\n");
}

#[test]
fn na_stays_a_value_where_it_is_one() {
    let text = Case::new("10-na-is-a-value").done("schema t.csv --label deal").out;
    let line = text.lines().find(|line| line.starts_with("continent")).unwrap();
    has(line, &["\"NA\"", "counts as a value"]);
}

#[test]
fn infinities_and_odd_cells_are_errors_that_say_where_and_how_many() {
    let infinite = Case::new("14-inf-nan-huge").run("-w w train t.csv --label churned --seed 1");
    assert_eq!(infinite.code, 3);
    has(&infinite.err, &["line ", "column `", "mend the cell"]);
    let case = Case::new("34-one-bad-cell-in-a-number-column");
    let odd = case.run("-w w train t.csv --label responded --seed 1");
    assert_eq!(odd.code, 3);
    has(&odd.err, &["line ", "`dose`", "see note", "2 rows in all", "on_bad"]);
    for (rule, said) in [("missing", "took 2 cells"), ("skip-row", "left out 2 rows")] {
        let config = case.toml().replace("on_bad = \"error\"", &format!("on_bad = \"{rule}\""));
        fs::write(case.0.path().join("e.toml"), config).unwrap();
        has(&case.done(&format!("-w {rule} train t.csv --config e.toml --seed 1")).out, &[said]);
        case.done(&format!("-w {rule} verify --retrain"));
    }
}

#[test]
fn names_with_any_characters_are_taken_literally() {
    let case = Case::new("22-special-characters-in-names");
    case.done("-w w train t.csv --label churned --seed 1");
    case.done("-w w predict t.csv");
    has(&case.toml(), &["\"p0..p9\" = ", "\"x*\" = "]);
}

#[test]
fn a_target_of_a_tiny_scale_is_learnt_as_any_other() {
    let case = Case::new("27-regression-tiny-scale");
    let out = case.done("-w w train t.csv --label concentration_mol --seed 1 --holdout 0.2").out;
    assert!(r2(&out) > 0.97, "{out}");
}

#[test]
fn numbers_with_a_spelling_of_missing_stay_numbers() {
    let text = Case::new("33-missing-spellings-in-numbers").done("schema t.csv --label churned").out;
    for line in text.lines().filter(|line| line.get(1..2) == Some("_")) {
        has(line, &["kind = \"number\""]);
    }
    has(&text, &["\"null\"", "\"-\"", "\"\\\\N\"", "\"n/a\"", "\"None\"", "\"unknown\"", "\".\"", "-999 stands far outside"]);
}

#[test]
fn quotes_escaped_by_a_backslash_are_proposed_or_refused_by_their_line() {
    let case = Case::new("38-backslash-escaped-quotes");
    case.done("-w w train t.csv --label churned --seed 1");
    has(&case.toml(), &["escape = \"\\\\\"", "note = "]);
    fs::write(case.0.path().join("e.toml"), case.toml().replace("escape = \"\\\\\"\n", "")).unwrap();
    let error = case.run("-w v train t.csv --config e.toml --seed 1");
    assert_eq!(error.code, 3);
    has(&error.err, &["line 2", "quotes are doubled"]);
}

#[test]
fn a_column_may_have_spellings_of_missing_of_its_own() {
    let case = Case::new("70-delete-by-row-number");
    let table = |a: &str, b: &str| {
        let rows = (0..60).map(|at| match at % 7 {
            0 => format!("{a},{at},NA\n"),
            1 => format!("{at},{b},no\n"),
            _ => format!("{at},{},{}\n", at + 1, ["NA", "no"][at % 2]),
        });
        "a,b,y\n".to_owned() + &rows.collect::<String>()
    };
    let config = |own: &str| {
        format!(
            "[data]\nholdout = 0.2\nmissing = [\"\", \"NA\"]\n[label]\ncolumn = \"y\"\nvalues = [\"NA\", \"no\"]\n[columns]\n\
             a = {{ kind = \"number\", indicator = true{own} }}\nb = \"number\"\n[shards]\nshards = 1\nslices = 1\n\
             [learner]\nkind = \"linear\"\noptimizer = {{ kind = \"sgd\", momentum = 0.5 }}\nrate = 0.1\n\
             decay = \"constant\"\nl2 = 0.0\nbatch = 4\n"
        )
    };
    for (name, text) in [("own.csv", table("-999", "-999")), ("all.csv", table("", "-999"))] {
        fs::write(case.0.path().join(name), text).unwrap();
    }
    fs::write(case.0.path().join("own.toml"), config(", missing = [\"-999\"]")).unwrap();
    fs::write(case.0.path().join("all.toml"), config("")).unwrap();
    let told = |name: &str| {
        let out = case.done(&format!("-w {name} train {name}.csv --config {name}.toml --seed 1")).out;
        let told = out.split("log loss").nth(1).unwrap_or_default();
        told.split("next:").next().unwrap_or_default().to_owned()
    };
    assert_eq!(told("own"), told("all"));
    // An empty cell is not missing there, as its own list does not say so.
    let error = case.run("-w other train all.csv --config own.toml --seed 1");
    assert_eq!(error.code, 3);
    has(&error.err, &["column `a`", "is not a number"]);
    let wrong = config("").replace("b = \"number\"", "b = { kind = \"byte\", missing = [\"-\"] }");
    fs::write(case.0.path().join("wrong.toml"), wrong).unwrap();
    has(&case.run("-w wrong train all.csv --config wrong.toml --seed 1").err, &["`missing` has no meaning for kind `byte`"]);
}

#[test]
fn rows_without_a_subject_are_never_one_person() {
    let case = Case::new("39-rows-without-subject-id");
    let error = case.run("-w w train t.csv --label churned --subject member_id --seed 1");
    assert_eq!(error.code, 3);
    has(&error.err, &["missing_subject", "rows in all"]);
    for (rule, said) in [("skip", "without a subject"), ("own", "imported")] {
        let config = case.toml().replace("missing_subject = \"error\"", &format!("missing_subject = \"{rule}\""));
        fs::write(case.0.path().join("e.toml"), config).unwrap();
        has(&case.done(&format!("-w {rule} train t.csv --config e.toml --seed 1")).out, &[said]);
    }
}

#[test]
fn deletion_lists_are_read_as_they_are_saved_and_other_tables_refused() {
    let case = Case::new("40-deletion-list-from-excel");
    case.done("-w w train t.csv --label churned --seed 1");
    has(&case.done("-w w delete --from requests.csv").out, &["erased: 2 ids"]);
    has(&case.done("-w w delete --from plain.txt").out, &["erased: 2 ids"]);
    let log = case.done("-w w log").out;
    let error = case.run("-w w delete --from other.csv");
    assert_eq!(error.code, 3);
    has(&error.err, &["nothing was read from this list", "`member_id`"]);
    assert_eq!(case.done("-w w log").out, log);
}

#[test]
fn a_class_that_is_spelt_as_a_float_is_the_class() {
    let case = Case::new("41-numeric-labels-as-floats-in-eval");
    case.done("-w w train t.csv --label churned --seed 1");
    has(&case.done("-w w eval test.csv").out, &["accuracy"]);
}

#[test]
fn answers_carry_the_ids() {
    let case = Case::new("45-predict-with-ids");
    case.done("-w w train t.csv --label churned --seed 1");
    let answer = case.done("-w w predict new.csv").out;
    has(&answer, &["row,member_id,prediction\n1,m9005,", "\n2,m9001,"]);
    has(&case.done("-w w predict new.csv --id city").out, &["row,city,prediction\n1,Lille,"]);
    has(&case.done("-w w predict new.csv --json").out, &["\"ids\":{\"member_id\":\"m9005\"}"]);
    assert_eq!(case.run("-w w predict new.csv --id nobody").code, 3);
}

#[test]
fn formats_that_are_not_read_are_named() {
    let case = Case::new("46-zip-and-parquet-and-xlsx");
    for (file, found) in [("t.zip", "is a zip archive"), ("t.parquet", "is not a sound Parquet file")] {
        let error = case.run(&format!("-w w train {file} --label churned"));
        assert_eq!(error.code, 3);
        has(&error.err, &[found]);
    }
    has(&case.run("-w w train t.zip --label churned").err, &["delimited text such as CSV, NPZ, IDX, Parquet and Arrow"]);
}

#[test]
fn ordinal_labels_say_how_to_be_numbers() {
    has(&Case::new("49-ordinal-quality-scores").done("schema t.csv").out, &["without `values` the label is a number"]);
}

#[test]
fn float_ids_of_arrays_are_refused_and_others_are_exact() {
    let case = Case::new("52-npz-float-ids");
    let error = case.run("-w a train f.npz --seed 1");
    assert_eq!(error.code, 3);
    has(&error.err, &["array `ids`", "astype('int64')"]);
    case.done("-w b train big.npz --seed 1");
    has(&case.done("-w b delete --subject p7").out, &["erased: 1 id"]);
    has(&case.done("-w b delete --record 6144039378640938").out, &["erased: 1 record (0 of them held out)"]);
}

#[test]
fn text_among_numbers_at_prediction_is_an_error_with_its_place() {
    let case = Case::new("56-text-in-a-number-column-at-predict");
    case.done("-w w train t.csv --label churned --seed 1");
    let error = case.run("-w w predict bad.csv");
    assert_eq!(error.code, 3);
    has(&error.err, &["line 3", "`age`", "`unknown`", "under `missing`"]);
}

#[test]
fn subjects_have_names_in_other_languages() {
    let case = Case::new("58-subject-names-of-other-languages");
    case.done("-w w train t.csv --label outcome --seed 1");
    has(&case.toml(), &["subject = \"Kundennr\""]);
}

#[test]
fn a_table_without_ids_is_asked_about_before_it_is_imported() {
    let case = Case::new("59-table-without-ids");
    let asked = case.run("-w w train t.csv --label churned --seed 1");
    assert_eq!(asked.code, 3);
    has(&asked.err, &["nothing could be deleted", "--subject", "--no-ids"]);
    assert!(!case.0.path().join("w/sisa.toml").exists() && !case.0.path().join("w/shards/g0001").exists());
    let trained = case.done("-w w train t.csv --label churned --seed 1 --no-ids").out;
    assert!(!trained.contains("sisa delete"), "{trained}");
}

#[test]
fn a_column_more_changes_no_answer() {
    let case = Case::new("62-adding-a-column-for-predict");
    case.done("-w w train t.csv --label churned --seed 1");
    assert_eq!(case.done("-w w predict new.csv").out.lines().count(), 2);
}

#[test]
fn what_is_recommended_is_what_is_trained() {
    let case = Case::new("64-recommended-learner-is-not-the-default");
    let train = case.done("-w w train t.csv --label churned --seed 1");
    has(&train.err, &["`forest` is recommended"]);
    has(&case.toml(), &["kind = \"forest\"", "slices = 1\n"]);
}

#[test]
fn arrays_of_another_case_are_named_and_those_without_ids_asked_about() {
    let case = Case::new("69-npz-with-lower-case-x");
    let error = case.run("-w a train xy.npz --seed 1");
    assert_eq!(error.code, 3);
    has(&error.err, &["`x`", "to be called `X`"]);
    let asked = case.run("-w b train Xy.npz --seed 1");
    assert_eq!(asked.code, 3);
    has(&asked.err, &["nothing could be deleted", "--no-ids"]);
}

#[test]
fn records_without_ids_are_deleted_by_their_content() {
    let case = Case::new("70-delete-by-row-number");
    let asked = case.run("-w w train t.csv --label churned --seed 1");
    assert_eq!(asked.code, 3);
    has(&asked.err, &["nothing could be deleted", "--rows"]);
    case.done("-w w train t.csv --label churned --seed 1 --no-ids");
    let table = fs::read_to_string(case.0.path().join("t.csv")).unwrap();
    let row = table.lines().nth(17).unwrap();
    fs::write(case.0.path().join("row.csv"), format!("{}\n{row}\n", table.lines().next().unwrap())).unwrap();
    let error = case.run("-w w delete --record 17 --dry-run");
    assert_eq!(error.code, 3);
    has(&error.err, &["--rows"]);
    has(&case.done("-w w delete --rows row.csv").out, &["1 record"]);
    case.done("-w w verify --retrain");
}

#[test]
fn a_header_is_kept_or_the_table_refused_and_no_row_names_columns() {
    let case = Case::new("70-delete-by-row-number");
    let write = |name: &str, header: &str, row: &dyn Fn(usize) -> String| {
        let rows: String = (0..90).map(|at| row(at) + "\n").collect();
        fs::write(case.0.path().join(name), format!("{header}{rows}")).unwrap();
    };
    let row = |at: usize| format!("{},{},{},{}", 1000 + at / 3, 20 + at * 7 % 61, ["m", "f"][at % 2], at * 37 % 2);
    write("lines.csv", "patient,\"age\nin years\",sex,y\n", &row);
    has(&case.done("schema lines.csv").out, &["\"age\\nin years\" = ", "subject = \"patient\""]);
    write("comma.csv", "patient,age,sex,y\n", &|at| row(at) + ",");
    let refused = case.run("schema comma.csv");
    assert_eq!(refused.code, 3);
    has(&refused.err, &["line 2", "expected 4 fields", "got 5", "a separator at the end"]);
    write("none.csv", "", &row);
    let proposed = case.done("schema none.csv --subject c0 --label c3").out;
    has(&proposed, &["header = false\n", "# the first line of none.csv looks like a row", "c1 = { kind = \"number\""]);
    has(&case.run("schema none.csv --label y").err, &["c0, c1, c2, c3", "`header = false` is taken"]);
    // Before a refusal it is said, too, how the table is read.
    has(&case.run("-w w train none.csv --label c3 --seed 1").err, &["`header = false` is taken", "nothing was imported"]);
}

#[test]
fn what_spells_no_id_is_nobody_and_a_label_with_marks_is_learnt() {
    let case = Case::new("70-delete-by-row-number");
    let row = |at: usize| {
        let id = if at.is_multiple_of(30) { "NA".to_owned() } else { format!("k{}", at / 3) };
        format!("{id};{};{},{:02}\n", at * 7 % 61, 20 + at * 7 % 61 * 3, at * 37 % 100)
    };
    let table = "customer;q;amount\n".to_owned() + &(0..300).map(row).collect::<String>();
    fs::write(case.0.path().join("l.csv"), table).unwrap();
    let stopped = case.run("-w w train l.csv --label amount --seed 1");
    assert_eq!(stopped.code, 3);
    has(&stopped.err, &["the subject's id is missing", "missing_subject = \"skip\"", "10 rows"]);
    has(&case.toml(), &["missing = [\"\", \"NA\"]", "\ndecimal = \",\"\n", "\nrange = [2"]);
    let config = case.toml().replace("missing_subject = \"error\"", "missing_subject = \"skip\"");
    fs::write(case.0.path().join("e.toml"), config).unwrap();
    has(&case.done("-w v train l.csv --config e.toml --seed 1").out, &["without a subject", "R2"]);
}

#[test]
fn every_case_is_tried() {
    let tried = include_str!("cases.rs");
    let folders = fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases")).unwrap();
    for folder in folders {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(tried.contains(&format!("Case::new(\"{name}\")")), "{name}");
    }
}

#[test]
fn a_clean_regression_does_not_diverge_on_defaults() {
    let case = Case::new("66-regression-clean-table-mlp-diverges");
    let out = case.done("-w w train t.csv.gz --label price --learner mlp --seed 1 --holdout 0.2 --no-ids").out;
    assert!(r2(&out) > 0.9, "{out}");
}

/// The R2 that an answer tells.
fn r2(out: &str) -> f64 {
    let told = out.lines().find_map(|line| line.split("R2").nth(1)).unwrap_or_else(|| panic!("no R2 in\n{out}"));
    told.split_whitespace().find_map(|word| word.trim_matches([':', ',', '(', ')']).parse().ok()).unwrap()
}
