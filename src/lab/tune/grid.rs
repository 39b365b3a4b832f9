//! The points that are tried: around one, a few values of each setting that matters.

use super::Candidate;
use crate::{
    learn::{Descent, LearnerSettings, RidgeMap},
    train::{Recipe, Schedule},
};

/// A way to cut and to train.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) recipe: Recipe,
    pub(super) shards: u32,
    pub(super) slices: u32,
    /// Whether it is what the workspace has.
    pub(super) own: bool,
}

impl Point {
    /// The grid around this point, the point itself first; then what differs from it in one setting, then in two, and so on.
    ///
    /// - `linear`, `mlp`: rate x 1/3, 1, 3; epochs x 1, 2; S x 1, 1/2.
    /// - `ridge`: strength x 1/10, 1, 10; the map as it is, of rectified features and of cosines (an image: of half as many features).
    /// - `forest`: depth 12, 20 (`min_split` 10, 2); cuts 8, 32; S x 1, and 1 with as many trees in all.
    /// - `boost`: leaves 15, 31, 63; rounds 100, 200; rate 0.05, 0.1.
    pub(super) fn around(&self) -> Vec<Point> {
        let axes: Vec<Vec<Change>> = match &self.recipe.learner {
            LearnerSettings::Linear(_) | LearnerSettings::Mlp(_) => {
                vec![vec![Change::Rate(1.0 / 3.0), Change::Rate(3.0)], vec![Change::Epochs(2)], vec![Change::HalfTheShards]]
            }
            LearnerSettings::Ridge(settings) => vec![
                vec![Change::Strength(0.1), Change::Strength(10.0)],
                match settings.map {
                    RidgeMap::Image { width, height, dimension } => {
                        vec![Change::Map(RidgeMap::Image { width, height, dimension: dimension.div_ceil(2) })]
                    }
                    _ => vec![Change::Map(RidgeMap::Relu { dimension: 1024 }), Change::Map(RidgeMap::Cosine { dimension: 1024 })],
                },
            ],
            // What its settings mean is known to its program alone.
            LearnerSettings::External(_) => Vec::new(),
            LearnerSettings::Forest(_) => {
                vec![vec![Change::Depth(12), Change::Depth(20)], vec![Change::Cuts(8), Change::Cuts(32)], vec![Change::OneShard]]
            }
            LearnerSettings::Boost(_) => vec![
                vec![Change::Leaves(15), Change::Leaves(31), Change::Leaves(63)],
                vec![Change::Rounds(100), Change::Rounds(200)],
                vec![Change::BoostRate(0.05), Change::BoostRate(0.1)],
            ],
        };
        // By how many settings differ, then in the order above; what changes nothing is there already.
        let mut grid = vec![(0, self.clone())];
        for axis in axes {
            for (changes, point) in grid.clone() {
                for change in &axis {
                    let changed = Point { own: false, ..change.of(&point) };
                    let known = |other: &Point| Point { own: false, ..other.clone() } == changed;
                    if !grid.iter().any(|(_, other)| known(other)) {
                        grid.push((changes + 1, changed));
                    }
                }
            }
        }
        grid.sort_by_key(|(changes, _)| *changes);
        grid.into_iter().map(|(_, point)| point).filter(|point| point.recipe.learner.check().is_ok()).collect()
    }
}

/// Another value of one setting.
#[derive(Clone, Debug)]
enum Change {
    Rate(f32),
    Epochs(u32),
    HalfTheShards,
    OneShard,
    Strength(f32),
    Map(RidgeMap),
    Depth(u32),
    Cuts(u32),
    Leaves(u32),
    Rounds(u32),
    BoostRate(f32),
}

impl Change {
    fn of(&self, point: &Point) -> Point {
        let mut point = point.clone();
        let (shards, schedule) = (point.shards, point.recipe.schedule);
        match (self, &mut point.recipe.learner) {
            (Change::Rate(times), LearnerSettings::Linear(descent)) => scale(descent, *times),
            (Change::Rate(times), LearnerSettings::Mlp(settings)) => scale(&mut settings.descent, *times),
            (Change::Epochs(times), _) => {
                let epochs = schedule.epochs.saturating_mul(*times).min(Schedule::EPOCHS_MAX);
                point.recipe.schedule = Schedule { epochs, ..schedule };
            }
            (Change::HalfTheShards, _) => point.shards = shards.div_ceil(2),
            (Change::OneShard, LearnerSettings::Forest(settings)) => {
                settings.trees = settings.trees.saturating_mul(shards).min(1000);
                point.shards = 1;
            }
            (Change::Strength(times), LearnerSettings::Ridge(settings)) => settings.strength = rounded(settings.strength * times),
            (Change::Map(map), LearnerSettings::Ridge(settings)) => settings.map = *map,
            (Change::Depth(depth), LearnerSettings::Forest(settings)) => {
                // Deep trees are of use where small nodes are split.
                (settings.depth, settings.min_split) = (*depth, if *depth > 12 { 2 } else { 10 });
            }
            (Change::Cuts(cuts), LearnerSettings::Forest(settings)) => settings.cuts = *cuts,
            (Change::Leaves(leaves), LearnerSettings::Boost(settings)) => settings.leaves = *leaves,
            (Change::Rounds(rounds), LearnerSettings::Boost(settings)) => settings.rounds = *rounds,
            (Change::BoostRate(rate), LearnerSettings::Boost(settings)) => settings.rate = *rate,
            // A change of another kind of learner changes nothing.
            _ => {}
        }
        point
    }
}

fn scale(descent: &mut Descent, times: f32) {
    descent.rate = rounded(descent.rate * times);
}

/// A setting in two digits, as a person would write it.
fn rounded(setting: f32) -> f32 {
    format!("{setting:.1e}").parse().unwrap_or(setting)
}

/// A point in words.
pub(super) fn named(candidate: &Candidate) -> String {
    let cut = format!("S = {}, R = {}", candidate.shards, candidate.slices);
    format!("`{}`, {cut}, {}", candidate.recipe.learner.kind(), candidate.settings().join(", "))
}

impl Candidate {
    /// The settings that the grid is about, as `name = value`.
    pub fn settings(&self) -> Vec<String> {
        match &self.recipe.learner {
            LearnerSettings::Linear(descent) => self.in_passes(descent),
            LearnerSettings::Mlp(settings) => self.in_passes(&settings.descent),
            LearnerSettings::Ridge(settings) => {
                let (map, dimension) = match settings.map {
                    RidgeMap::Bins => ("bins", 0),
                    RidgeMap::Relu { dimension } => ("relu", dimension),
                    RidgeMap::Cosine { dimension } => ("cosine", dimension),
                    RidgeMap::Image { dimension, .. } => ("image", dimension),
                };
                vec![format!("strength = {}", settings.strength), format!("map = {map} {dimension}")]
            }
            LearnerSettings::Forest(settings) => {
                vec![
                    format!("depth = {}", settings.depth),
                    format!("min_split = {}", settings.min_split),
                    format!("cuts = {}", settings.cuts),
                    format!("trees = {}", settings.trees),
                ]
            }
            LearnerSettings::External(settings) => vec![format!("name = {}", settings.name)],
            LearnerSettings::Boost(settings) => {
                vec![
                    format!("leaves = {}", settings.leaves),
                    format!("rounds = {}", settings.rounds),
                    format!("rate = {}", settings.rate),
                ]
            }
        }
    }

    fn in_passes(&self, descent: &Descent) -> Vec<String> {
        vec![format!("rate = {}", descent.rate), format!("epochs = {}", self.recipe.schedule.epochs)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Keep, ScheduleKind};

    fn point(kind: &str, schedule: ScheduleKind) -> Point {
        let recipe = Recipe::new(LearnerSettings::of(kind).unwrap(), Schedule { kind: schedule, epochs: 20 }, Keep::All);
        Point { recipe, shards: 5, slices: 4, own: true }
    }

    #[test]
    fn every_grid_is_small_begins_where_it_is_and_has_no_point_twice() {
        for (kind, schedule, points) in [
            ("linear", ScheduleKind::Replay, 12),
            ("mlp", ScheduleKind::Replay, 12),
            ("ridge", ScheduleKind::Once, 6),
            ("forest", ScheduleKind::Once, 8),
            ("boost", ScheduleKind::Window, 12),
        ] {
            let own = point(kind, schedule);
            let grid = own.around();
            assert_eq!(grid.first(), Some(&own), "{kind}");
            assert!(grid.iter().skip(1).all(|point| !point.own), "{kind}");
            assert_eq!(grid.len(), points, "{kind}");
            for (at, one) in grid.iter().enumerate() {
                assert!(grid.iter().skip(at + 1).all(|other| other != one), "{kind}: {one:?}");
            }
        }
        // As many trees in all.
        let one = Change::OneShard.of(&point("forest", ScheduleKind::Once));
        let LearnerSettings::Forest(settings) = one.recipe.learner else { panic!("a forest") };
        assert_eq!((one.shards, settings.trees), (1, 100));
    }
}
