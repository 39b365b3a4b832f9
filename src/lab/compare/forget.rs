//! Whom to forget.

use std::collections::BTreeSet;

use super::{
    super::measures::{Draws, mean},
    super::methods::{Clean, held_rows, losses},
    train::{Part, Shards, ensemble, mean_scores},
    world::World,
};
use crate::{
    engine::{Engine, Error, Observer},
    ids::Handle,
    learn::{Labels, Rows},
};

/// How people are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forget {
    /// Drawn, all alike.
    Random,
    /// Whose rows constituents that saw them know better than constituents that did not, by the most.
    Hardest,
    /// Who has a row in which a column has a value.
    Group {
        /// The column.
        column: String,
        /// The value, as it is declared.
        value: String,
    },
    /// Those with these ids.
    People {
        /// What they are called, such as the name of a file.
        name: String,
        /// Their ids.
        ids: Vec<String>,
    },
}

impl Forget {
    /// A name without spaces.
    pub fn name(&self) -> String {
        match self {
            Forget::Random => "random".into(),
            Forget::Hardest => "hardest".into(),
            Forget::Group { column, value } => format!("group={column}:{value}"),
            Forget::People { name, .. } => name.clone(),
        }
    }

    /// What it says about the people, after their number.
    pub fn describe(&self) -> String {
        match self {
            Forget::Random => "drawn at random".into(),
            Forget::Hardest => "the hardest to forget: known better by models that saw them, by the most".into(),
            Forget::Group { column, value } => format!("with {column} = {value}"),
            Forget::People { name, .. } => format!("named in {name}"),
        }
    }
}

/// Fewer people say nothing.
const PEOPLE_LEAST: usize = 5;
/// Shards of the ensembles that say what a row costs those who never saw it.
const CLEAN_SHARDS: u32 = 5;

/// People and their rows.
pub(super) struct Set {
    pub(super) people: BTreeSet<Handle>,
    /// Ascending.
    pub(super) forget: Vec<u32>,
    pub(super) retain: Vec<u32>,
    /// For each forget row whose it is, from 0 on.
    pub(super) owner: Vec<usize>,
}

/// The forget set of a choice, at a share of all people.
pub(super) fn choose(engine: &Engine, world: &World, how: &Forget, share: f64, observer: &dyn Observer) -> Result<Set, Error> {
    let all = world.people();
    let count = ((share * all.len() as f64).round() as usize).max(PEOPLE_LEAST);
    let people = match how {
        Forget::Random => {
            let mut draws = Draws::new(world.seed("random people", 0));
            let order: Vec<Handle> = all.iter().copied().collect();
            let drawn = draws.order(order.len()).into_iter().take(count);
            drawn.filter_map(|at| order.get(at).copied()).collect()
        }
        Forget::Hardest => hardest(world, count, observer)?,
        Forget::Group { column, value } => world.people_where(column, value)?,
        Forget::People { ids, .. } => {
            let maker = engine.workspace().handle_key()?.maker();
            ids.iter().map(|id| maker.subject(id.as_bytes())).collect()
        }
    };
    let forget = world.rows_of(&people);
    let retain: Vec<u32> = (0..world.rows.rows() as u32).filter(|row| forget.binary_search(row).is_err()).collect();
    let present: BTreeSet<Handle> = forget.iter().filter_map(|row| world.subjects.get(*row as usize).copied()).collect();
    if present.len() < PEOPLE_LEAST || present.len() * 2 > all.len() {
        return Err(Error::Compare {
            what: format!(
                "of `{}`, {} of {} people have training rows; name at least {PEOPLE_LEAST} and at most half of them",
                how.name(),
                present.len(),
                all.len()
            ),
        });
    }
    let order: Vec<Handle> = present.iter().copied().collect();
    let whose = |row: &u32| world.subjects.get(*row as usize).and_then(|subject| order.binary_search(subject).ok());
    let owner = forget.iter().filter_map(whose).collect();
    Ok(Set { people: present, forget, retain, owner })
}

/// Whether each shard saw each row: the shard of each training row.
fn shards_of(world: &World, key: &crate::digest::ModelKey) -> Vec<usize> {
    let rows: Vec<u32> = (0..world.rows.rows() as u32).collect();
    let mut of = vec![0; rows.len()];
    for (shard, slices) in world.cells(key, (CLEAN_SHARDS, 1), &rows).into_iter().enumerate() {
        for row in slices.into_iter().flatten() {
            if let Some(of) = of.get_mut(row as usize) {
                *of = shard;
            }
        }
    }
    of
}

/// The people whose rows' mean loss under constituents that never saw them is above that under their own by the most.
fn hardest(world: &World, count: usize, observer: &dyn Observer) -> Result<BTreeSet<Handle>, Error> {
    let key = world.key("hardest", 0);
    let rows: Vec<u32> = (0..world.rows.rows() as u32).collect();
    let shards = ensemble(world, &key, (CLEAN_SHARDS, 1), &rows, observer, |_, _, _| {})?;
    let view = world.rows.view();
    let variance = label_variance(world);
    let each: Vec<Vec<f64>> =
        shards.scores_each(world, &view.features).iter().map(|scores| losses(scores, &view.labels, variance)).collect();
    let of = shards_of(world, &key);
    let mut gaps: std::collections::BTreeMap<Handle, Vec<f64>> = std::collections::BTreeMap::new();
    for (row, (own, subject)) in of.iter().zip(&world.subjects).enumerate() {
        let loss = |shard: usize| each.get(shard).and_then(|losses| losses.get(row)).copied().unwrap_or(0.0);
        let others = (0..each.len()).filter(|shard| shard != own).map(loss).fold(0.0, |sum, loss| sum + loss);
        gaps.entry(*subject).or_default().push(others / (each.len() as f64 - 1.0).max(1.0) - loss(*own));
    }
    let mut ranked: Vec<(f64, Handle)> = gaps.into_iter().map(|(subject, gaps)| (mean(&gaps), subject)).collect();
    ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    Ok(ranked.into_iter().take(count).map(|(_, subject)| subject).collect())
}

/// An ensemble of five, and what its constituents that never saw a row say of it.
pub(super) struct Witness {
    shards: Shards,
    of: Vec<usize>,
    pub(super) row_passes: u64,
}

impl Witness {
    pub(super) fn train(world: &World, observer: &dyn Observer) -> Result<Witness, Error> {
        let key = world.key("clean", 0);
        let rows: Vec<u32> = (0..world.rows.rows() as u32).collect();
        let shards = ensemble(world, &key, (CLEAN_SHARDS, 1), &rows, observer, |_, _, _| {})?;
        Ok(Witness { of: shards_of(world, &key), row_passes: shards.row_passes, shards })
    }

    /// For forget rows the mean of the four that never saw them; for held-out rows that of the last four.
    pub(super) fn clean(&self, world: &World, forget: &[u32]) -> Clean {
        let part = Part::of(world, forget);
        let outputs = world.outputs();
        let each = self.shards.scores_each(world, &part.rows.view().features);
        let mut scores = Vec::with_capacity(forget.len() * outputs);
        for (at, row) in forget.iter().enumerate() {
            let own = self.of.get(*row as usize).copied().unwrap_or(0);
            let others = each.iter().enumerate().filter(|(shard, _)| *shard != own);
            let of_row = others.filter_map(|(_, all)| all.get(at * outputs..(at + 1) * outputs)).map(<[f32]>::to_vec);
            scores.extend(mean_scores(of_row, outputs));
        }
        let held_out = world.held_out.view();
        let held = held_rows(&held_out).features;
        let each = self.shards.scores_each(world, &held);
        let held_scores = mean_scores(each.into_iter().skip(1), held.rows() * outputs);
        Clean { scores, held_scores }
    }
}

/// The variance of the label over the training rows; 1 for classes.
pub(super) fn label_variance(world: &World) -> f64 {
    match world.rows.view() {
        Rows { labels: Labels::Numbers(numbers), .. } => {
            super::super::measures::variance(&numbers.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>()).max(f64::MIN_POSITIVE)
        }
        _ => 1.0,
    }
}
