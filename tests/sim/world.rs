//! The workspace that the histories are about, and what it must look like in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sisa::{
    engine::{
        AppendRequest, CorrectRequest, DeleteRequest, Engine, Error, Input, KeySource, MigrateRequest, OlderThan, Overrides,
        Quiet, TrainRequest, VerifyRequest,
    },
    fs::Files,
    ids::{GenerationId, Handle, ShardId},
    ledger::{Event, Unsuppressed},
    workspace::Workspace,
};

use super::{Fault, SimDisk, image::Image};
use crate::common::{LINEAR, Row, Setup, csv, rows, without};

/// The keys of the first generation, and those of the rekeying.
const SEED: u64 = 5;
const NEW_SEED: u64 = 9;

/// Who is deleted: one in the first slice of a shard, one in the second slice of another, one held out. Nobody is of the third shard.
pub const GONE: [u32; 3] = [11, 17, 5];

/// What a workspace holds when nothing is left to do: every file but the ledger's, and every folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub dirs: BTreeSet<PathBuf>,
}

/// Small enough that a history takes milliseconds: 40 persons, about 100 rows, three shards of two slices.
#[derive(Debug)]
pub struct World {
    sources: tempfile::TempDir,
    setup: Setup,
    rows: Vec<Row>,
    merge: Option<u32>,
    /// Whether the year alone tells a record, so that it may be about somebody else.
    numbered: bool,
    /// Whether the age is a date, and shards are told apart by its year.
    dated: bool,
}

impl World {
    /// One shard for each year from 2018 to 2021, and one for all other records.
    pub fn dated(learner: &'static str) -> World {
        let mut world = World { dated: true, ..World::merging(learner) };
        world.setup = Setup { shards: 1, ..world.setup };
        world.rows = rows(25).into_iter().map(World::with_date).collect();
        fs::write(world.source(), csv(&world.rows)).unwrap();
        world
    }

    /// The row with a date in the place of its age.
    fn with_date(row: Row) -> Row {
        let (_, rest) = row.cells.split_once(',').unwrap();
        let date = format!("{}{:02}{:02}", 2018 + row.year % 5, 1 + row.person % 12, 1 + row.person % 28);
        let date = if row.person % 9 == 4 { "?".into() } else { date };
        Row { cells: format!("{date},{rest}"), ..row }
    }

    fn older(row: &Row, day: u32) -> bool {
        row.cells.split(',').next().and_then(|date| date.parse::<u32>().ok()).is_some_and(|date| date < day)
    }

    /// A workspace that never had what is older than a day, as `20200131`.
    pub fn appended_since(&self, batches: u32, day: u32) -> SimDisk {
        let since = |rows: &[Row]| without(rows, |row| World::older(row, day));
        let disk = self.disk_for(&self.write("since", &since(&self.rows)));
        World::train(&World::engine(&disk)).unwrap();
        for number in 2..=batches {
            let batch = self.write(&format!("{number}-since"), &since(&self.batch_rows(number)));
            World::append(&World::engine(&disk), &batch, number, false).unwrap();
        }
        disk
    }

    /// `effective` is called when the engine says so.
    pub fn expire(engine: &Engine, date: &str, defer: bool, effective: impl FnOnce()) -> Result<(), Error> {
        let request = DeleteRequest {
            older_than: Some(OlderThan { date: date.to_owned(), column: None }),
            request_id: Some("e1".to_owned()),
            no_suppress: true,
            defer,
            ..DeleteRequest::default()
        };
        engine.delete(&request, &Quiet, |_, _, _| effective()).map(drop)
    }

    pub fn new() -> World {
        World::of(LINEAR)
    }

    /// With another learner.
    pub fn of(learner: &'static str) -> World {
        let setup = Setup { shards: 3, slices: 2, learner, epochs: 2, ..Setup::default() };
        let world =
            World { sources: tempfile::tempdir().unwrap(), setup, rows: rows(40), merge: None, numbered: false, dated: false };
        fs::write(world.source(), csv(&world.rows)).unwrap();
        world
    }

    /// With another grid, of these many persons.
    pub fn cut(shards: u32, slices: u32, persons: u32) -> World {
        let setup = Setup { shards, slices, learner: LINEAR, epochs: 1, ..Setup::default() };
        let (sources, rows) = (tempfile::tempdir().unwrap(), rows(persons));
        let world = World { sources, setup, rows, merge: None, numbered: false, dated: false };
        fs::write(world.source(), csv(&world.rows)).unwrap();
        world
    }

    /// Where two last slices of one size become one.
    pub fn merging(learner: &'static str) -> World {
        let merge = if learner == LINEAR { Some(2) } else { None };
        World { merge, ..World::of(learner) }
    }

    /// Where a record is told by its year alone.
    pub fn numbered(learner: &'static str) -> World {
        let mut world = World { numbered: true, ..World::merging(learner) };
        world.rows.iter_mut().zip(1..).for_each(|(row, number)| row.year = number);
        fs::write(world.source(), csv(&world.rows)).unwrap();
        world
    }

    fn batch_rows(&self, number: u32) -> Vec<Row> {
        let newcomers = 30 + 10 * number..40 + 10 * number;
        let mut batch = without(&rows(60), |row| !newcomers.contains(&row.person));
        for person in [GONE.as_slice(), &[2, 3]].concat() {
            batch.push(Row { person, year: 8 + number, cells: format!("4{number}.5,70{number},b,t{number},{person},many") });
        }
        if self.dated {
            batch = batch.into_iter().map(World::with_date).collect();
        }
        if self.numbered {
            batch.iter_mut().zip(1000 * number..).for_each(|(row, number)| row.year = number);
        }
        batch
    }

    fn write(&self, name: &str, rows: &[Row]) -> PathBuf {
        let path = self.sources.path().join(format!("{name}.csv"));
        fs::write(&path, csv(rows)).unwrap();
        path
    }

    /// The table of a batch: others, and people who were there before.
    pub fn batch(&self, number: u32) -> PathBuf {
        self.write(&number.to_string(), &self.batch_rows(number))
    }

    fn batch_without(&self, number: u32) -> PathBuf {
        let rows = without(&self.batch_rows(number), |row| GONE.contains(&row.person));
        self.write(&format!("{number}-without"), &rows)
    }

    /// What the deleted persons' records are to hold in the histories of corrections; those of one are about another one.
    fn corrected(row: &Row) -> Row {
        let person = if row.person == GONE[1] { GONE[0] } else { row.person };
        Row { person, cells: format!("33,{}.00,a,t3,9,few", row.year % 500), ..row.clone() }
    }

    /// The table of the corrections of so many batches.
    pub fn corrections(&self, batches: u32) -> PathBuf {
        let later = (2..=batches).flat_map(|number| self.batch_rows(number));
        let all = self.rows.iter().cloned().chain(later).filter(|row| GONE.contains(&row.person));
        self.write("corrections", &all.map(|row| World::corrected(&row)).collect::<Vec<Row>>())
    }

    fn all_corrected(rows: &[Row]) -> Vec<Row> {
        rows.iter().map(|row| if GONE.contains(&row.person) { World::corrected(row) } else { row.clone() }).collect()
    }

    /// The table with the corrected records in the place of those they correct.
    pub fn as_corrected(&self) -> PathBuf {
        self.write("corrected", &World::all_corrected(&self.rows))
    }

    /// A workspace that had the corrected records from the first on.
    pub fn appended_corrected(&self, batches: u32) -> SimDisk {
        let disk = self.disk_for(&self.as_corrected());
        World::train(&World::engine(&disk)).unwrap();
        for number in 2..=batches {
            let batch = self.write(&format!("{number}-corrected"), &World::all_corrected(&self.batch_rows(number)));
            World::append(&World::engine(&disk), &batch, number, false).unwrap();
        }
        disk
    }

    /// `effective` is called when the engine says so.
    pub fn correct(engine: &Engine, rows: &Path, defer: bool, effective: impl FnOnce()) -> Result<(), Error> {
        let request = CorrectRequest { sources: rows.to_owned().into(), request_id: Some("c1".to_owned()), defer };
        engine.correct(&request, &Quiet, |_, _, _| effective()).map(drop)
    }

    /// A workspace that was trained, and trained on so many batches in all.
    pub fn appended(&self, batches: u32) -> SimDisk {
        let disk = self.trained();
        (2..=batches).for_each(|number| World::append(&World::engine(&disk), &self.batch(number), number, false).unwrap());
        disk
    }

    /// The deleted persons never were in this one.
    pub fn appended_without(&self, batches: u32) -> SimDisk {
        let disk = self.trained_without();
        (2..=batches)
            .for_each(|number| World::append(&World::engine(&disk), &self.batch_without(number), number, false).unwrap());
        disk
    }

    pub fn append(engine: &Engine, source: &Path, number: u32, defer: bool) -> Result<(), Error> {
        let request = AppendRequest { sources: source.to_owned().into(), name: Some(format!("b{number}")), defer };
        engine.append(&request, &Quiet, |_, _, _| {}).map(drop)
    }

    /// A workspace that was trained just now, with so many more entries in its ledger that say nothing.
    pub fn trained_long_ago(&self, entries: u64) -> SimDisk {
        let disk = self.trained();
        let ledger = workspace(&disk).ledger();
        let mut history = ledger.read().unwrap();
        while history.head.sequence < entries {
            ledger.append(&mut history, Event::Unsuppressed(Unsuppressed { handles: Vec::new() })).unwrap();
        }
        disk
    }

    pub fn root() -> PathBuf {
        PathBuf::from("/w")
    }

    pub fn source(&self) -> PathBuf {
        self.sources.path().join("table.csv")
    }

    fn disk_for(&self, source: &Path) -> SimDisk {
        let disk = SimDisk::of(Image::new());
        let config = self.setup.config().replace("\"table.csv\"", &format!("{:?}", source.to_str().unwrap()));
        let merge = self.merge.map_or(String::new(), |merge| format!("merge = {merge}\n"));
        let config = config.replace("\n[learner]", &format!("{merge}\n[learner]"));
        let config = if self.numbered { config.replace(r#"["person", "year"]"#, r#"["year"]"#) } else { config };
        let config = if self.dated {
            let age = config.lines().find(|line| line.starts_with("age = ")).unwrap().to_owned();
            let date = r#"age = { kind = "date", order = "year-month-day", indicator = true, range = [0, 20000] }"#;
            let cohort = "cohort = { column = \"age\", from = 2018, to = 2021 }\n\n[learner]";
            config.replace(&age, date).replace("\n[learner]", cohort)
        } else {
            config
        };
        disk.put(&World::root().join("sisa.toml"), config.as_bytes());
        disk
    }

    /// A workspace with a configuration and nothing else.
    pub fn empty(&self) -> SimDisk {
        self.disk_for(&self.source())
    }

    /// A workspace that was trained just now.
    pub fn trained(&self) -> SimDisk {
        let disk = self.empty();
        World::train(&World::engine(&disk)).unwrap();
        disk
    }

    /// The deleted persons never were in this one.
    pub fn trained_without(&self) -> SimDisk {
        let source = self.sources.path().join("without.csv");
        fs::write(&source, csv(&without(&self.rows, |row| GONE.contains(&row.person)))).unwrap();
        let disk = self.disk_for(&source);
        World::train(&World::engine(&disk)).unwrap();
        disk
    }

    pub fn engine(disk: &SimDisk) -> Engine {
        Engine::builder(World::root()).disk(Arc::new(disk.clone())).threads(1).open().unwrap()
    }

    /// The cells that the deletion changes.
    pub fn hit(engine: &Engine, person: u32) -> Vec<String> {
        let request = DeleteRequest { subjects: vec![person.to_string()], ..DeleteRequest::default() };
        engine.forecast(&request).unwrap().accepted.cells.into_iter().map(|change| change.cell.to_string()).collect()
    }

    fn request() -> TrainRequest {
        TrainRequest {
            sources: Input::new(),
            config: World::root().join("sisa.toml"),
            overrides: Overrides::default(),
            keys: KeySource::Seed(SEED),
            only_shards: None,
            fresh: false,
        }
    }

    pub fn train_only(engine: &Engine, shards: &[ShardId]) -> Result<(), Error> {
        engine.train(&TrainRequest { only_shards: Some(shards.to_vec()), ..World::request() }, &Quiet).map(|_| ())
    }

    pub fn train(engine: &Engine) -> Result<(), Error> {
        let report = engine.train(&World::request(), &Quiet)?;
        assert!(report.complete, "train returned and something is missing");
        Ok(())
    }

    pub fn repair(engine: &Engine) -> Result<(), Error> {
        let report = engine.repair(&Input::new(), false, &Quiet)?;
        assert!(report.complete, "repair returned and something is missing");
        Ok(())
    }

    /// `effective` is called when the engine says so.
    pub fn delete(engine: &Engine, defer: bool, effective: impl FnOnce()) -> Result<(), Error> {
        let request = DeleteRequest {
            subjects: GONE.iter().map(u32::to_string).collect(),
            request_id: Some("r1".to_owned()),
            defer,
            ..DeleteRequest::default()
        };
        engine.delete(&request, &Quiet, |_, _, _| effective()).map(|_| ())
    }

    pub fn rekey(engine: &Engine) -> Result<(), Error> {
        engine.rekey(&KeySource::Seed(NEW_SEED), &Quiet).map(|_| ())
    }

    /// Declares a column more, a value more and other slices.
    pub fn redeclare(disk: &SimDisk) {
        let path = World::root().join("sisa.toml");
        let text = String::from_utf8(workspace(disk).files().read(&path).unwrap().to_vec()).unwrap();
        let other = text.replace("level = {", "weight = { kind = \"number\", indicator = true, range = [0, 200] }\nlevel = {");
        let other = other.replace(r#"["a", "b"]"#, r#"["b", "z", "a"]"#).replace("slices = 2", "slices = 3");
        assert!(other.len() > text.len() + 60);
        disk.put(&path, other.as_bytes());
    }

    /// Under the keys of the rekeying.
    pub fn migrate(engine: &Engine) -> Result<(), Error> {
        let request = MigrateRequest { keys: KeySource::Seed(NEW_SEED), ..MigrateRequest::default() };
        let report = engine.migrate(&request, &Quiet)?;
        assert!(report.complete, "migrate returned and something is missing");
        Ok(())
    }

    pub fn verify(engine: &Engine) -> Result<(), Error> {
        engine.verify(&VerifyRequest { retrain: true, ..VerifyRequest::default() }, &Quiet).map(|_| ())
    }

    /// `disk` with `run` killed on it as soon as `enough` checkpoints are below a folder of this name.
    pub fn killed(disk: &SimDisk, run: fn(&Engine) -> Result<(), Error>, below: &str, enough: usize) -> SimDisk {
        for at in 1.. {
            let stopped = disk.restarted(Fault::Stop(at));
            assert!(run(&World::engine(&stopped)).is_err(), "it never gets there");
            let files = artefacts(&Reference::of(&stopped).files);
            let there = |path: &Path| path.extension().is_some_and(|e| e == "ckpt") && path.iter().any(|part| part == below);
            if files.keys().filter(|path| there(path)).count() >= enough {
                return stopped.restarted(Fault::None);
            }
        }
        unreachable!("the loop has no end")
    }

    /// The handles of the deleted persons.
    pub fn gone() -> Vec<Handle> {
        let files = Files::new(Arc::new(SimDisk::of(Image::new())));
        let maker = KeySource::Seed(SEED).handle_key(&files).unwrap().maker();
        GONE.iter().map(|person| maker.subject(person.to_string().as_bytes())).collect()
    }

    /// Slices and checkpoints of the rekeyed generation, from an import of the source under the derived key.
    pub fn imported_as_rekeyed(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let generation = GenerationId(2);
        let trained = self.trained();
        let old = workspace(&trained);
        let history = old.ledger().read().unwrap();
        let (first, record) = history.newest().unwrap();
        let model = old.serving_model(&old.snapshot().unwrap()).unwrap();
        let disk = self.empty();
        let new = workspace(&disk);
        let plan = sisa::import::NewGeneration {
            generation,
            rekeys: None,
            partition: old.partition(first, record).unwrap(),
            handle_key: old.handle_key().unwrap(),
            model_key: KeySource::Seed(NEW_SEED).model_key(new.files(), Some(generation)).unwrap(),
        };
        let mut writing = new.write(false).unwrap();
        new.keep_handle_key(&plan.handle_key).unwrap();
        let mut sources = vec![sisa::source::open(&self.source()).unwrap()];
        sisa::import::import(&mut writing, &plan, &mut sources, &|_, _, _| true).unwrap();
        new.write_recipe(generation, &model.recipe).unwrap();
        let anew = sisa::train::Model::new(
            new.shard_store_of(generation, &plan.partition, plan.model_key.clone()),
            sisa::checkpoint::CheckpointStore::new(new.files().clone(), new.recipe_dir(generation, &model.recipe.id())),
            model.recipe,
            plan.partition.digest(),
        )
        .unwrap();
        sisa::train::train(&anew, anew.plans().unwrap(), &sisa::train::ThreadShare::new(1), &Unwatched).unwrap();
        artefacts(&Reference::of(&disk).files)
    }
}

impl Reference {
    /// What is there now.
    pub fn of(disk: &SimDisk) -> Reference {
        let (mut files, mut dirs) = disk.image().tree();
        let ledger = World::root().join("shards/ledger");
        let inside = |path: &Path| Path::new("/").join(path).starts_with(&ledger);
        // Entries hold times; reading the ledger checks them, and all that belongs to them.
        files.retain(|path, _| !inside(path) || path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
        // The source's path differs between references, and is the person's.
        files.remove(Path::new("w/sisa.toml"));
        // How many folders of entries there are says how long the ledger is.
        dirs.retain(|path| !inside(path) || Path::new("/").join(path) == ledger);
        // An empty one may stay.
        dirs.remove(Path::new("w/.scratch"));
        Reference { files, dirs }
    }
}

pub fn workspace(disk: &SimDisk) -> Workspace {
    Workspace::new(Files::new(Arc::new(disk.clone())), World::root())
}

/// Slices and checkpoints.
pub fn artefacts(files: &BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<PathBuf, Vec<u8>> {
    let is = |path: &Path| path.extension().is_some_and(|e| e == "slice" || e == "ckpt");
    files.iter().filter(|(path, _)| is(path)).map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
}

#[derive(Debug)]
struct Unwatched;

impl sisa::train::Watch for Unwatched {
    fn visited(&self, _: sisa::ids::ShardId, _: usize) -> bool {
        true
    }
}
