//! The records that are there under another configuration, without their source: what an import of the same table under it would have made.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write their tables by hand, start the real binary, and stop at what they do not expect"
)]

mod common;
mod oracle;

use std::{fs, process::Command, sync::atomic::AtomicI64};

use common::{Bench, FOREST, HEADER, LINEAR, RIDGE, Row, Setup, StopAfter, assert_same, csv, rows, without};
use serde_json::Value;
use sisa::engine::{
    AppendRequest, CorrectRequest, DeleteRequest, Engine, Error, Input, KeySource, MigrateReport, MigrateRequest, Quiet,
    VerifyRequest,
};

const NEW_SEED: u64 = 9;

/// Lines of a configuration and what stands in their place.
type Edits = &'static [(&'static str, &'static str)];

/// A column of every kind that is new, one that goes, values that come, go and change their order, a logarithm, other ranges, another grid.
const EVERYTHING: Edits = &[
    ("indicator = true", "indicator = true, log1p = true"),
    (", range = [0, 1300]", ", range = [0, 2000]"),
    (r#"values = ["a", "b"]"#, r#"values = ["z", "b"]"#),
    (r#"values = ["few", "many"]"#, r#"values = ["never", "few", "many"]"#),
    (
        "level = { kind = \"byte\", scale = 0.01 }\n",
        "weight = { kind = \"number\", range = [0, 200] }\nseen = { kind = \"date\", order = \"year-month-day\", parts = [\"weekday\"], range = [0, 9] }\n\
         smoker = \"boolean\"\nward = { kind = \"category\", values = [\"x\", \"y\"] }\ncode = { kind = \"category\", buckets = 5 }\n",
    ),
    ("shards = 3", "shards = 2"),
    ("slices = 4", "slices = 3"),
    ("holdout = 0.2", "holdout = 0.3"),
];

/// The header of a table under it.
const AFTER: &str = "person,year,age,cost,site,town,weight,seen,smoker,ward,code,visits\n";

/// The same rows as they would be in a table of that form.
fn decoded(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let cells: Vec<&str> = row.cells.split(',').collect();
        let [age, cost, site, town, _, visits] = cells.as_slice() else { panic!("{row:?}") };
        format!("{},{},{age},{cost},{site},{town},,?,,?,,{visits}\n", row.person, row.year)
    };
    AFTER.to_owned() + &rows.iter().map(line).collect::<String>()
}

fn redeclare(bench: &Bench, edits: Edits) {
    let path = bench.root().join("sisa.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (from, to) in edits {
        // Ranges are there for some learners alone.
        assert!(text.contains(from) || from.contains("range"), "{from}");
        text = text.replace(from, to);
    }
    fs::write(path, text).unwrap();
}

fn request() -> MigrateRequest {
    MigrateRequest { keys: KeySource::Seed(NEW_SEED), ..MigrateRequest::default() }
}

fn migrate(bench: &Bench) -> Result<MigrateReport, Error> {
    bench.engine().migrate(&request(), &Quiet)
}

/// An empty workspace that imports a table under the other configuration; its second generation has the key of the migrated one.
fn anew(setup: &Setup, edits: Edits, table: &str) -> Bench {
    let bench = Bench::new(setup, &[]);
    redeclare(&bench, edits);
    fs::write(bench.root().join("table.csv"), table).unwrap();
    assert!(bench.train().complete);
    bench.engine().rekey(&KeySource::Seed(NEW_SEED), &Quiet).unwrap();
    bench
}

fn sound(bench: &Bench) {
    let verdict = bench.engine().verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).unwrap();
    assert_eq!((verdict.findings, verdict.notes), (vec![], vec![]));
}

fn append(bench: &Bench, name: &str, table: &str) {
    let path = bench.root().join(format!("{name}.csv"));
    fs::write(&path, table).unwrap();
    let request = AppendRequest { sources: path.into(), name: Some(name.into()), defer: false };
    bench.engine().append(&request, &Quiet, |_, _, _| {}).unwrap();
}

#[test]
fn what_is_new_is_missing_and_the_rest_is_as_if_it_had_come_so() {
    for learner in [LINEAR, RIDGE, FOREST] {
        let setup = Setup { learner, ..Setup::default() };
        let table = rows(40);
        let bench = Bench::trained(&setup, &table);
        redeclare(&bench, EVERYTHING);
        let report = migrate(&bench).unwrap();
        assert!(report.complete && report.import.is_some());
        let said = report.changes.join("\n");
        for change in
            ["`weight` is new", "`level` goes", "`site` is declared in another way", "S=2 R=3 instead of S=3 R=4", "0.3"]
        {
            assert!(said.contains(change), "{said}");
        }
        let anew = anew(&setup, EVERYTHING, &decoded(&table));
        assert_same(&bench.artefacts(), &anew.artefacts(), learner);
        sound(&bench);
        // Nothing is left to do, and nothing is done.
        let (files, again) = (bench.artefacts(), migrate(&bench).unwrap());
        assert!(again.import.is_none() && again.changes.is_empty() && again.generation == report.generation);
        assert_same(&files, &bench.artefacts(), "again");
    }
}

/// The same by an implementation that shares no code with the engine.
#[test]
fn the_judge_agrees() {
    let edits: Edits = &[
        ("indicator = true", "indicator = true, log1p = true"),
        (r#"values = ["a", "b"]"#, r#"values = ["c", "b", "a"]"#),
        ("level = {", "weight = { kind = \"number\", indicator = true }\nlevel = {"),
        ("slices = 4", "slices = 2"),
    ];
    let (table, setup) = (rows(40), Setup { learner: LINEAR, ..Setup::default() });
    let bench = Bench::trained(&setup, &table);
    redeclare(&bench, edits);
    migrate(&bench).unwrap();
    let engine = bench.engine();
    let (workspace, snapshot) = (engine.workspace(), engine.workspace().snapshot().unwrap());
    let current = snapshot.current.clone().unwrap();
    let checkpoints = workspace.recipe_dir(current.generation, &current.recipe);
    let shards = workspace.generation_dir(current.generation);
    let judge = oracle::Setup {
        handle_key: *workspace.handle_key().unwrap().bytes(),
        model_key: *workspace.serving_model(&snapshot).unwrap().shards.key().bytes(),
        partition_json: fs::read(shards.join("partition.json")).unwrap(),
        recipe_json: fs::read(checkpoints.join("recipe.json")).unwrap(),
    };
    let row = |row: &Row| {
        let cells: Vec<&str> = row.cells.split(',').collect();
        let [age, cost, site, town, level, visits] = cells.as_slice() else { panic!("{row:?}") };
        // "c" was none of those declared, and what rows hold is that.
        let site = if *site == "c" { "none of these" } else { site };
        let named = [("age", *age), ("cost", cost), ("site", site), ("town", town), ("level", level), ("weight", "")];
        oracle::Row {
            subject: Some(row.person.to_string()),
            record: vec![row.person.to_string(), row.year.to_string()],
            cells: named.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec(),
            label: (*visits).to_owned(),
        }
    };
    let expected = oracle::expected(&judge, &table.iter().map(row).collect::<Vec<_>>());
    assert_eq!(oracle::first_difference(&expected, &shards, &checkpoints), None);
}

#[test]
fn batches_become_one_and_go_on_under_the_other_configuration() {
    let setup = Setup { learner: LINEAR, ..Setup::default() };
    let first = rows(30);
    let second: Vec<Row> = (30..40).map(|person| Row { person, year: 1, cells: "44,10.00,a,t30,5,few".into() }).collect();
    let bench = Bench::trained(&setup, &first);
    append(&bench, "b2", &csv(&second));
    let gone = DeleteRequest { subjects: vec!["7".into()], ..DeleteRequest::default() };
    bench.delete(&gone);
    redeclare(&bench, EVERYTHING);
    migrate(&bench).unwrap();
    let third = |persons: std::ops::Range<u32>| {
        let line = |person| format!("{person},7,30,5.00,z,t1,70,2000-01-04,yes,x,k,never\n");
        AFTER.to_owned() + &persons.map(line).collect::<String>()
    };
    append(&bench, "b3", &third(5..12));
    let corrected = bench.root().join("corrected.csv");
    fs::write(&corrected, format!("{AFTER}3,1,61,8.00,b,t9,81,2000-01-05,no,y,l,many\n")).unwrap();
    let request = CorrectRequest { sources: corrected.into(), ..CorrectRequest::default() };
    assert_eq!(bench.engine().correct(&request, &Quiet, |_, _, _| {}).unwrap().left, []);
    bench.delete(&DeleteRequest { subjects: vec!["31".into()], ..DeleteRequest::default() });
    sound(&bench);
    let all = without(&[first, second].concat(), |row| [7, 31].contains(&row.person));
    let line = all.iter().position(|row| (row.person, row.year) == (3, 1)).unwrap();
    let mut lines: Vec<String> = decoded(&all).lines().map(|line| format!("{line}\n")).collect();
    lines[line + 1] = "3,1,61,8.00,b,t9,81,2000-01-05,no,y,l,many\n".into();
    let anew = anew(&setup, EVERYTHING, &lines.concat());
    // Whoever was deleted before is suppressed after.
    let arrived = third(5..12).lines().filter(|line| !line.starts_with("7,")).map(|line| format!("{line}\n")).collect::<String>();
    append(&anew, "b3", &arrived);
    assert_same(&bench.artefacts(), &anew.artefacts(), "with batches");
}

/// A value that no row had needs no migration where values are hashed.
#[test]
fn buckets_take_values_that_are_new() {
    let setup = Setup { learner: FOREST, ..Setup::default() };
    let bench = Bench::trained(&setup, &rows(30));
    let town = [Row { person: 90, year: 1, cells: "44,10.00,a,a town that nobody knew,5,few".into() }];
    append(&bench, "b2", &csv(&town));
    let union = Bench::trained(&setup, &[rows(30), town.to_vec()].concat());
    assert_same(&bench.artefacts(), &union.artefacts(), "one import of both");
    assert!(migrate(&bench).unwrap().import.is_none(), "nothing is declared in another way");
}

#[test]
fn a_deletion_that_comes_meanwhile_reaches_both() {
    let (setup, table) = (Setup { learner: LINEAR, ..Setup::default() }, rows(40));
    let bench = Bench::trained(&setup, &table);
    let asked = Input::from(bench.root().join("table.csv"));
    let before = bench.engine().scores(&asked, &Quiet).unwrap();
    redeclare(&bench, EVERYTHING);
    let stopped = bench.engine().migrate(&request(), &StopAfter(AtomicI64::new(1))).unwrap_err();
    assert!(matches!(stopped, Error::Interrupted), "{stopped}");
    // What served before serves, and reads tables of its own form.
    assert_eq!(bench.engine().scores(&asked, &Quiet).unwrap().scores, before.scores);
    let trained = |engine: &Engine, person: u32| {
        let request = DeleteRequest { subjects: vec![person.to_string()], ..DeleteRequest::default() };
        engine.forecast(&request).unwrap().accepted.cells.into_iter().map(|change| change.generation.0).collect::<Vec<_>>()
    };
    assert_eq!(trained(&bench.engine(), 7), [1, 2]);
    bench.delete(&DeleteRequest { subjects: vec!["7".into()], request_id: Some("d".into()), ..DeleteRequest::default() });
    let handle = bench.engine().workspace().handle_key().unwrap().maker().subject(b"7").0;
    assert!(!bench.artefacts().values().any(|file| file.windows(16).any(|window| window == handle)));
    // Another generation in its place would be lost work, whichever command makes it.
    let error = bench.engine().rekey(&KeySource::Seed(3), &Quiet).unwrap_err();
    assert!(matches!(error, Error::NewerGeneration { .. }), "{error}");
    assert!(migrate(&bench).unwrap().complete);
    let anew = anew(&setup, EVERYTHING, &decoded(&without(&table, |row| row.person == 7)));
    assert_same(&bench.artefacts(), &anew.artefacts(), "without the person");
    assert!(bench.engine().receipt(Some("d")).unwrap().repaired_at.is_some());
    sound(&bench);
}

#[test]
fn a_rekeying_that_is_under_way_comes_first() {
    let bench = Bench::trained(&Setup { learner: LINEAR, ..Setup::default() }, &rows(40));
    assert!(bench.engine().rekey(&KeySource::Seed(3), &StopAfter(AtomicI64::new(1))).is_err());
    redeclare(&bench, EVERYTHING);
    let error = migrate(&bench).unwrap_err();
    assert!(matches!(error, Error::NewerGeneration { .. }), "{error}");
    bench.train();
    assert!(migrate(&bench).unwrap().complete);
    sound(&bench);
}

#[test]
fn what_rows_do_not_tell_is_refused_by_name_and_nothing_changes() {
    let setup = Setup { learner: LINEAR, ..Setup::default() };
    let bench = Bench::trained(&setup, &rows(40));
    let (files, path) = (bench.files(), bench.root().join("sisa.toml"));
    let config = fs::read_to_string(&path).unwrap();
    let refusals: [(Edits, &str); 16] = [
        (&[("log1p = true", "log1p = false")], "[columns] cost: rows hold ln(1 + x)"),
        (&[("buckets = 8", "buckets = 9")], "[columns] town: another number of buckets"),
        (
            &[("{ kind = \"category\", buckets = 8 }", "{ kind = \"category\", values = [\"t1\"] }")],
            "[columns] town: what is a category of buckets",
        ),
        (&[("{ kind = \"byte\", scale = 0.01 }", "\"number\"")], "[columns] level: what is a byte can't become a number"),
        (&[("year = \"ignore\"", "year = \"ignore\"\nnew = \"byte\"")], "[columns] new: a byte has no form"),
        (&[("missing = [\"\", \"?\"]", "missing = [\"\", \"?\", \"99\"]")], "[columns] age: `99` is to spell"),
        (&[("missing = [\"\", \"?\"]", "missing = [\"\", \"?\", \"n/a\"]")], "[columns] town: `n/a` is to spell"),
        (&[("indicator = true", "missing = [\"7\"]")], "[columns] age: `7` is to spell"),
        (&[("\"few\", \"many\"]", "\"few\"  , \"more\"]")], "[label] values: `many` is missing"),
        (&[("column = \"visits\"\nvalues = [\"few\", \"many\"]", "column = \"visits\"")], "a class is no number"),
        (&[("column = \"visits\"", "column = \"calls\"")], "[label] column: `calls`"),
        (&[("subject = \"person\"", "subject = \"someone\"")], "[data] subject, record"),
        (&[("\"person\", \"year\"]", "\"year\"]")], "[data] subject, record"),
        (&[("holdout = 0.2", "holdout = 0.2\nid_form = \"integer\"")], "[data] id_form"),
        (
            &[("age = { kind = \"number\", indicator = true }", "age = { kind = \"date\", order = \"year-month-day\" }")],
            "[columns] age: what is a number",
        ),
        (&[("kind = \"linear\"", "kind = \"linear\"\nleaves = 3")], "leaves"),
    ];
    for (edits, says) in refusals {
        fs::write(&path, &config).unwrap();
        redeclare(&bench, edits);
        let error = migrate(&bench).unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
        let kept = |(path, _): &(std::path::PathBuf, Vec<u8>)| !path.starts_with("shards/session");
        assert_same(&files.clone().into_iter().filter(kept).collect(), &bench.files().into_iter().filter(kept).collect(), says);
    }
    // Everything that is wrong is said at once.
    fs::write(&path, &config).unwrap();
    redeclare(&bench, &[("log1p = true", "log1p = false"), ("buckets = 8", "buckets = 9")]);
    let error = migrate(&bench).unwrap_err();
    assert!(error.to_string().lines().count() == 3 && !error.remedies().is_empty(), "{error}");
    // No spelling of a number, so no number was read from it.
    fs::write(&path, &config).unwrap();
    redeclare(&bench, &[("indicator = true", "indicator = true, missing = [\"\", \"?\", \"n/a\"]")]);
    assert!(migrate(&bench).unwrap().complete);
}

/// What depends on what rows hold is found before anything is changed, too.
#[test]
fn a_row_that_the_other_configuration_refuses_is_named_by_its_column() {
    let mut table = rows(40);
    let setup = Setup { learner: LINEAR, ..Setup::default() };
    table[5].cells = "-1.5,200.00,b,t2,9,many".into();
    let bench = Bench::trained(&setup, &table);
    let artefacts = bench.artefacts();
    redeclare(&bench, &[("indicator = true", "indicator = true, log1p = true")]);
    let error = migrate(&bench).unwrap_err();
    assert!(
        error.to_string().contains("column `age`: log1p needs numbers above -1") && !error.to_string().contains("1.5"),
        "{error}"
    );
    assert!(!error.remedies().is_empty());
    bench.train();
    assert_same(&artefacts, &bench.artefacts(), "refused");
    // Somebody whose id is to be none.
    let bench = Bench::trained(&setup, &rows(40));
    redeclare(&bench, &[("missing = [\"\", \"?\"]", "missing_subject = \"skip\"\nmissing = [\"\", \"?\", \"7\"]")]);
    let path = bench.root().join("sisa.toml");
    let text = fs::read_to_string(&path).unwrap();
    // Of its columns it is no spelling.
    let own = ["\"number\", indicator", "\"number\", log1p", "\"category\", buckets"];
    let text = own.iter().fold(text, |text, kind| text.replace(kind, &kind.replacen(',', ", missing = [\"\", \"?\"],", 1)));
    fs::write(&path, &text).unwrap();
    let error = migrate(&bench).unwrap_err();
    assert!(error.to_string().contains("column `person`: records are about an id that is to spell a missing one"), "{error}");
    fs::write(&path, text.replace("\"7\"]", "\"nobody\"]")).unwrap();
    assert!(migrate(&bench).unwrap().complete);
}

/// The older of two generations holds its records under other columns, which is not that the row is wrong.
#[test]
fn rows_are_not_looked_for_under_other_columns() {
    let bench = Bench::trained(&Setup { learner: LINEAR, ..Setup::default() }, &rows(40));
    redeclare(&bench, &[("level = {", "weight = { kind = \"number\", indicator = true }\nlevel = {")]);
    assert!(bench.engine().migrate(&request(), &StopAfter(AtomicI64::new(1))).is_err());
    let asked = bench.root().join("asked.csv");
    let row = rows(40)[3].clone();
    let (cells, label) = row.cells.rsplit_once(',').unwrap();
    let (cells, level) = cells.rsplit_once(',').unwrap();
    let header = HEADER.replace("level", "weight,level");
    fs::write(&asked, format!("{header}{},{},{cells},,{level},{label}\n", row.person, row.year)).unwrap();
    let delete = DeleteRequest { rows: asked.into(), ..DeleteRequest::default() };
    let error = bench.engine().delete(&delete, &Quiet, |_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("generation g0001 holds its records under other columns"), "{error}");
    assert!(!error.remedies().is_empty());
    // As the message says.
    bench.train();
    assert!(!bench.delete(&delete).any_unknown());
    sound(&bench);
}

/// Without ids a record is named by what it holds.
#[test]
fn records_without_ids_may_be_cut_in_another_way_alone() {
    let setup = Setup { learner: LINEAR, record: false, ..Setup::default() };
    let table = rows(40);
    let bench = Bench::trained(&setup, &table);
    let config = fs::read_to_string(bench.root().join("sisa.toml")).unwrap();
    redeclare(&bench, &[("level = {", "weight = \"number\"\nlevel = {")]);
    let error = migrate(&bench).unwrap_err();
    assert!(error.to_string().contains("[data] record: without ids"), "{error}");
    fs::write(bench.root().join("sisa.toml"), config).unwrap();
    const CUT: Edits = &[("shards = 3", "shards = 4"), ("scale = 0.01", "scale = 0.02")];
    redeclare(&bench, CUT);
    assert!(migrate(&bench).unwrap().complete);
    assert_same(&bench.artefacts(), &anew(&setup, CUT, &csv(&table)).artefacts(), "cut in another way");
    // Rows that come again are told by the names that they had.
    let twice = bench.root().join("rows.csv");
    fs::write(&twice, csv(&table[3..5])).unwrap();
    let request = DeleteRequest { rows: twice.into(), ..DeleteRequest::default() };
    assert!(!bench.delete(&request).any_unknown());
    sound(&bench);
}

#[test]
fn the_command_says_what_differs() {
    let bench = Bench::trained(&Setup { learner: LINEAR, ..Setup::default() }, &rows(40));
    let sisa = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_sisa")).arg("-w").arg(bench.root()).args(arguments).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap(), output.status.code())
    };
    assert!(sisa(&["migrate"]).0.starts_with("nothing to migrate"));
    redeclare(&bench, &[("buckets = 8", "buckets = 9")]);
    let (_, error, code) = sisa(&["migrate"]);
    assert!(code == Some(3) && error.contains("[columns] town") && error.contains("--fresh"), "{error}");
    redeclare(&bench, &[("buckets = 9", "buckets = 8"), ("level = {", "weight = \"number\"\nlevel = {")]);
    let (_, notes, code) = sisa(&["train"]);
    assert!(code == Some(0) && notes.contains("declares other columns") && notes.contains("sisa migrate"), "{notes}");
    let (text, notes, code) = sisa(&["migrate", "--seed", "9"]);
    assert!(
        code == Some(0) && text.starts_with("migrated: generation g0002") && notes.contains("`weight` is new"),
        "{text}{notes}"
    );
    redeclare(&bench, &[("slices = 4", "slices = 2")]);
    let line: Value = serde_json::from_str(&sisa(&["migrate", "--json"]).0).unwrap();
    assert_eq!((&line["type"], &line["new"], &line["complete"]), (&"migrated".into(), &true.into(), &true.into()));
    assert_eq!(line["changes"], serde_json::json!(["S=3 R=2 instead of S=3 R=4"]));
    let asked = bench.root().join("asked.csv");
    fs::write(&asked, format!("{}1,1,44,10.00,a,t1,70,5,few\n", HEADER.replace("level", "weight,level"))).unwrap();
    assert_eq!(sisa(&["predict", asked.to_str().unwrap()]).2, Some(0));
}
