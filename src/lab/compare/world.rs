//! The rows of a comparison, in memory.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{methods::Rules, trial::Base};
use crate::{
    digest::{Digest, HandleKey, ModelKey},
    engine::Error,
    ids::{Block, Handle, Part},
    learn::{Labels, Layout, Learner, LearnerSettings, Task},
    order::{Grid, Placement},
    schema::{EncodedRows, Kind, Schema},
    train::{Recipe, Schedule},
};

/// Held-out rows that are looked at, at most.
const HELD_MOST: usize = 8000;
/// The share of the subjects that is held out here where nothing is.
const HELD_SHARE: usize = 5;
/// A column of numbers with more values than this makes no groups.
const GROUPS_MOST: usize = 12;
/// Groups of fewer held-out rows are left out.
pub(super) const GROUP_LEAST: usize = 30;

/// Rows, whose they are, and how they are learnt.
pub(super) struct World {
    pub(super) layout: Layout,
    pub(super) settings: LearnerSettings,
    pub(super) learner: Box<dyn Learner>,
    pub(super) rules: Rules,
    pub(super) schedule: Schedule,
    /// S and R of the ensemble.
    pub(super) cut: (u32, u32),
    /// Training rows, by record handle.
    pub(super) rows: EncodedRows,
    pub(super) records: Vec<Handle>,
    /// Whose each row is.
    pub(super) subjects: Vec<Handle>,
    /// Rows that no model sees.
    pub(super) held_out: EncodedRows,
    /// Held-out rows of each group.
    pub(super) groups: Vec<(String, Vec<u32>)>,
    /// Subjects with rows in slices that are not among the training rows.
    pub(super) unused: Vec<Handle>,
    pub(super) schema: Schema,
    seed: u64,
}

/// One column's values of some rows, and what each is called.
type Values = Vec<Option<String>>;

impl World {
    /// Takes the slices of a workspace: at most `most` training rows of whole subjects (0 for all), to be trained by a recipe and, for the
    /// exact row, in (S, R).
    ///
    /// # Errors
    /// A slice can't be read, the learner has no gradient, or there are too few people.
    pub(super) fn load(
        base: &Base,
        (recipe, cut): (Recipe, (u32, u32)),
        most: usize,
        columns: &[String],
        seed: u64,
    ) -> Result<World, Error> {
        let input = |what: String| Error::Compare { what };
        let model = base.model();
        let settings = recipe.learner;
        let learner = settings.check().map_err(crate::config::ConfigError::from)?;
        let Some(rules) = Rules::of(&settings) else {
            let kind = settings.kind();
            return Err(match learner.abilities().downdate {
                true => Error::NothingToApproximate { kind },
                false => Error::NoGradient { kind },
            });
        };
        learner.accepts(model.shards.layout()).map_err(crate::config::ConfigError::from)?;
        let layout = model.shards.layout().clone();
        let grid = model.shards.grid();
        let (mut all, mut names, mut held): (Option<EncodedRows>, Vec<(Handle, Handle)>, Vec<bool>) =
            (None, Vec::new(), Vec::new());
        for cell in grid.cells() {
            let slice = model.shards.open(cell)?;
            let part = EncodedRows::copy(&slice.rows());
            names.extend(slice.records().iter().copied().zip(slice.subjects().iter().copied()));
            held.extend(std::iter::repeat_n(cell.part == Part::Holdout, part.rows()));
            match &mut all {
                Some(all) => all.append(&part),
                None => all = Some(part),
            }
        }
        let all = all.ok_or_else(|| input("there are no rows to compare on".into()))?;
        let draw = ModelKey::from_bytes(Digest::derive("sisa 1 compare", &[&seed.to_le_bytes(), b"rows"]).0).shard_draw();
        let mut people: Vec<(u64, Handle)> = {
            let trained = names.iter().zip(&held).filter(|(_, held)| !**held).map(|((_, subject), _)| *subject);
            trained.collect::<BTreeSet<Handle>>().into_iter().map(|subject| (draw.of(subject), subject)).collect()
        };
        people.sort_unstable();
        let drawn_out = if held.contains(&true) { 0 } else { people.len() / HELD_SHARE };
        let out: BTreeSet<Handle> = people.drain(..drawn_out).map(|(_, subject)| subject).collect();
        let mut of: BTreeMap<Handle, usize> = BTreeMap::new();
        names.iter().for_each(|(_, subject)| *of.entry(*subject).or_default() += 1);
        let (mut chosen, mut unused, mut count) = (BTreeSet::new(), Vec::new(), 0);
        for (_, subject) in &people {
            let more = of.get(subject).copied().unwrap_or(0);
            if most == 0 || count + more <= most {
                count += more;
                chosen.insert(*subject);
            } else {
                unused.push(*subject);
            }
        }
        let pick = |wanted: &dyn Fn(usize) -> bool| {
            let mut rows: Vec<u32> = (0..names.len() as u32).filter(|row| wanted(*row as usize)).collect();
            rows.sort_unstable_by_key(|row| names.get(*row as usize).copied());
            rows
        };
        let subject = |row: usize| names.get(row).map(|n| n.1);
        let is_held = |row: usize| held.get(row).copied().unwrap_or(false);
        let train = pick(&|row| !is_held(row) && subject(row).is_some_and(|s| chosen.contains(&s)));
        let mut test = pick(&|row| is_held(row) || subject(row).is_some_and(|s| out.contains(&s)));
        test.truncate(HELD_MOST);
        unused.extend(out);
        if chosen.len() < 50 || test.len() < GROUP_LEAST {
            return Err(input(format!(
                "{} people to train on and {} held-out rows are too few to tell anything: 50 and {GROUP_LEAST} are the least",
                chosen.len(),
                test.len()
            )));
        }
        let mut world = World {
            layout,
            settings,
            learner,
            rules,
            schedule: recipe.schedule,
            cut,
            rows: all.take(&train),
            records: train.iter().filter_map(|row| names.get(*row as usize).map(|n| n.0)).collect(),
            subjects: train.iter().filter_map(|row| subject(*row as usize)).collect(),
            held_out: all.take(&test),
            groups: Vec::new(),
            unused,
            schema: base.schema().clone(),
            seed,
        };
        for column in columns {
            world.group_by(column)?;
        }
        Ok(world)
    }

    /// A seed of a role and a number.
    pub(super) fn seed(&self, role: &str, number: u64) -> [u8; 32] {
        Digest::derive("sisa 1 compare", &[&self.seed.to_le_bytes(), role.as_bytes(), &number.to_le_bytes()]).0
    }

    /// A model key of a role and a number.
    pub(super) fn key(&self, role: &str, number: u64) -> ModelKey {
        ModelKey::from_bytes(self.seed(role, number))
    }

    /// How many scores a row has.
    pub(super) fn outputs(&self) -> usize {
        self.layout.task.outputs()
    }

    /// Whether classes are learnt.
    pub(super) fn has_classes(&self) -> bool {
        self.layout.task != Task::Number
    }

    /// The training rows of some subjects, ascending.
    pub(super) fn rows_of(&self, people: &BTreeSet<Handle>) -> Vec<u32> {
        (0..).zip(&self.subjects).filter(|(_, subject)| people.contains(subject)).map(|(row, _)| row).collect()
    }

    /// All subjects with training rows.
    pub(super) fn people(&self) -> BTreeSet<Handle> {
        self.subjects.iter().copied().collect()
    }

    /// The rows of every shard and slice under a key, of those given: by shard, then by slice.
    pub(super) fn cells(&self, key: &ModelKey, (shards, slices): (u32, u32), rows: &[u32]) -> Vec<Vec<Vec<u32>>> {
        let grid = Grid::new(shards, slices, 0.0);
        // Nothing is held out, so that this key decides nothing.
        let placement = Placement::new(grid, HandleKey::from_bytes([0; 32]).maker(), key);
        let mut cells = vec![vec![Vec::new(); slices as usize]; shards as usize];
        for row in rows {
            let Some(subject) = self.subjects.get(*row as usize) else { continue };
            let cell = placement.cell(*subject, Block(0));
            let Part::Slice(slice) = cell.part else { continue };
            let shard = cells.get_mut(cell.shard.0 as usize);
            if let Some(rows) = shard.and_then(|slices| slices.get_mut(slice.0 as usize - 1)) {
                rows.push(*row);
            }
        }
        cells
    }

    /// What the cells of a column are in some rows: declared values, or numbers of few values.
    fn values(&self, name: &str, rows: &EncodedRows) -> Result<Values, Error> {
        let (mut numbers, mut bytes, mut categories) = (0, 0, 0);
        for column in &self.schema.columns {
            let view = rows.view();
            let features = &view.features;
            let named = column.name == name;
            match &column.kind {
                Kind::Number { .. } if named => {
                    let cells = features.numbers.column(numbers);
                    return Ok(cells.iter().map(|x| (!x.is_nan()).then(|| format!("{x}"))).collect());
                }
                Kind::Byte { .. } if named => {
                    return Ok(features.bytes.column(bytes).iter().map(|x| Some(x.to_string())).collect());
                }
                Kind::Values { values } if named => {
                    let cells = features.categories.column(categories);
                    // "Other" and missing come after the declared values; they are no groups.
                    return Ok(cells.iter().map(|x| values.get(*x as usize).cloned()).collect());
                }
                Kind::Number { .. } => numbers += 1,
                Kind::Embedding { size, .. } => numbers += *size as usize,
                Kind::Byte { .. } => bytes += 1,
                Kind::Boolean if named => {
                    let cells = features.categories.column(categories);
                    let name = |x: &u32| ["no", "yes"].get(*x as usize).map(|word| (*word).to_owned());
                    return Ok(cells.iter().map(name).collect());
                }
                Kind::Values { .. } | Kind::Buckets { .. } | Kind::Boolean => categories += 1,
                // A number, and its parts as categories.
                Kind::Date { parts, .. } => {
                    numbers += 1;
                    categories += parts.len();
                }
                Kind::Ignore => {}
            }
        }
        Err(Error::Compare {
            what: format!("there is no column `{name}` with declared values or numbers; name one that [columns] declares so"),
        })
    }

    /// Splits the held-out rows by a column.
    fn group_by(&mut self, name: &str) -> Result<(), Error> {
        let values = self.values(name, &self.held_out)?;
        let mut groups: BTreeMap<&String, Vec<u32>> = BTreeMap::new();
        for (row, value) in (0..).zip(&values) {
            value.iter().for_each(|value| groups.entry(value).or_default().push(row));
        }
        if groups.len() > GROUPS_MOST {
            return Err(Error::Compare {
                what: format!(
                    "the column `{name}` has {} values, too many for groups: name one of {GROUPS_MOST} at most",
                    groups.len()
                ),
            });
        }
        let large = groups.into_iter().filter(|(_, rows)| rows.len() >= GROUP_LEAST);
        let named: Vec<_> = large.map(|(value, rows)| (format!("{name} = {value}"), rows)).collect();
        self.groups.extend(named);
        Ok(())
    }

    /// The subjects with a training row in which a column has a value.
    pub(super) fn people_where(&self, column: &str, value: &str) -> Result<BTreeSet<Handle>, Error> {
        let values = self.values(column, &self.rows)?;
        let rows = self.subjects.iter().zip(&values).filter(|(_, cell)| cell.as_deref() == Some(value));
        Ok(rows.map(|(subject, _)| *subject).collect())
    }

    /// The labels of the held-out rows.
    pub(super) fn held_labels(&self) -> Labels<'_> {
        self.held_out.view().labels
    }
}
